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
        self._known: dict[str, KubeObject] = {}
        self.stopping = threading.Event()

    def run(self) -> None:
        """Tell each change, also what came of those that nobody watched."""
        while not self.stopping.is_set():
            try:
                self._follow()
            except Exception as error:  # noqa: BLE001 # nothing may end this thread: scaling would go unnoticed
                if not self.stopping.is_set():
                    log.info("watch of Deployments: %s", error)
            self.stopping.wait(RECONNECT_SECONDS)  # not a wait for a fact: a pause between attempts to reconnect

    def _follow(self) -> None:
        """Tell how it is now, then what changes: a watch says nothing of what was deleted before it began."""
        found = self._api.listing(DEPLOYMENT, namespace=NAMESPACE)
        there = {one.name for one in found.objects}
        for gone in [one for name, one in self._known.items() if name not in there]:
            self._tell("DELETED", gone)
        for deployment in found.objects:
            self._tell("MODIFIED", deployment)
        version = found.resource_version
        for kind, deployment in self._api.watch(DEPLOYMENT, namespace=NAMESPACE, resource_version=version):
            self._tell(kind, deployment)

    def _tell(self, kind: str, deployment: KubeObject) -> None:
        if kind in {"ADDED", "MODIFIED"}:
            self._known[deployment.name] = deployment
            self._changed(deployment)
        elif kind == "DELETED":
            self._known.pop(deployment.name, None)
            self._deleted(deployment)
