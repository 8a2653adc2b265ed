"""Objects that nobody owns, in namespaces that git fills."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.managed_fields import creators
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import FLUX_RESOURCES, HELM_STORAGE, Resource
from fluxlab.documents import Json
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner

from .fields import is_platform

LAB_MANAGERS = frozenset({"fluxlab"})
"""What the lab itself made: the keys to its servers, the Receiver, and the Secrets that `secret set` was asked for."""
_DERIVED = frozenset({"events", "endpoints", "endpointslices", "leases", "controllerrevisions", "podmetrics"})
"""What controllers derive from other objects, and what is no object that anybody would make."""


def orphans(
    api: KubeApi, served: Iterable[Resource], wanted: Sequence[KubeObject], *, untold: Sequence[KubeObject] = ()
) -> list[KubeObject]:
    """All objects beside `wanted`, in the same namespaces, that none owns, no program made and nobody asked for.

    What says that it belongs to one of `untold`, owners of which it is not known what they want, is none either.
    """
    owners = {(one.kind, one.namespace, one.name) for one in untold}
    owned = {_id(subject) for subject in wanted}
    namespaces = {subject.namespace for subject in wanted if subject.namespace}
    referred = {found for resource in FLUX_RESOURCES for subject in api.list(resource) for found in _asked_for(subject)}
    found: dict[tuple[str, str, str], KubeObject] = {}
    for resource in served:
        if not resource.namespaced or resource.plural in _DERIVED:
            continue
        for subject in api.list(resource):
            known = subject.namespace not in namespaces or _id(subject) in owned | referred
            if not known and owners.isdisjoint(_owners(subject)) and _stray(subject):
                found.setdefault(_id(subject), subject)  # served in several versions, it is one object
    return [found[key] for key in sorted(found)]


def _id(subject: KubeObject) -> tuple[str, str, str]:
    return subject.kind, subject.namespace, subject.name


def _owners(subject: KubeObject) -> Iterator[tuple[str, str, str]]:
    """The owners that an object names, rightly or not."""
    yield ("Kustomization", *owner(subject, KUSTOMIZE_LABEL))
    yield ("HelmRelease", *owner(subject, HELM_LABEL))


def _stray(subject: KubeObject) -> bool:
    if items_at(subject.raw, "metadata", "ownerReferences") or text_at(subject.raw, "type") == HELM_STORAGE:
        return False
    made_by = creators(subject.raw)
    if subject.kind == "ServiceAccount" and subject.name == "default":
        return False  # Kubernetes makes it, without a word on who did
    return not made_by or not all(is_platform(manager) or manager in LAB_MANAGERS for manager in made_by)


def _asked_for(flux_object: KubeObject) -> Iterator[tuple[str, str, str]]:
    """The Secrets and ConfigMaps that a Flux object reads: their content is not git's to say."""
    yield from _references(dig(flux_object.raw, "spec"), flux_object.namespace, key="")


def _references(value: Json, namespace: str, *, key: str) -> Iterator[tuple[str, str, str]]:
    name = text_at(value, "name")
    if name and key.endswith("secretRef".lower()):
        yield "Secret", namespace, name
    if name and key in {"substitutefrom", "valuesfrom"}:
        yield text_at(value, "kind"), namespace, name
    if items := items_at(value):
        for item in items:
            yield from _references(item, namespace, key=key)
    elif isinstance(value, Mapping):
        for inner_key, inner in value.items():
            yield from _references(inner, namespace, key=str(inner_key).lower())
