"""What of objects nobody but their maker should change: read from the API, without what changes by itself."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import EVENT, HELM_STORAGE, POD, Resource, is_derived
from fluxlab.documents import Json
from fluxlab.faults.means.fates import FAULT, NODE_FAULT, NOWHERE
from fluxlab.flux.claims import is_platform
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner

# What controllers make and remove by themselves, under names that nobody chose.
_PASSING = frozenset({EVENT.plural, "pods", "replicasets", "componentstatuses", "ipaddresses"})
_CHANGING = frozenset({"apiVersion", "kind", "metadata", "status"})
_ASKING = "reconcile.fluxcd.io/"
"""Annotations by which somebody asks for a look, which change nothing."""
_AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
"""Of what the API server makes anew with itself."""
_KEEPERS = frozenset({"kube-controller-manager"})
"""What nobody else has a field of they keep, in their own time: the authority, say, in a lab with keys of its own."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What of one object nobody but its maker should change."""

    ours: bool
    """Whether a Kustomization or HelmRelease owns it: git may add, change and remove it."""
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
        if self.suspended and not before.suspended:
            yield "is suspended"
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


def traces(api: KubeApi, resource: Resource) -> Mapping[tuple[str, str], Trace] | None:
    """The objects of a resource, by group and name; None when whoever serves it does not give them."""
    try:
        found = api.list(resource)
    except ApiError:
        return None
    return {(resource.group, str(one)): _trace(one) for one in found if text_at(one.raw, "type") != HELM_STORAGE}


def broken_pods(api: KubeApi) -> Iterator[str]:
    """Pods have names that nobody chose; what counts is that none is left that failed, or that a fault has marked."""
    for pod in api.list(POD):
        annotations, selector = dig(pod.raw, "metadata", "annotations"), dig(pod.raw, "spec", "nodeSelector")
        if pod.deleting:
            continue
        if text_at(pod.raw, "status", "phase") == "Failed":
            yield f"{pod} is Failed"
        for mark in (FAULT, NODE_FAULT, NOWHERE):
            if dig(annotations, mark) is not None or dig(selector, mark) is not None:
                yield f"{pod} is marked with {mark}"


def _trace(subject: KubeObject) -> Trace:
    entries = items_at(subject.raw, "metadata", "managedFields")
    managers = {text_at(entry, "manager") for entry in entries if not text_at(entry, "subresource")}
    ours = any(owner(subject, label) != ("", "") for label in (KUSTOMIZE_LABEL, HELM_LABEL))
    return Trace(
        ours=ours,
        finalizers=frozenset(str(one) for one in items_at(subject.raw, "metadata", "finalizers")),
        suspended=subject.suspended,
        managers=frozenset(one for one in managers if not is_platform(one)),
        content={} if ours or _AUTOMANAGED in subject.labels or managers == _KEEPERS else dict(_content(subject)),
    )


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
