"""`python -m fluxlab.supervisor FOLDER remove|keep`: the process that owns one lab. Standard input is its lifeline."""

import logging
import os
import sys
from pathlib import Path

from fluxlab.errors import FluxlabError
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder, held

from . import starter
from .lifecycle import Supervisor

log = logging.getLogger(__name__)


def main() -> int:
    """Run the lab of a folder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.umask(0o077)
    folder, orphaned = LabFolder(Path(sys.argv[1])), sys.argv[2]
    if not starter.may_begin(sys.stdin.fileno()):
        return 1
    supervisor = Supervisor(folder, LabSpec.model_validate_json(folder.spec.read_text()))
    starter.watch(sys.stdin.fileno(), supervisor.orphan)
    code = supervisor.run()
    if supervisor.orphaned and orphaned == starter.REMOVE:
        _remove(folder)
    return code


def _remove(folder: LabFolder) -> None:
    """Remove what nobody else will: the starter is gone. Whoever holds the lock has taken over."""
    try:
        with held(folder.lock(), what=f"lab {folder.name}", timeout_seconds=0):
            folder.remove()
    except FluxlabError as error:
        log.info("not removed: %s", error)


if __name__ == "__main__":
    sys.exit(main())
