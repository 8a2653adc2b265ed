"""Whether what git wants changed while it was compared: a commit on its way is no drift. Pure."""

from collections.abc import Iterable

from fluxlab.clusters.objects import KubeObject, items_at, number_at, text_at
from fluxlab.flux.ownership import tried_revision


def motions(before: Iterable[KubeObject], after: Iterable[KubeObject]) -> dict[str, str]:
    """The Kustomizations and HelmReleases that were not still from one reading to the other, and what they did."""
    known = {str(owner): _state(owner) for owner in before}
    told = {str(owner): _motion(owner, known.get(str(owner))) for owner in after}
    return {owner: why for owner, why in told.items() if why}


def _motion(owner: KubeObject, before: tuple[object, ...] | None) -> str:
    if before is None:
        return "came while it was compared"
    if before != _state(owner):
        return "was reconciled while it was compared"
    ready = owner.condition("Ready")
    status = ready.status if ready else "Unknown"
    # One that fails stays at what it has applied, as long as it fails.
    if owner.suspended or status == "False":
        return ""
    if owner.kind == "HelmRelease":
        return "is being reconciled" if status == "Unknown" else ""
    tried, applied = tried_revision(owner), text_at(owner.raw, "status", "lastAppliedRevision")
    return "" if applied and tried in {"", applied} else f"is being reconciled{f' to {tried}' if tried else ''}"


def _state(owner: KubeObject) -> tuple[object, ...]:
    """What tells one state that an owner wants from another."""
    newest = next(iter(items_at(owner.raw, "status", "history")), None)
    return (
        owner.generation,
        text_at(owner.raw, "status", "lastAppliedRevision"),
        number_at(newest, "version") if owner.kind == "HelmRelease" else 0,
    )
