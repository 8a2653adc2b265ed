"""What is there: the objects of a cluster that somebody could have made, read once."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import EVENT, Resource, is_derived
from fluxlab.documents import Json

Served = Mapping[tuple[str, str], Resource]
"""What a cluster serves, by apiVersion and kind."""


def served_by(api: KubeApi) -> Served:
    """What a cluster serves. Raises ApiError or ApiUnreachableError."""
    return {(found.api_version, found.kind): found for found in api.resources(verb="list")}


@dataclass(frozen=True)
class Live:
    """All objects of some resources at one moment."""

    _objects: Mapping[Resource, Mapping[tuple[str, str], KubeObject]]
    unread: Mapping[Resource, str]
    """What could not be listed, and why: an API that another server answers for may be down."""

    def find(self, resource: Resource, namespace: str, name: str) -> KubeObject | None:
        """One object, or None when it is not there."""
        return self._objects.get(resource, {}).get((namespace, name))

    def has_owner(self, reference: Json, namespace: str) -> bool | None:
        """Whether the owner that an object in a namespace refers to is there; None if such objects were not read."""
        group, kind = text_at(reference, "apiVersion").rpartition("/")[0], text_at(reference, "kind")
        resources = [one for one in self._objects if (one.group, one.kind) == (group, kind)]
        found = (self.find(one, namespace if one.namespaced else "", text_at(reference, "name")) for one in resources)
        uids = {text_at(owner.raw, "metadata", "uid") for owner in found if owner}
        return text_at(reference, "uid") in uids if resources else None

    def namespaced(self) -> Iterator[KubeObject]:
        """All objects that are in a namespace; one that is served in several versions may come several times."""
        for resource, found in self._objects.items():
            if resource.namespaced:
                yield from found.values()


def read(api: KubeApi, served: Served, wanted: Sequence[KubeObject], threads: ThreadPoolExecutor) -> Live:
    """What `wanted` may be compared with, and all that is in a namespace.

    Raises ApiError when the cluster refuses even to be asked, or ApiUnreachableError.
    """
    preferred: dict[tuple[str, str], Resource] = {}
    for resource in served.values():
        if resource.namespaced and resource.plural != EVENT.plural and not is_derived(resource):
            preferred.setdefault((resource.group, resource.plural), resource)
    known = filter(None, (served.get((one.api_version, one.kind)) for one in wanted))
    objects, unread = {}, {}

    def listed(resource: Resource) -> Sequence[KubeObject] | str:
        try:
            return api.list(resource)
        except ApiError as error:
            return error.what

    resources = list(dict.fromkeys((*known, *preferred.values())))
    for resource, found in zip(resources, threads.map(listed, resources), strict=True):
        if isinstance(found, str):
            unread[resource] = found
        else:
            objects[resource] = {(one.namespace, one.name): one for one in found}
    return Live(objects, unread)
