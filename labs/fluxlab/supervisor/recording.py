"""The recorder's process: started with the lab, started again when it dies, and what is told of it."""

import os
import sys
import time
from collections.abc import Callable

from fluxlab.processes import Identity, ManagedProcess, ProcessGroup
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import RECORDER

PAUSE_SECONDS = 2.0
"""From its start to the next one at least; one that lives as long has got over what its predecessor died of."""
LONGEST_PAUSE_SECONDS = 10.0
STOP_GRACE_SECONDS = 0.5


class Recording:
    """Owns the recorder. It is no part of what a lab tests: its death is made good without being asked."""

    def __init__(self, folder: LabFolder, *, changed: Callable[[ManagedProcess], None]) -> None:
        self._folder = folder
        self._processes = ProcessGroup(changed=changed)
        self._wanted = False
        self._started = 0.0
        self._trouble = ""
        self._pause = PAUSE_SECONDS

    def prepare(self) -> None:
        """Have it load, while there is time for it, and do nothing before `start`. Main thread only."""
        self._launch(held_back=True)

    def start(self) -> None:
        """Have it record. Main thread only."""
        self._wanted = True
        self._started = time.monotonic()
        if self.process:
            self.process.let_go()
        if self.process is None or not self.process.running:
            self._launch()

    def _launch(self, *, held_back: bool = False) -> None:
        words = [sys.executable, "-m", "fluxlab.recorder", str(self._folder.root)]
        self._processes.start(RECORDER, words, log=self._folder.recorder_log, held_back=held_back)

    def revive(self) -> None:
        """Start it again if it died, after a pause that grows while it dies at once. Main thread only."""
        process = self.process
        if process is None or process.running or not self._wanted:
            return
        lived = time.monotonic() - self._started
        self._trouble = self._said(process)
        if lived > self._pause:
            self._pause = (
                PAUSE_SECONDS if lived > LONGEST_PAUSE_SECONDS else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            )
            try:
                self.start()
            except OSError as error:  # no log, no process: a lab does without its record for a while
                self._trouble = f"the recorder cannot be started: {error}"

    @property
    def process(self) -> ManagedProcess | None:
        """The process, dead or alive; None before `start`."""
        return self._processes.get(RECORDER)

    @property
    def trouble(self) -> str:
        """Why it does not record; empty when it does."""
        process = self.process
        if process is None:
            return ""
        if not process.running:
            return self._said(process)
        return self._trouble if time.monotonic() - self._started < PAUSE_SECONDS else ""

    def _said(self, process: ManagedProcess) -> str:
        text = str(process.died())
        if process.ending == f"exit code {os.EX_IOERR}":
            text += f"\n  the timeline cannot be written: is the disk full, or {self._folder.timeline} read-only?"
        return text

    def identities(self) -> dict[str, Identity]:
        """The process, if it runs, for the lab's record."""
        return self._processes.identities()

    def repair(self) -> list[str]:
        """Start it again if it is paused; what died is started again anyway. Returns the names. Main thread only."""
        if self.process is None or not self.process.paused:
            return []
        self.restart()
        return [RECORDER]

    def restart(self) -> None:
        """Stop and start it. Main thread only."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it; it writes what it has seen."""
        self._wanted = False
        self._processes.stop(RECORDER, grace_seconds=STOP_GRACE_SECONDS)
