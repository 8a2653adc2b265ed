"""What of objects nobody but their maker should change: read from the API, without what changes by itself."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.inventory import Applied, inventory
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import (
    EVENT,
    HELM_CHART,
    HELM_RELEASE,
    HELM_STORAGE,
    KUSTOMIZATION,
    NAMESPACE,
    Resource,
    is_derived,
    is_flux,
)
from fluxlab.documents import Json
from fluxlab.faults.means.fates import FAULT, NODE_FAULT, NOWHERE
from fluxlab.flux.claims import is_platform
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner

# What controllers make and remove by themselves, without a word on whose it is.
_PASSING = frozenset({EVENT.plural, "componentstatuses", "ipaddresses"})
_CHANGING = frozenset({"apiVersion", "kind", "metadata", "status"})
_ASKING = "reconcile.fluxcd.io/"
"""Annotations by which somebody asks for a look, which change nothing."""
_AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""Of what the API server makes anew with itself."""
_KEEPERS = frozenset({"kube-controller-manager"})
"""What nobody else has a field of they keep, in their own time: the authority, say, in a lab with keys of its own."""
_HOOK = "helm.sh/hook"
"""Of what a chart has made around a release: no inventory has it."""
UNOWNED = "is there, and nobody owns it"


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What of one object nobody but its maker should change."""

    ours: bool
    """Whether a Kustomization, HelmRelease or controller keeps it, which may add, change and remove it."""
    stays: str
    """Why it is there although it is to go; empty for what is not to go, and for what has time to end."""
    finalizers: frozenset[str]
    suspended: bool
    managers: frozenset[str]
    content: Mapping[str, str] = field(default_factory=dict)
    """Digests of what it is to be, by field, where git does not say it."""

    def left(self, before: "Trace") -> Iterator[str]:
        """What is here and was not before."""
        for finalizer in sorted(self.finalizers - before.finalizers):
            yield f"has finalizer {finalizer}"
        for manager in sorted(self.managers - before.managers):
            yield f"has fields of {manager}"
        if self.stays and not before.stays:
            yield f"is to go, and {self.stays}"
        if self.suspended and not before.suspended:
            yield "is suspended"
        if before.ours and not self.ours:
            yield UNOWNED
        if not self.ours and not before.ours:
            changed = self.content.items() ^ before.content.items()
            for name in sorted({name for name, _ in changed}):
                yield f"has other {name}"


def resources(api: KubeApi) -> Sequence[Resource]:
    """What is listed: each kind once, in the version that comes first."""
    found: dict[tuple[str, str], Resource] = {}
    for resource in api.resources(verb="list"):
        if resource.plural not in _PASSING and resource.group != "events.k8s.io" and not is_derived(resource):
            found.setdefault((resource.group, resource.plural), resource)
    return tuple(found.values())


def listed(api: KubeApi, resource: Resource) -> Sequence[KubeObject] | None:
    """The objects of a resource; None when whoever serves it does not give them."""
    try:
        return api.list(resource)
    except ApiError:
        return None


def traces(objects: Mapping[Resource, Sequence[KubeObject]]) -> Mapping[tuple[str, str], Trace]:
    """What is there, by group and name."""
    owners = _Owners.among(objects)
    return {
        (resource.group, str(one)): _trace(one, ours=owners.keep(resource, one))
        for resource, found in objects.items()
        for one in found
        if text_at(one.raw, "type") != HELM_STORAGE
    }


def broken_pods(pods: Sequence[KubeObject]) -> Iterator[str]:
    """Pods have names that nobody chose; what counts is that none is left that failed, or that a fault has marked."""
    for pod in pods:
        annotations, selector = dig(pod.raw, "metadata", "annotations"), dig(pod.raw, "spec", "nodeSelector")
        if pod.deleting:
            continue
        if text_at(pod.raw, "status", "phase") == "Failed":
            yield f"{pod} is Failed"
        for mark in (FAULT, NODE_FAULT, NOWHERE):
            if dig(annotations, mark) is not None or dig(selector, mark) is not None:
                yield f"{pod} is marked with {mark}"


@dataclass(frozen=True, kw_only=True)
class _Owners:
    """Who keeps what by its own account: anybody may write the labels of an owner."""

    inventories: Mapping[tuple[str, str, str], frozenset[Applied] | None]
    """What Kustomizations and HelmReleases have made, by kind, namespace and name of the owner.

    None for a release that does not tell: helm-controller does since Flux 2.9.
    """
    charts: Mapping[tuple[str, str, str], str]
    """Namespace and name of the HelmChart of each release, as its status has it."""

    @classmethod
    def among(cls, objects: Mapping[Resource, Sequence[KubeObject]]) -> "_Owners":
        found = [
            one
            for resource, these in objects.items()
            if is_flux(resource.api_version) and resource.kind in {KUSTOMIZATION.kind, HELM_RELEASE.kind}
            for one in these
        ]
        return cls(
            inventories={_key(one): _told(one) for one in found},
            charts={_key(one): text_at(one.raw, "status", "helmChart") for one in found},
        )

    def keep(self, resource: Resource, subject: KubeObject) -> bool:
        """Whether an object is kept by a controller, or by the Kustomization or HelmRelease that it names."""
        if any(dig(one, "controller") is True for one in items_at(subject.raw, "metadata", "ownerReferences")):
            return True
        return any(
            self._has_made((kind, *owner(subject, label)), resource, subject)
            for kind, label in ((KUSTOMIZATION.kind, KUSTOMIZE_LABEL), (HELM_RELEASE.kind, HELM_LABEL))
        )

    def _has_made(self, by: tuple[str, str, str], resource: Resource, subject: KubeObject) -> bool:
        if by not in self.inventories:
            return False
        told = self.inventories[by]
        if told is None or dig(subject.raw, "metadata", "annotations", _HOOK) is not None:
            return True
        if resource.kind == HELM_CHART.kind and self.charts[by] == f"{subject.namespace}/{subject.name}":
            return True
        named = Applied(group=resource.group, kind=resource.kind, namespace=subject.namespace, name=subject.name)
        return named in told


def _key(subject: KubeObject) -> tuple[str, str, str]:
    return subject.kind, subject.namespace, subject.name


def _told(keeper: KubeObject) -> frozenset[Applied] | None:
    if keeper.kind == HELM_RELEASE.kind and dig(keeper.raw, "status", "inventory") is None:
        return None
    return frozenset(inventory(keeper))


def _trace(subject: KubeObject, *, ours: bool) -> Trace:
    entries = items_at(subject.raw, "metadata", "managedFields")
    managers = {text_at(entry, "manager") for entry in entries if not text_at(entry, "subresource")}
    finalizers = [str(one) for one in items_at(subject.raw, "metadata", "finalizers")]
    return Trace(
        ours=ours,
        stays=_stays(subject, finalizers),
        finalizers=frozenset(finalizers),
        suspended=subject.suspended,
        managers=frozenset(one for one in managers if not is_platform(one)),
        content={} if ours or _AUTOMANAGED in subject.labels or managers == _KEEPERS else dict(_content(subject)),
    )


def _stays(subject: KubeObject, finalizers: Sequence[str]) -> str:
    """A pod has time to end; its deletionTimestamp is when that is over."""
    if not subject.deleting:
        return ""
    why = ""
    if subject.kind == NAMESPACE.kind:  # it has finalizers of its own, and says what is still in it
        finalizers = [*finalizers, *map(str, items_at(subject.raw, "spec", "finalizers"))]
        why = "; ".join(one.message for one in subject.conditions() if one.status == "True")
    if finalizers:
        does = "does" if len(finalizers) == 1 else "do"
        return f"{' and '.join(finalizers)} {does} not let it{why and f': {why}'}"
    due = datetime.fromisoformat(text_at(subject.raw, "metadata", "deletionTimestamp"))
    return "stays" if due < datetime.now(UTC) else ""


def _content(subject: KubeObject) -> Iterator[tuple[str, str]]:
    for name, value in subject.raw.items():
        if name not in _CHANGING:
            yield name, _digest(value)
    annotations = dig(subject.raw, "metadata", "annotations")
    known = annotations if isinstance(annotations, Mapping) else {}
    yield "labels", _digest(subject.labels)
    yield "annotations", _digest({key: value for key, value in known.items() if not key.startswith(_ASKING)})


def _digest(value: Json) -> str:
    """Values of Secrets are compared, not kept."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
