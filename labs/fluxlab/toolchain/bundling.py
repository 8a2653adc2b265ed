"""Write an installed toolchain, with the licences of all that is in it, into one file for another machine."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .archives import NAME, add, add_file, compressed
from .components import COMPONENTS, Component
from .contents import LICENCES_FOLDER, Contents
from .entries import LICENCES, Entry, entries
from .errors import storage_errors
from .handle import open_toolchain
from .licences import Licences
from .lookup import cache_store, named_store
from .manifests import FileRecord, Manifest
from .platforms import Platform
from .store import Store

COMPRESSION_LEVEL = 9


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle as written. Whoever installs it can be told its digest on another way: only that proves its origin."""

    path: Path
    sha256: str
    size: int
    key: str


def bundle(
    destination: Path, *, platform: Platform | None = None, components: Sequence[Component] = COMPONENTS
) -> Bundle:
    """Write the installed toolchain into `destination`, whole or not at all; into a folder under a name of its own.

    Every file is compared with its digest first. The same toolchain gives the same bytes.
    Raises ToolchainError when something is missing or damaged, or the file cannot be written.
    """
    chosen = entries(components, platform=platform or Platform.native())
    store = named_store() or cache_store()
    key = open_toolchain(store, chosen, verify=True).key
    target = destination / _file_name(chosen[0].platform, key) if destination.is_dir() else destination
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with storage_errors("the bundle cannot be written", place=target.parent):
        try:
            _write(temporary, store=store, chosen=chosen, key=key)
            written = FileRecord.of(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return Bundle(path=target, sha256=written.sha256, size=written.size, key=key)


def _file_name(platform: Platform, key: str) -> str:
    return f"fluxlab-toolchain-{platform.system}-{platform.architecture}-{key[:12]}.tar.zst"


def _write(path: Path, *, store: Store, chosen: Sequence[Entry], key: str) -> None:
    texts, without = _licences(store, chosen)
    manifests = {entry: Manifest.read(store.folder(entry)) for entry in chosen}
    contents = Contents(
        platform=str(chosen[0].platform),
        key=key,
        created=max(manifest.built_at for manifest in manifests.values()),
        components=tuple(manifests.values()),
        licences={name: _record(text) for name, text in texts.items()},
        without_licence=tuple(without),
    )
    with compressed(path, level=COMPRESSION_LEVEL) as archive:
        add(archive, NAME, contents.to_json())
        for name in sorted(texts):
            add(archive, f"{LICENCES_FOLDER}/{name}", texts[name])
        for entry, manifest in sorted(manifests.items(), key=lambda item: item[0].folder_name):
            members = manifest.files.keys() - set(entry.other_names)
            for name in sorted(members, key=lambda name: (name != LICENCES, name)):
                add_file(archive, f"{entry.folder_name}/{name}", store.folder(entry) / name)


def _licences(store: Store, chosen: Sequence[Entry]) -> tuple[dict[str, bytes], list[str]]:
    """All texts by `<module>@<version>/<file>`, and the modules that have none."""
    texts: dict[str, bytes] = {}
    without: set[str] = set()
    for entry in chosen:
        found = Licences.read(store.folder(entry) / LICENCES)
        without.update(found.without)
        for module, names in found.modules.items():
            texts |= {f"{module}/{name}": text.encode() for name, text in names.items()}
    return texts, sorted(without)


def _record(content: bytes) -> FileRecord:
    return FileRecord(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
