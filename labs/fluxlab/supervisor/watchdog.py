"""The watchdog of faults: what nobody can want any more is taken out, by a process of its own."""

import logging
import os
import sys
import time

from fluxlab.fault_records import FaultRecords
from fluxlab.processes import Identity, ManagedProcess
from fluxlab.state import LabFolder

from .elsewhere import Elsewhere

PAUSE_SECONDS = 5.0
"""Between the end of a healer and the next one: one that fails would fail at once again."""
log = logging.getLogger(__name__)


class Watchdog:
    """Starts a healer when a fault is overdue. Main thread of the supervisor only."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder
        self._records = FaultRecords(folder)
        self._own = Identity.of(os.getpid())
        self._healer: ManagedProcess | None = None
        self._next = 0.0
        self._parted = False

    def look(self) -> None:
        """See whether there is something to take out."""
        if (self._healer and self._healer.running) or time.monotonic() < self._next:
            return
        try:
            if due := self._records.due(self._own):
                self._next = time.monotonic() + PAUSE_SECONDS
                log.info("overdue: %s", ", ".join(one.id for one in due))
                self._heal("--overdue")
        except OSError as error:  # a full disk, no room for a process: the lab goes on, and a later look tries again
            self._next = time.monotonic() + PAUSE_SECONDS
            log.warning("no healer can be started: %s", error)

    def part(self) -> bool:
        """Before the lab goes: have faults taken out of clusters that are there without it. Whether that is over.

        It is tried once; what could not be taken out is there for `Elsewhere` to find.
        """
        if self._healer and self._healer.running:
            return False
        left = () if self._parted else Elsewhere.of(self._folder).ids
        self._parted = True
        if left:
            try:
                log.info("to be taken out before the lab goes: %s", ", ".join(left))
                self._heal(*left)
            except OSError as error:
                log.warning("no healer can be started: %s", error)
        return not left

    def _heal(self, *arguments: str) -> None:
        words = [sys.executable, "-m", "fluxlab", "heal", *arguments, f"--lab={self._folder.name}"]
        environment = {**os.environ, "FLUXLAB_STATE_DIR": str(self._folder.root.parents[1])}
        self._healer = ManagedProcess("healer", words, log=self._records.log, environment=environment)

    def identities(self) -> dict[str, Identity]:
        """The healer, if it runs, for the lab's record."""
        return {"healer": self._healer.identity} if self._healer and self._healer.running else {}

    def stop(self) -> None:
        """End the healer: with the lab everything goes."""
        if self._healer:
            self._healer.stop(grace_seconds=1)
