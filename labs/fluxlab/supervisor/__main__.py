"""`python -m fluxlab.supervisor`: the process that owns one lab. Its order comes by standard input, its lifeline."""

import logging
import os
import sys
from pathlib import Path

from fluxlab.errors import FluxlabError
from fluxlab.host import raise_open_files
from fluxlab.spec import stored_spec
from fluxlab.state import LabFolder, forget, held

from . import starter
from .launch import discard
from .lifecycle import Supervisor

logger = logging.getLogger(__name__)


def main() -> int:
    """Own the lab that the order names."""
    order = starter.await_order(sys.stdin.fileno())
    if order is None:
        return 1
    os.umask(0o077)
    raise_open_files()
    folder = LabFolder(order.folder)
    _write_to(folder.supervisor_log)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("urllib3", "httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    spec = stored_spec(folder.spec)
    supervisor = Supervisor(folder, spec, brief=order.brief)
    try:
        return supervisor.run(begun=lambda: starter.watch(sys.stdin.fileno(), supervisor.orphan))
    finally:
        if supervisor.orphaned and order.remove_orphaned:
            _remove(folder)


def _write_to(log: Path) -> None:
    """Have all output, of whatever library, go to a file: until here it went to the starter's terminal."""
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def _remove(folder: LabFolder) -> None:
    """Remove what nobody else will: the starter is gone. Whoever holds the lock has taken over."""
    try:
        lock = folder.lock()
        with held(lock, what=f"lab {folder.name}", timeout_seconds=0):
            discard(folder)
            forget(lock)
    except FluxlabError as error:
        logger.info("not removed: %s", error)


if __name__ == "__main__":
    sys.exit(main())
