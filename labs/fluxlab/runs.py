"""The files of a test run that hold Secrets: for their owner only, and removed when the run has ended."""

import shutil
from pathlib import Path

import psutil

from .state import state_folder


def run_folder(run: str) -> Path:
    """The folder of the run of that name, `<token>-<pid>`; it may not exist yet."""
    return _runs() / run


def remove_runs(*ended: str) -> None:
    """Remove what these runs have left, and all whose process has ended without doing so."""
    for folder in _runs().glob("*-*"):
        if folder.name in ended or not _runs_still(folder.name.rpartition("-")[2]):
            shutil.rmtree(folder, ignore_errors=True)


def _runs() -> Path:
    return state_folder() / "pytest"


def _runs_still(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
