"""Find what a person calls a kind among the resources that an API server serves."""

import threading
from collections.abc import Sequence

from fluxlab.errors import UsageError

from .api import KubeApi
from .resources import FLUX_RESOURCES, WORKLOADS, Resource


class Kinds:
    """The resources of one cluster by the names of their kinds. Thread-safe."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._served: Sequence[Resource] = ()

    def find(self, name: str) -> Resource:
        """By kind, plural, or plural and group: `HelmRelease`, `helmreleases`, `events.events.k8s.io`.

        Raises UsageError for a name that no resource has, or several have.
        """
        known = _named(name, (*FLUX_RESOURCES, *WORKLOADS))
        matches = known or _named(name, self._served) or _named(name, self._discover())
        if not matches:
            raise UsageError(f"the cluster serves no kind {name!r}", hint="fluxlab kubectl api-resources")
        core = [found for found in matches if not found.group]  # Event is that of the core group, as for kubectl
        if len(matches) > 1 and not core:
            facts = [f"{found.plural}.{found.group}" for found in matches]
            raise UsageError(f"several groups have a kind {name!r}", facts=facts)
        return (core or matches)[0]

    def _discover(self) -> Sequence[Resource]:
        with self._lock:
            first: dict[tuple[str, str], Resource] = {}
            for resource in self._api.resources():
                first.setdefault((resource.group, resource.plural), resource)  # the preferred version
            self._served = tuple(first.values())
        return self._served


def _named(name: str, resources: Sequence[Resource]) -> list[Resource]:
    wanted = name.lower()
    return [
        resource
        for resource in resources
        if wanted in {resource.kind.lower(), resource.plural, f"{resource.plural}.{resource.group}"}
    ]
