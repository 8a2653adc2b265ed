"""Files with Secrets that a test run or a command needs: for their owner only, and removed when it has ended."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from .errors import UsageError
from .files import make_private, write_private
from .processes import Identity
from .state import state_folder

_BEGAN = ".began"
"""When the process of a run began, in its folder: containers give pids again."""


def run_folder(run: str) -> Path:
    """The folder of the run of that name, `<token>-<pid>`, whichever of its processes asks first. Raises OSError."""
    folder = make_private(_runs() / run)
    with suppress(ProcessLookupError, ValueError):  # it has ended, and with it the run
        write_private(folder / _BEGAN, str(Identity.of(_pid(folder)).since_boot))
    return folder


def remove_runs(*ended: str) -> None:
    """Remove what these runs have left, and all whose process has ended without doing so."""
    for folder in _runs().glob("*-*"):
        if folder.name in ended or not _runs_still(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def secret_files() -> Iterator[Path]:
    """A folder for such files of this process. After SIGKILL it goes with the next run.

    Raises UsageError where there can be none.
    """
    run = f"{secrets.token_hex(3)}-{os.getpid()}"
    try:
        remove_runs()
        try:
            folder = run_folder(run)
        except OSError as error:
            hint = "let FLUXLAB_STATE_DIR name a folder that can be written to"
            raise UsageError("there is no place for files with Secrets", facts=[str(error)], hint=hint) from None
        yield folder
    finally:
        remove_runs(run)


def _runs() -> Path:
    return state_folder() / "pytest"


def _pid(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _runs_still(folder: Path) -> bool:
    try:
        identity = Identity.of(_pid(folder))
        with suppress(FileNotFoundError):  # it is being made
            identity = replace(identity, since_boot=float((folder / _BEGAN).read_text()))
    except (ProcessLookupError, ValueError):  # written whole or not at all: a power cut has emptied it
        return False
    return identity.process() is not None
