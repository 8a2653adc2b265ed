"""Files with Secrets are there as long as whoever needs them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fluxlab import processes
from fluxlab.runs import remove_runs, run_folder, secret_files
from fluxlab.state import state_folder

HOLDS = """
from fluxlab.runs import secret_files
with secret_files() as folder:
    (folder / "token").write_text("secret")
    print(folder, flush=True)
    input()
"""
WORKS = """
import sys
from fluxlab.runs import run_folder
(run_folder(sys.argv[1]) / "token").write_text("secret")
"""


@pytest.mark.usefixtures("state_dir")
def test_they_go_however_the_block_ends() -> None:
    with secret_files() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "token").write_text("secret")
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), secret_files() as folder:
        1 / 0  # noqa: B018 # whatever goes wrong
    assert not folder.exists()


def test_what_a_killed_process_left_goes_with_the_next_and_nothing_of_one_that_lives(state_dir: Path) -> None:
    environment = {**os.environ, "FLUXLAB_STATE_DIR": str(state_dir)}
    words = [sys.executable, "-c", HOLDS]
    with (
        subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living,
    ):
        left, kept = (Path(one.stdout.readline().strip()) for one in (killed, living) if one.stdout)
        killed.send_signal(signal.SIGKILL)
        killed.wait(60)
        assert (left / "token").exists()
        with secret_files():
            assert not left.exists()
            assert (kept / "token").exists()
        living.communicate("\n", timeout=60)
    assert not kept.exists()


def test_what_was_left_under_a_pid_that_was_given_again_goes(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:  # in containers the first process always has the same one
        earlier.setattr(processes, "start_time", lambda _: 1.0)
        left = run_folder(f"left-{os.getpid()}")
    (left / "token").write_text("secret")
    kept = run_folder(f"kept-{os.getpid()}")
    remove_runs()
    assert not left.exists()
    assert list((state_dir / "pytest").iterdir()) == [kept]


@pytest.mark.usefixtures("state_dir")
def test_the_files_of_a_run_are_there_until_its_own_process_has_ended_whoever_of_it_made_them() -> None:
    run = f"run-{os.getpid()}"
    subprocess.run([sys.executable, "-c", WORKS, run], check=True)
    remove_runs()
    assert (run_folder(run) / "token").exists()
    assert run_folder(run).stat().st_mode & 0o777 == 0o700
    remove_runs(run)
    assert not (state_folder() / "pytest" / run).exists()


@pytest.mark.usefixtures("state_dir")
@pytest.mark.parametrize("run", ["run-none", "run-999999999"])
def test_a_run_whose_process_is_not_there_leaves_nothing(run: str) -> None:
    folder = run_folder(run)
    remove_runs()
    assert not folder.exists()


@pytest.mark.usefixtures("state_dir")
@pytest.mark.parametrize("began", [b"", b"\0\0\0\0", b"{", b"\xff"])
def test_a_run_of_which_a_power_cut_has_left_no_beginning_has_ended(began: bytes) -> None:
    left = run_folder(f"left-{os.getpid()}")
    (left / ".began").write_bytes(began)
    with secret_files():
        assert not left.exists()
