"""Objects by their places (`NAMESPACE/NAME`), of which nobody knows whether they are still there."""

from collections.abc import Callable
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, KubeApi
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


def ignore_missing(act: Callable[[], object]) -> None:
    """Do something to an object that may have gone meanwhile."""
    try:
        act()
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
