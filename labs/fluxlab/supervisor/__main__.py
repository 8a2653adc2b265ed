"""`python -m fluxlab.supervisor FOLDER`: the process that owns one lab."""

import logging
import sys
from pathlib import Path

from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.toolchain import find

from .lifecycle import Supervisor


def main() -> int:
    """Run the lab of the folder given as the only argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    folder = LabFolder(Path(sys.argv[1]))
    spec = LabSpec.model_validate_json(folder.spec.read_text())
    return Supervisor(folder, spec, find()).run()


if __name__ == "__main__":
    sys.exit(main())
