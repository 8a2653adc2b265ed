"""Files with Secrets that a test run or a command needs: for their owner only, and removed when it has ended."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from .files import make_private
from .state import state_folder


def run_folder(run: str) -> Path:
    """The folder of the run of that name, `<token>-<pid>`; it may not exist yet."""
    return _runs() / run


def remove_runs(*ended: str) -> None:
    """Remove what these runs have left, and all whose process has ended without doing so."""
    for folder in _runs().glob("*-*"):
        if folder.name in ended or not _runs_still(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def secret_files() -> Iterator[Path]:
    """A folder for such files of this process. After SIGKILL it goes with the next run. Raises OSError."""
    run = f"{secrets.token_hex(3)}-{os.getpid()}"
    try:
        remove_runs()
        yield make_private(run_folder(run))
    finally:
        remove_runs(run)


def _runs() -> Path:
    return state_folder() / "pytest"


def _runs_still(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
