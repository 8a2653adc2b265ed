"""Files with Secrets are there as long as whoever needs them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fluxlab.runs import secret_files

HOLDS = """
from fluxlab.runs import secret_files
with secret_files() as folder:
    (folder / "token").write_text("secret")
    print(folder, flush=True)
    input()
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
