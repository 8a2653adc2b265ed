"""Whether what git wants changed while it was compared: a commit on its way is no drift. Pure."""

from collections.abc import Iterable

from fluxlab.clusters.objects import KubeObject, items_at, number_at, text_at
from fluxlab.flux.ownership import tried_revision
from fluxlab.flux.verdicts import current
from fluxlab.timeline.entries import ObjectRef

from .applied import applied_revisions

_UNSEEN = "has a spec that its controller has not acted on yet"


def motions(before: Iterable[KubeObject], after: Iterable[KubeObject]) -> dict[ObjectRef, str]:
    """The Kustomizations and HelmReleases that were not still from one reading to the other, and what they did."""
    known = {owner.reference: _state(owner) for owner in before}
    told = {owner.reference: _motion(owner, known.get(owner.reference)) for owner in after}
    went = {owner: "went while it was compared" for owner in known if owner not in told}
    return {**went, **{owner: why for owner, why in told.items() if why}}


def _motion(owner: KubeObject, before: tuple[object, ...] | None) -> str:
    if before is None:
        return "came while it was compared"
    if before != _state(owner):
        return "was reconciled while it was compared"
    return "" if owner.suspended else _unseen(owner) or _under_way(owner)


def _unseen(owner: KubeObject) -> str:
    """That a controller, which may stand still, has not acted on what its object says now."""
    ready = owner.condition("Ready")
    if ready is None:
        return ""
    if current(owner, "Ready") is None:
        return "is being deleted" if owner.deleting else _UNSEEN
    # Of the status as a whole a generation is noted after success only.
    return _UNSEEN if ready.status == "True" and owner.observed_generation != owner.generation else ""


def _under_way(owner: KubeObject) -> str:
    ready = owner.condition("Ready")
    if ready and ready.status == "False":
        # One that fails stays at what it has applied, unless a newer commit has only ended its health checks.
        return "is being reconciled" if ready.reason == "HealthCheckCanceled" else ""
    if owner.kind == "HelmRelease":
        return "" if ready and ready.status == "True" else "is being reconciled"
    tried, applied = tried_revision(owner), text_at(owner.raw, "status", "lastAppliedRevision")
    return "" if applied and tried in {"", applied} else f"is being reconciled{f' to {tried}' if tried else ''}"


def _state(owner: KubeObject) -> tuple[object, ...]:
    """What tells one state that an owner wants from another."""
    newest = next(iter(items_at(owner.raw, "status", "history")), None)
    return (
        owner.generation,
        tuple(applied_revisions(owner)),
        number_at(newest, "version") if owner.kind == "HelmRelease" else 0,
    )
