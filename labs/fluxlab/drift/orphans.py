"""Objects that nobody owns, in namespaces that git fills. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from fluxlab.clusters.api import FIELD_MANAGER
from fluxlab.clusters.managed_fields import creators
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import HELM_CHART, HELM_STORAGE, NAMESPACE, is_flux
from fluxlab.documents import Json
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner
from fluxlab.timeline.attribution import APPLIERS

from .fields import is_platform
from .live import Live

_Id = tuple[str, str, str]
HELM_HOOK = "helm.sh/hook"


def orphans(
    there: Live,
    wanted: Sequence[KubeObject],
    *,
    told: Sequence[KubeObject] = (),
    untold: Sequence[KubeObject] = (),
    shared: bool = False,
) -> list[KubeObject]:
    """All objects beside `wanted`, in the same namespaces, that none owns, no program made and nobody asked for.

    Also what Flux made for one of `told`, owners of which it is known what they want, and left behind: told not to
    prune it, for example. What says that it belongs to one of `untold` is none. In a `shared` cluster only the
    namespaces that are themselves wanted count: in others somebody else may work.
    """
    owners, knowing = {_id(one) for one in untold}, {_id(one) for one in told}
    own = {subject.name for subject in wanted if subject.kind == NAMESPACE.kind}
    namespaces = own if shared else own | {subject.namespace for subject in wanted if subject.namespace}
    present = list(there.namespaced())
    known = {_id(subject) for subject in wanted}
    known |= {found for subject in present if is_flux(subject.api_version) for found in _asked_for(subject)}
    found: dict[_Id, KubeObject] = {}
    for subject in present:
        candidate = subject.namespace in namespaces and _id(subject) not in known
        if not candidate or not owners.isdisjoint(_owners(subject)):
            continue
        if _stray(subject) or _left_behind(subject, knowing):
            found.setdefault(_id(subject), subject)  # served in several versions, it is one object
    return [found[key] for key in sorted(found)]


def _id(subject: KubeObject) -> _Id:
    return subject.kind, subject.namespace, subject.name


def _owners(subject: KubeObject) -> Iterator[_Id]:
    """The owners that an object names, rightly or not."""
    yield ("Kustomization", *owner(subject, KUSTOMIZE_LABEL))
    yield ("HelmRelease", *owner(subject, HELM_LABEL))


def _stray(subject: KubeObject) -> bool:
    if items_at(subject.raw, "metadata", "ownerReferences") or text_at(subject.raw, "type") == HELM_STORAGE:
        return False
    made_by = creators(subject.raw)
    if subject.kind == "ServiceAccount" and subject.name == "default":
        return False  # Kubernetes makes it, without a word on who did
    # What the lab itself made: the keys to its servers, the Receiver, and the Secrets that `secret set` was asked for.
    return not made_by or not all(is_platform(manager) or manager == FIELD_MANAGER for manager in made_by)


def _left_behind(subject: KubeObject, owners: Collection[_Id]) -> bool:
    """Whether a Flux controller made it for one of `owners`, and it is not on its way out, nor a hook of a chart."""
    entries = items_at(subject.raw, "metadata", "managedFields")
    by_flux = any(text_at(entry, "manager") in APPLIERS for entry in entries)
    hook = text_at(subject.raw, "metadata", "annotations", HELM_HOOK)
    needed = subject.kind == HELM_CHART.kind and bool(owner(subject, HELM_LABEL)[1])  # by its HelmRelease
    left = by_flux and not (subject.deleting or hook or needed)
    return left and not set(owners).isdisjoint(_owners(subject))


def _asked_for(flux_object: KubeObject) -> Iterator[_Id]:
    """The Secrets and ConfigMaps that a Flux object reads: their content is not git's to say."""
    yield from _references(dig(flux_object.raw, "spec"), flux_object.namespace, key="")


def _references(value: Json, namespace: str, *, key: str) -> Iterator[_Id]:
    name = text_at(value, "name")
    if name and key.endswith("secretref"):
        yield "Secret", namespace, name
    if name and key in {"substitutefrom", "valuesfrom"}:
        yield text_at(value, "kind"), namespace, name
    if items := items_at(value):
        for item in items:
            yield from _references(item, namespace, key=key)
    elif isinstance(value, Mapping):
        for inner_key, inner in value.items():
            yield from _references(inner, namespace, key=str(inner_key).lower())
