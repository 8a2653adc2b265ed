"""Which Flux object an object belongs to, and which revision a Kustomization speaks of: read from labels and status."""

import re
from collections.abc import Mapping, Sequence

from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.clusters.resources import GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION
from fluxlab.timeline.entries import ObjectRef

KUSTOMIZE_LABEL = "kustomize.toolkit.fluxcd.io"
HELM_LABEL = "helm.toolkit.fluxcd.io"
_REVISION = re.compile(r"\S+@sha1:[0-9a-f]{40}")


def owner(subject: KubeObject, label: str) -> tuple[str, str]:
    """Namespace and name of the Kustomization or HelmRelease (by the label's prefix) that applied an object."""
    labels = subject.raw["metadata"]
    return text_at(labels, "labels", f"{label}/namespace"), text_at(labels, "labels", f"{label}/name")


def parent(child: KubeObject, known: Mapping[ObjectRef, KubeObject]) -> KubeObject | None:
    """The Kustomization or HelmRelease among `known` that applies this one; the root applies itself and has none."""
    for resource, label in ((KUSTOMIZATION, KUSTOMIZE_LABEL), (HELM_RELEASE, HELM_LABEL)):
        namespace, name = owner(child, label)
        found = known.get(ObjectRef(kind=resource.kind, namespace=namespace, name=name))
        if found and found.reference != child.reference:
            return found
    return None


def ancestors(child: KubeObject, known: Mapping[ObjectRef, KubeObject]) -> Sequence[KubeObject]:
    """Those among `known` that stand above this one, its parent first; none for the root."""
    found: list[KubeObject] = []
    above = parent(child, known)
    while above and len(found) < len(known):  # bounded: two Kustomizations may claim to apply each other
        found.append(above)
        above = parent(above, known)
    return found


def depth(child: KubeObject, known: Mapping[ObjectRef, KubeObject]) -> int:
    """How many of `known` stand above this one, which is 0 for the root."""
    return len(ancestors(child, known))


def belongs(subject: KubeObject, root: ObjectRef, known: Mapping[ObjectRef, KubeObject]) -> bool:
    """Whether an object is the `root` Kustomization, its source of the same name, or stands below it."""
    if subject.reference == root or root in {above.reference for above in ancestors(subject, known)}:
        return True
    of_root = (root.namespace, root.name)
    return subject.kind == GIT_REPOSITORY.kind and (subject.namespace, subject.name) == of_root


def git_source(consumer: KubeObject) -> tuple[str, str] | None:
    """Namespace and name of the GitRepository that a Kustomization or HelmChart reads, if it reads one."""
    reference = dig(consumer.raw, "spec", "sourceRef")
    if text_at(reference, "kind") != GIT_REPOSITORY.kind:
        return None
    return text_at(reference, "namespace") or consumer.namespace, text_at(reference, "name")


def tried_revision(kustomization: KubeObject) -> str:
    """The revision that the last attempt was at. `lastAttemptedRevision` is set late: what fails earlier is told only
    in the Reconciling condition, as `... for revision main@sha1:... with a timeout of ...`.
    """
    reconciling = kustomization.condition("Reconciling")
    told = _REVISION.search(reconciling.message) if reconciling else None
    return told.group() if told else text_at(kustomization.raw, "status", "lastAttemptedRevision")
