"""`python -m fluxlab.recorder FOLDER`: record the clusters of the lab in a folder until SIGTERM.

It loads at once and begins at the end of its standard input.
"""

import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.kubeconfig import read_kubeconfig
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder

from .recorder import Recorder

TIMEOUT_SECONDS = 15
NICENESS = 10
"""What is recorded late is recorded all the same; what Flux does late is felt."""


def main(folder: LabFolder) -> int:
    """Record until told to stop; the exit code says whether the timeline could be written."""
    timeline = TimelineFolder(folder)
    apis = {
        name: KubeApi(read_kubeconfig(folder.kubeconfig(name)), timeout_seconds=TIMEOUT_SECONDS)
        for name in timeline.clusters
    }
    began = datetime.fromtimestamp(folder.spec.stat().st_mtime, UTC)
    try:
        recorder = Recorder(timeline, apis, began=began)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: recorder.stopping.set())
        recorder.run()
    except OSError as error:
        logging.getLogger(__name__).error("the timeline cannot be written: %s", error)
        return os.EX_IOERR
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.nice(NICENESS)
    sys.stdin.read()
    code = main(LabFolder(Path(sys.argv[1])))
    logging.shutdown()
    os._exit(code)  # the watches wait for news that does not come
