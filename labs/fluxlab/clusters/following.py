"""A lab's Flux controllers follow their Deployments: each change is handed to whoever may start processes."""

import logging
import threading
from collections.abc import Callable

from .api import KubeApi
from .flux_controllers import NAMESPACE
from .objects import KubeObject
from .resources import DEPLOYMENT

RECONNECT_SECONDS = 0.5
log = logging.getLogger(__name__)


class Following(threading.Thread):
    """Watches the Deployments of flux-system until it is told to stop."""

    def __init__(
        self, api: KubeApi, *, changed: Callable[[KubeObject], object], deleted: Callable[[KubeObject], object]
    ) -> None:
        super().__init__(name="follow", daemon=True)
        self._api = api
        self._changed, self._deleted = changed, deleted
        self.stopping = threading.Event()

    def run(self) -> None:
        """Tell each change."""
        while not self.stopping.is_set():
            try:
                for kind, deployment in self._api.watch(DEPLOYMENT, namespace=NAMESPACE):
                    if kind in {"ADDED", "MODIFIED"}:
                        self._changed(deployment)
                    elif kind == "DELETED":
                        self._deleted(deployment)
            except Exception as error:  # noqa: BLE001 # nothing may end this thread: scaling would go unnoticed
                if not self.stopping.is_set():
                    log.info("watch of Deployments: %s", error)
            self.stopping.wait(RECONNECT_SECONDS)  # not a wait for a fact: a pause between attempts to reconnect
