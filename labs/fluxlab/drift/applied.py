"""What a Kustomization may have applied: not only the revision that its status names. Pure."""

from collections.abc import Sequence

from fluxlab.clusters.objects import KubeObject, items_at, text_at

_PRUNE_FAILED = "PruneFailed"
FAILED_AFTERWARDS = frozenset({"HealthCheckFailed", _PRUNE_FAILED})
"""The reasons of those that fail only after they have applied all, which they do at each try."""
_AS_A_WHOLE = FAILED_AFTERWARDS | {"ReconciliationSucceeded"}


def applied_revisions(kustomization: KubeObject) -> Sequence[str]:
    """The revisions of which something may be in the cluster, newest first: the last one was applied as a whole, and
    of those before it nobody knows how much. Empty when none was applied as a whole.

    `lastAppliedRevision` is set late: when all is healthy, too.
    """
    status = kustomization.raw.get("status")
    found: list[str] = []
    for attempt in items_at(status, "history"):
        found.append(text_at(attempt, "metadata", "revision"))
        if text_at(attempt, "lastReconciledStatus") in _AS_A_WHOLE:
            break
    else:
        last = text_at(status, "lastAppliedRevision")
        found = [*found, last] if last else []
    return list(dict.fromkeys(found))


def agreed(versions: Sequence[Sequence[KubeObject]]) -> tuple[Sequence[KubeObject], Sequence[KubeObject]]:
    """The objects that all versions want alike, and those that they do not, each once."""
    newest, *older = versions
    known = [{one.reference: one for one in version} for version in older]
    certain = [one for one in newest if all(version.get(one.reference) == one for version in known)]
    alike = {one.reference for one in certain}
    disputed = {one.reference: one for version in versions for one in version if one.reference not in alike}
    return certain, list(disputed.values())


def unpruned(owner: KubeObject) -> str:
    """That something is there which git does not want any more, and which the one that made it could not delete."""
    ready = owner.condition("Ready")
    if ready is None or (ready.status, ready.reason) != ("False", _PRUNE_FAILED):
        return ""
    return f"{owner} could not delete all that git does not want any more: {ready.message}"
