"""Which Flux object an object belongs to, and which revision a Kustomization speaks of: read from labels and status."""

import re

from fluxlab.clusters.objects import KubeObject, text_at

KUSTOMIZE_LABEL = "kustomize.toolkit.fluxcd.io"
HELM_LABEL = "helm.toolkit.fluxcd.io"
_REVISION = re.compile(r"\S+@sha1:[0-9a-f]{40}")


def owner(subject: KubeObject, label: str) -> tuple[str, str]:
    """Namespace and name of the Kustomization or HelmRelease (by the label's prefix) that applied an object."""
    labels = subject.raw["metadata"]
    return text_at(labels, "labels", f"{label}/namespace"), text_at(labels, "labels", f"{label}/name")


def tried_revision(kustomization: KubeObject) -> str:
    """The revision that the last attempt was at. `lastAttemptedRevision` is set late: what fails earlier is told only
    in the Reconciling condition, as `... for revision main@sha1:... with a timeout of ...`.
    """
    reconciling = kustomization.condition("Reconciling")
    told = _REVISION.search(reconciling.message) if reconciling else None
    return told.group() if told else text_at(kustomization.raw, "status", "lastAttemptedRevision")
