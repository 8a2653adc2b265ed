"""Programs that are run to their end: their output, their errors, and what their environment holds."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlab.commands import CommandError, run
from fluxlab.waiting import wait_until


def test_the_output_is_returned_as_text() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("given", ["ü\n", "ü\n".encode()])
def test_standard_input_is_text_or_bytes(given: str | bytes) -> None:
    assert run(["cat"], stdin=given).stdout == "ü\n"


def test_without_standard_input_a_program_that_reads_does_not_hang() -> None:
    script = "from fluxlab.commands import run; print(run(['cat'], timeout_seconds=10).stdout == '')"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.read() == b"True\n"  # while the caller's own input stays open


def test_output_that_is_no_text_does_not_fail() -> None:
    assert run(["printf", r"\377"]).stdout == "\ufffd"


def test_the_environment_is_added_to_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_TEST_OURS", "1")
    shown = run(["env"], environment={"FLUXLAB_TEST_GIVEN": "2"}).stdout.splitlines()
    assert {"FLUXLAB_TEST_OURS=1", "FLUXLAB_TEST_GIVEN=2"} <= set(shown)
    assert "FLUXLAB_TEST_GIVEN" not in os.environ


def test_it_runs_in_the_given_folder(tmp_path: Path) -> None:
    assert run(["pwd", "-P"], cwd=tmp_path).stdout.strip() == str(tmp_path.resolve())


def test_the_error_of_a_failure_names_command_exit_code_output_and_hint() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "echo out; echo err >&2; exit 3"], hint="try harder")
    error = caught.value
    assert str(error) == "sh -c 'echo out; echo err >&2; exit 3': exit code 3\n  out\n  err\nnext: try harder"
    assert (error.stdout, error.stderr, error.exit_code) == ("out\n", "err\n", 1)


def test_long_output_is_quoted_from_its_end() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 100; exit 1"])
    assert caught.value.facts == tuple(str(number) for number in range(81, 101))
    assert caught.value.stdout.startswith("1\n")


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=4))
def test_the_command_in_an_error_can_be_pasted_into_a_shell(words: list[str]) -> None:
    error = CommandError(["printf", *words], "exit code 1")
    assert shlex.split(error.what.removesuffix(": exit code 1")) == ["printf", *words]


def test_a_pasted_command_is_the_same_command(tmp_path: Path) -> None:
    script = tmp_path / "it's a script"
    script.write_text('#!/bin/sh\nprintf "<%s>" "$@"\nexit 1\n')
    script.chmod(0o700)
    with pytest.raises(CommandError) as caught:
        run([script, "a b", "$HOME", "", "quote'"])
    pasted = caught.value.what.removesuffix(": exit code 1")
    again = subprocess.run(pasted, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert again.stdout == caught.value.stdout == "<a b><$HOME><><quote'>"


def test_a_program_that_takes_too_long_is_ended_and_its_last_words_are_quoted(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"echo $$ > {pid}; echo half; echo why >&2; exec sleep 60"
    began = time.monotonic()
    with pytest.raises(CommandError, match=r"no end within 0\.5 s") as caught:
        run(["sh", "-c", script], timeout_seconds=0.5)
    assert time.monotonic() - began < 30
    assert caught.value.facts == ("half", "why")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandError, match=r"^/no/such/program -x: /no/such/program: no such program or folder$"):
        run(["/no/such/program", "-x"])


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"/missing: no such program or folder$"):
        run(["true"], cwd=tmp_path / "missing")


def test_a_file_that_is_no_program_is_an_error_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("x")
    with pytest.raises(CommandError, match=r"data: .*[Pp]ermission"):
        run([file])


def test_a_folder_that_is_a_file_is_an_error_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="true: "):
        run(["true"], cwd=tmp_path / "file")


def test_below_git_a_git_command_is_about_its_own_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test suite may run in a git hook, where git tells its children by GIT_DIR which repository is meant."""
    for name in ("users", "labs"):
        subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / name], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "users"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    shown = run(["git", "-C", tmp_path / "labs", "rev-parse", "--absolute-git-dir"]).stdout.strip()
    assert shown == str((tmp_path / "labs").resolve())
    chosen = run(["git", "rev-parse", "--absolute-git-dir"], environment={"GIT_DIR": str(tmp_path / "labs")})
    assert chosen.stdout.strip() == str((tmp_path / "labs").resolve())


def test_the_program_may_be_given_as_a_path() -> None:
    assert run([Path(sys.executable), "-c", "print(1)"]).stdout == "1\n"


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    grandchild = tmp_path / "pid"
    script = f"sleep 300 & echo $! > {grandchild}; wait"
    with pytest.raises(CommandError, match="no end within"):
        run(["sh", "-c", script], timeout_seconds=1)
    wait_until(lambda: not _runs(int(grandchild.read_text())), what="the grandchild ends", timeout_seconds=10)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
