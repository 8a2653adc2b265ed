"""What masks the secrets of a lab in what a person is shown of it."""

import math
import time

from fluxlab.clusters.masking import Masking
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder

from .output import say

ASK_SECONDS = 1.0
"""How often clusters are asked by who follows a log: the recorder tells what was set meanwhile, a moment later."""


class Masks:
    """Called once a text was read, it is what masks all that can be known. A cluster that does not answer is named,
    once: just then people need to see what happened.
    """

    def __init__(self, folder: LabFolder) -> None:
        self._masking = Masking(TimelineFolder(folder))
        self._named: set[str] = set()
        self._asked = -math.inf

    def __call__(self) -> Redactor:
        """What masks all that is in the clusters' Secrets now."""
        unread = self._masking.learn_all()
        self._asked = time.monotonic()  # not before: a cluster that hangs takes longer than ASK_SECONDS
        for cluster, why in unread.items():
            if cluster not in self._named:
                self._named.add(cluster)
                say(
                    f"warning: the Secrets of cluster {cluster} cannot be read, so that values which were set last "
                    f"may be shown: {why}"
                )
        return self._masking.redactor

    def often(self) -> Redactor:
        """The same for who asks again and again: clusters are asked every ASK_SECONDS at most."""
        if time.monotonic() - self._asked >= ASK_SECONDS:
            return self()
        self._masking.recall()
        return self._masking.redactor
