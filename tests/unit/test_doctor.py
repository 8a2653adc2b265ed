"""What the doctor finds on a machine that lacks something, and what it says to do."""

import json
import resource
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, run

from fluxlab import doctor
from fluxlab.doctor import Finding, examine
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase, Record

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("state_dir")
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 # as shutil has it


LOOKS = {
    "operating system": doctor._system,
    "git": doctor._git,
    "toolchain": doctor._toolchain,
    "state folder": doctor._state,
    "ports": doctor._ports,
    "labs": doctor._labs,
    "open files": doctor._descriptors,
    "backend kind": doctor._kind,
}


def found(subject: str) -> Finding:
    finding = LOOKS[subject]()
    assert finding.subject == subject
    return finding


def git_that_says(folder: Path, text: str) -> str:
    """A PATH on which git is a program that says this."""
    program = folder / "git"
    program.write_text(f"#!/bin/sh\necho '{text}'\n")
    program.chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("said", "verdict", "told"),
    [
        ("git version 2.31.0", "ok", "2.31.0"),
        ("git version 2.39.5 (Apple Git-154)", "ok", "2.39.5"),
        ("git version 10.0.1.windows.1", "ok", "10.0.1.windows.1"),
        ("git version 2.30.9", "bad", "2.30.9 is older than 2.31"),
        ("git version 1.99", "bad", "1.99 is older than 2.31"),
        ("not a version", "unknown", "cannot be read"),
        ("", "unknown", "cannot be read"),
    ],
)
def test_a_git_that_is_too_old_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, verdict: str, told: str
) -> None:
    monkeypatch.setenv("PATH", git_that_says(tmp_path, said))
    git = found("git")
    assert git.verdict == verdict
    assert told in git.detail
    assert bool(git.hint) == (verdict == "bad")


@pytest.mark.parametrize(("system", "verdict"), [("linux", "ok"), ("darwin", "bad"), ("win32", "bad")])
def test_a_system_on_which_no_lab_can_run_is_named(monkeypatch: pytest.MonkeyPatch, system: str, verdict: str) -> None:
    monkeypatch.setattr("sys.platform", system)
    finding = found("operating system")
    assert finding.verdict == verdict
    assert ("labs run on Linux only" in finding.detail) is (verdict == "bad")


def test_a_machine_without_git_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found("git") == Finding(subject="git", verdict="bad", detail="not found", hint="install git")


def test_a_toolchain_that_is_not_there_is_named_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path))
    toolchain = found("toolchain")
    assert toolchain.verdict == "bad"
    assert toolchain.hint


def test_a_state_folder_that_cannot_be_made_or_has_no_room_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**10, 9 * 10**9, 10**9))
    assert (found("state folder").verdict, found("state folder").hint) == ("bad", "free at least 2 GB")
    assert "1.0 GB free" in found("state folder").detail
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path / "file" / "below"))
    state = found("state folder")
    assert (state.verdict, state.hint) == ("bad", "set FLUXLAB_STATE_DIR to a writable folder")
    assert str(tmp_path / "file") in state.detail


def test_labs_that_a_dead_supervisor_left_are_named_with_how_to_end_them() -> None:
    assert found("labs") == Finding(subject="labs", verdict="ok", detail="0 running")
    folder = LabFolder.named("one")
    folder.create()
    folder.write_record(Record(phase=Phase.READY, supervisor=Identity(pid=1, since_boot=-1.0)))
    labs = found("labs")
    assert (labs.verdict, labs.hint) == ("bad", "fluxlab down one")


@pytest.mark.parametrize(("limit", "verdict"), [(1024, "ok"), (1023, "bad")])
def test_a_low_limit_of_open_files_is_named(monkeypatch: pytest.MonkeyPatch, limit: int, verdict: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, 4096))
    files = found("open files")
    assert (files.verdict, str(limit) in files.detail) == (verdict, True)
    assert files.hint == ("" if verdict == "ok" else "ulimit -n 1024")


@pytest.mark.usefixtures("refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_machine_without_docker_lacks_one_backend_and_is_not_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nobody'}")
    kind = found("backend kind")
    assert kind.verdict == "absent"
    assert f"no Docker daemon answers at unix://{tmp_path / 'nobody'}" in kind.detail
    assert kind.hint


def test_each_is_looked_at_whatever_is_wrong_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "nonsense://")
    verdicts = {finding.subject: finding.verdict for finding in examine()}
    assert list(verdicts) == list(LOOKS)
    assert (verdicts["git"], verdicts["toolchain"], verdicts["backend kind"]) == ("bad", "bad", "absent")


@pytest.mark.parametrize(("verdicts", "code"), [(("ok", "absent", "unknown"), 0), (("ok", "bad"), 1)])
def test_only_what_is_bad_makes_the_command_fail(
    run: Run, monkeypatch: pytest.MonkeyPatch, verdicts: tuple[str, ...], code: int
) -> None:
    findings = [Finding(subject=f"part {verdict}", verdict=verdict, detail="seen", hint="act") for verdict in verdicts]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    shown = run("doctor")
    assert shown.code == code
    assert [line.split() for line in shown.out.splitlines()[::2]] == [
        [verdict, "part", f"{verdict}:", "seen"] for verdict in verdicts
    ]
    assert set(shown.out.splitlines()[1::2]) == {"        next: act"}
    told = run("doctor", "-o", "json")
    assert told.code == code
    assert [finding["verdict"] for finding in json.loads(told.out)["findings"]] == list(verdicts)
    assert json.loads(told.out)["capabilities"] == doctor.capabilities()
