import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from tests.unit.toolchain.conftest import BUILT, Bench

from fluxlab.toolchain.entries import LICENCES
from fluxlab.toolchain.store import Condition, link_programs


def condition(bench: Bench, *, verify: bool = False) -> Condition:
    return bench.store.condition(bench.entry("alpha"), verify=verify)


def test_nothing_is_missing_not_damaged(bench: Bench) -> None:
    assert condition(bench).state == "missing"


def test_an_entry_is_installed_whole_and_nothing_else_is_left(bench: Bench) -> None:
    bench.install()
    assert condition(bench, verify=True).state == "installed"
    assert {path.name for path in bench.path("alpha").parent.iterdir()} == {"alpha", LICENCES, "manifest.json"}
    assert bench.leftovers() == []


@pytest.mark.parametrize("name", ["alpha", LICENCES])
def test_a_file_cut_short_is_found_by_a_glance(bench: Bench, name: str) -> None:
    bench.install()
    path = bench.path("alpha").parent / name
    size = path.stat().st_size
    os.truncate(path, size - 1)
    os.utime(path, (BUILT, BUILT))
    found = condition(bench)
    assert (found.state, found.reason) == ("damaged", f"{name} has {size - 1} bytes instead of {size}")


def test_an_altered_file_is_found_by_a_glance_as_its_time_changed(bench: Bench) -> None:
    bench.install()
    flip_last_byte(bench.path("alpha"))
    found = condition(bench)
    assert (found.state, found.reason) == ("damaged", "alpha was altered: its digest is not the recorded one")


def test_an_altered_file_with_its_time_restored_needs_the_full_look(bench: Bench) -> None:
    bench.install()
    flip_last_byte(bench.path("alpha"))
    os.utime(bench.path("alpha"), (BUILT, BUILT))
    assert condition(bench).state == "installed"
    assert condition(bench, verify=True).state == "damaged"


def test_a_file_that_was_only_touched_is_intact_and_read_once(bench: Bench) -> None:
    bench.install()
    bench.path("alpha").touch()
    assert condition(bench).state == "installed"
    assert bench.path("alpha").stat().st_mtime_ns == BUILT * 10**9


@pytest.mark.parametrize("number", [errno.EPERM, errno.EROFS])
def test_a_write_protected_copy_that_lost_its_times_is_intact(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def protected(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    bench.install()
    bench.path("alpha").touch()
    monkeypatch.setattr(os, "utime", protected)
    assert condition(bench).state == "installed"


def test_a_copy_that_keeps_times_is_known_without_being_read(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install()
    shutil.copytree(bench.cache, tmp_path / "copy")  # copies times, as cp -a does
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("the file was read"))
    copy = type(bench.store)(root=tmp_path / "copy" / "toolchain")
    assert copy.condition(bench.entry("alpha")).state == "installed"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Expecting value"),
        ("[]", "no JSON object"),
        ('{"format": 2}', "format 2 is unknown"),
        ('{"format": 1, "component": 5}', "component is no text"),
        ("\x00\xff", "manifest.json"),
    ],
)
def test_a_manifest_that_is_none_is_damage(bench: Bench, content: str, reason: str) -> None:
    bench.install()
    (bench.path("alpha").parent / "manifest.json").write_text(content)
    found = condition(bench)
    assert found.state == "damaged"
    assert reason in found.reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "0" * 64),
        ("platform", "plan9/mips"),
        ("component", "beta"),
        ("files", {}),
        ("files", {"alpha": {"sha256": "x", "size": 1}, "../../x": {"sha256": "x", "size": 1}}),
    ],
)
def test_a_manifest_of_something_else_is_damage(bench: Bench, field: str, value: object) -> None:
    bench.install()
    path = bench.path("alpha").parent / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    assert condition(bench).reason == "manifest.json belongs to another build"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modified", -1),
        ("modified", 1.5),
        ("modified", 10**300),
        ("modified", True),
        ("build_seconds", "1"),
        ("key", None),
    ],
)
def test_a_manifest_with_impossible_values_is_damage(bench: Bench, field: str, value: object) -> None:
    bench.install()
    path = bench.path("alpha").parent / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    found = condition(bench)
    assert found.state == "damaged"
    assert field in found.reason


def test_lost_files_are_damage(bench: Bench) -> None:
    bench.install()
    bench.path("alpha").unlink()
    assert condition(bench).reason == "alpha: No such file or directory"
    (bench.path("alpha").parent / "manifest.json").unlink()
    assert "manifest.json" in condition(bench).reason


def test_a_program_that_may_not_run_is_damage(bench: Bench) -> None:
    bench.install()
    bench.path("alpha").chmod(0o644)
    assert condition(bench).reason == "alpha is not executable"


def test_a_damaged_entry_is_replaced(bench: Bench) -> None:
    bench.install()
    bench.path("alpha").write_text("gone")
    bench.install("alpha")
    assert condition(bench, verify=True).state == "installed"
    assert bench.leftovers() == []


def test_the_holder_of_the_lock_removes_what_another_left(bench: Bench) -> None:
    left = bench.store.work / "alpha" / "module"
    left.mkdir(parents=True)
    (left / "half.o").write_text("half")
    left.chmod(0o500)  # as parts of a module cache are
    with bench.store.lock():
        assert not left.exists()
        bench.store.work.mkdir()
    assert not bench.store.work.exists()


def test_work_is_removed_when_its_maker_fails(bench: Bench) -> None:
    def fail() -> None:
        with bench.store.lock():
            bench.store.work.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert bench.leftovers() == []


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["first", "second"])
def test_each_name_of_a_program_must_be_there_and_run(named: Bench, name: str) -> None:
    named.install()
    assert condition(named, verify=True).state == "installed"
    program = named.store.folder(named.entry("alpha")) / name
    program.chmod(0o600)
    assert condition(named).reason == f"{name} is not executable"
    program.unlink()
    assert condition(named).reason == f"{name}: No such file or directory"


def test_a_program_is_one_file_under_all_its_names(named: Bench, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(name)
    link_programs(tmp_path, named.components[0])
    assert (tmp_path / "first").samefile(tmp_path / "second")
    assert (tmp_path / "second").read_text() == "first"
