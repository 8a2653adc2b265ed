"""Faults that are nothing but objects in the API: they are there, or they are not."""

from abc import abstractmethod
from collections.abc import Sequence

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, having
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json
from fluxlab.faults.base import Fault, Ground, Injection, P
from fluxlab.faults.means.places import remove


def manifest(resource: Resource, name: str, **content: Json) -> KubeObject:
    """An object without a namespace, to be created."""
    return KubeObject(
        {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **content}
    )


class Objects(Fault[P]):
    """They outlive whoever made them, and are known by their names. Not where Flux belongs to somebody else."""

    needs = frozenset({Capability.BOOTSTRAP})

    @abstractmethod
    def objects(self, injection: Injection[P]) -> Sequence[tuple[Resource, KubeObject]]:
        """All of them, in the order in which they are made; none has a namespace."""

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        labels = ground.cluster.root.labels  # in somebody's cluster they go with the lab, whatever becomes of it
        for resource, wanted in self.objects(injection):
            ground.api.create(resource, having(wanted.raw, ("metadata", "labels"), labels))

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        for resource, made in reversed(self.objects(injection)):
            remove(ground.api, resource, made.name)

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        return [
            ground.typed("kubectl", "delete", f"{resource.plural}.{resource.group}", made.name)
            for resource, made in self.objects(injection)
        ]
