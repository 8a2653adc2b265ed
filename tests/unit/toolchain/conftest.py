"""A toolchain of two small scripts, stored as a build would store it, in a cache of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fluxlab.toolchain.components import Component
from fluxlab.toolchain.entries import LICENCES, Entry, entries
from fluxlab.toolchain.licences import Licences
from fluxlab.toolchain.manifests import FileRecord, Manifest
from fluxlab.toolchain.platforms import Platform
from fluxlab.toolchain.store import Store

BUILT = 1_790_000_000


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Components, the cache for them, and what the tests do with both."""

    cache: Path
    sources: Path
    components: tuple[Component, ...]

    @property
    def store(self) -> Store:
        return Store(root=self.cache / "toolchain")

    @property
    def entries(self) -> tuple[Entry, ...]:
        return entries(self.components, platform=Platform.native())

    def entry(self, name: str) -> Entry:
        return next(entry for entry in self.entries if entry.name == name)

    def path(self, name: str) -> Path:
        return self.store.folder(self.entry(name)) / name

    def manifest(self, folder: Path, entry: Entry) -> Manifest:
        return Manifest(
            component=entry.name,
            version=entry.component.version,
            key=entry.key,
            platform=str(entry.platform),
            go="go1.26.8",
            built_at="2026-09-21T13:33:20+00:00",
            build_seconds=1.5,
            modified=BUILT,
            files={name: FileRecord.of(folder / name) for name in entry.files},
        )

    def write(self, folder: Path, entry: Entry) -> Manifest:
        """What a build would leave in its output folder."""
        folder.mkdir(parents=True)
        for name in entry.component.programs:
            program = folder / name
            program.write_text(f"#!/bin/sh\necho {entry.name} version {entry.component.version}\n" + "# padding\n" * 50)
            program.chmod(0o755)
        modules = {"example.test/both@v1.0.0": {"LICENSE": "text of both\n"}, "example.test/none@v0.1.0": {}}
        own = {f"example.test/{entry.name}@v1.2.3": {"LICENSE": f"text of {entry.name}\n", "sub/NOTICE": "notice\n"}}
        Licences(modules={**modules, **own}).write(folder / LICENCES)
        return self.manifest(folder, entry)

    def install(self, *names: str) -> None:
        for entry in self.entries:
            if not names or entry.name in names:
                with self.store.lock():
                    folder = self.store.work / "output"
                    self.store.place(entry, folder, manifest=self.write(folder, entry))

    def leftovers(self) -> list[str]:
        """All in the store's folder but the entries that are complete and the lock."""
        complete = {
            entry.folder_name for entry in self.entries if self.store.condition(entry, verify=True).state == "installed"
        }
        return sorted(path.name for path in self.store.root.glob("*") if path.name not in {*complete, ".lock"})


@pytest.fixture
def make_component(tmp_path: Path) -> Callable[..., Component]:
    def make(name: str, *, version: str = "1.2.3", inputs: tuple[str, ...] = ()) -> Component:
        component = Component(
            name=name,
            package=f"example.test/{name}/cmd",
            module=f"example.test/{name}",
            inputs=inputs,
            sources=tmp_path / "sources",
        )
        component.folder.mkdir(parents=True, exist_ok=True)
        go_mod = f"module local/{name}\n\ngo 1.26.0\n\nrequire example.test/{name} v{version}\n"
        (component.folder / "go.mod").write_text(go_mod)
        (component.folder / "go.sum").write_text(f"example.test/{name} v{version} h1:abc=\n")
        return component

    return make


@pytest.fixture
def named(bench: Bench) -> Bench:
    """A bench whose first component is one program with two names."""
    alpha, *others = bench.components
    return replace(bench, components=(replace(alpha, names=("first", "second")), *others))


@pytest.fixture
def bench(tmp_path: Path, make_component: Callable[..., Component], monkeypatch: pytest.MonkeyPatch) -> Bench:
    cache = tmp_path / "cache"
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", str(cache))
    monkeypatch.delenv("FLUXLAB_TOOLCHAIN", raising=False)
    monkeypatch.delenv("FLUXLAB_TOOLCHAIN_BUNDLE", raising=False)
    components = (make_component("alpha"), make_component("beta", version="0.9.0-rc.1"))
    return Bench(cache=cache, sources=tmp_path / "sources", components=components)
