"""Objects by their places (`NAMESPACE/NAME`), of which nobody knows whether they are still there."""

from fluxlab.clusters.api import KubeApi, ignore_missing
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.places import parse_place


def place_of(subject: KubeObject) -> str:
    """Where an object is."""
    return f"{subject.namespace}/{subject.name}"


def find_at(api: KubeApi, resource: Resource, place: str) -> KubeObject | None:
    """The object at a place, or None when it is not there (any more)."""
    namespace, name = parse_place(place)
    return api.find(resource, name, namespace=namespace)


def uid_of(subject: KubeObject) -> str:
    """What tells an object from another one of its name."""
    return text_at(subject.raw, "metadata", "uid")


def remove(api: KubeApi, resource: Resource, name: str, *, namespace: str | None = None) -> None:
    """Delete an object, if it is still there."""
    ignore_missing(lambda: api.delete(resource, name, namespace=namespace))
