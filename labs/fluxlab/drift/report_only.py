"""Report-only: hold Flux back from correcting, so that a person can look first, and let it go again.

Kustomizations are suspended, and HelmReleases that correct drift only warn of it. Everything that is needed to undo it
stands on the objects themselves (`clusters/loans.py`), so that who undoes it need not be who did it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.loans import BORROWER, NOTE, SUSPEND, Path, give_back, is_lent, is_noted, lend, taken_over
from fluxlab.clusters.managed_fields import setter_of
from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.clusters.paths import step_to_key
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.documents import Json
from fluxlab.flux.claims import is_platform
from fluxlab.flux.convergence import stopped_controllers
from fluxlab.flux.ownership import depth
from fluxlab.flux.requests import REQUESTED_AT
from fluxlab.host import ended_by_exception, unbroken
from fluxlab.timeline.entries import ObjectRef, format_time
from fluxlab.waiting import wait_until

from .desired import all_owners
from .releases import has_released, is_tried_again, made_by_hand

HOLD_SECONDS = 30.0
"""How long Flux may take to have ended what it was doing."""
MODE: Path = ("spec", "driftDetection", "mode")
_REQUESTED: Path = ("metadata", "annotations", REQUESTED_AT)
_HEALTH_CHECKS = "Running health checks"
"""How kustomize-controller says that it has applied everything and waits, which it does for up to its timeout."""


class Standing(StrEnum):
    """Whether a Kustomization or HelmRelease corrects drift."""

    HELD = "held back"
    """By report-only."""
    QUIET = "does not correct"
    """As a person wants it."""
    CORRECTS = "corrects"


@dataclass(frozen=True, kw_only=True)
class Holding:
    """How one Kustomization or HelmRelease stands."""

    cluster: str
    object: ObjectRef
    standing: Standing
    why: str
    """The field that says so; empty for one that corrects."""


@contextmanager
def report_only(
    clusters: Sequence[Cluster], *, progress: Callable[[str], None], timeout_seconds: float
) -> Iterator[None]:
    """Hold Flux back in clusters while the block runs; whatever ends it but SIGKILL, Flux is let go.

    `progress` is also told of what somebody else changed meanwhile, which stays. Raises what `hold` and `release` do.
    """

    def undo(cluster: Cluster) -> None:
        for line in release(cluster, progress=progress, timeout_seconds=timeout_seconds):
            progress(line)

    undone = ExitStack()
    with ended_by_exception():
        try:
            for cluster in clusters:
                undone.callback(undo, cluster)
                hold(cluster, progress=progress, timeout_seconds=timeout_seconds)
            yield
        finally:
            with unbroken():  # people press Ctrl-C again when nothing seems to happen
                undone.close()


def hold(cluster: Cluster, *, progress: Callable[[str], None], timeout_seconds: float) -> None:
    """Hold Flux back from correcting, parents before their children; returns once nothing that began before goes on.

    What is held already stays so. Raises WaitTimeoutError that names what goes on, with what could be held held back,
    and ApiError or ApiUnreachableError.
    """
    request = format_time(datetime.now(UTC))
    left: Sequence[str] = ()

    def held() -> bool:
        nonlocal left
        owners = all_owners(cluster)
        stops = {one.reference: _what_stops(one, cluster.api) for one in owners}
        correcting = [one for one in owners if stops[one.reference]]
        for one in _of_one_depth(correcting, owners, choose=min):
            _write(cluster, lend(one, {**stops[one.reference], _REQUESTED: request}))
        busy = [one for one in owners if _is_held(one) and not _rests(one)]
        left = [*(f"{one} corrects" for one in correcting), *(f"{one} may be at work still" for one in busy)]
        progress(f"{cluster.name}: holding Flux back, {len(left)} of {len(owners)} to go")
        return not left

    wait_until(
        held,
        what=f"holding Flux back in cluster {cluster.name}",
        timeout_seconds=timeout_seconds,
        state=lambda: "\n".join([*left, *stopped_controllers(cluster.api).values()]),
        hint="fluxlab report-only on; or, to undo it, fluxlab report-only off",
    )


def release(cluster: Cluster, *, progress: Callable[[str], None], timeout_seconds: float) -> Sequence[str]:
    """Let Flux go, children before their parents: every object is as before, and Flux corrects at once.

    Returns what somebody else changed meanwhile, a line each, which stays as it is. Raises WaitTimeoutError that names
    what is held back still, and ApiError or ApiUnreachableError.
    """
    left: Sequence[KubeObject] = ()
    told: dict[str, None] = {}

    def released() -> bool:
        nonlocal left
        owners = all_owners(cluster)
        left = [one for one in owners if is_noted(one)]
        for one in _of_one_depth(left, owners, choose=max):
            told.update(dict.fromkeys(_changed_meanwhile(one)))
            if back := give_back(one):
                _write(cluster, back)
        progress(f"{cluster.name}: letting Flux go, {len(left)} of {len(owners)} to go")
        return not left

    wait_until(
        released,
        what=f"letting Flux go in cluster {cluster.name}",
        timeout_seconds=timeout_seconds,
        state=lambda: "\n".join(map(str, left)),
        hint="fluxlab report-only off",
    )
    return tuple(told)


def holdings(cluster: Cluster) -> Sequence[Holding]:
    """How each Kustomization and HelmRelease stands. Raises ApiError or ApiUnreachableError."""
    return [
        Holding(cluster=cluster.name, object=one.reference, standing=standing, why=why)
        for one in all_owners(cluster)
        for standing, why in [_standing(one, cluster.api)]
    ]


def is_on(owners: Sequence[KubeObject]) -> bool:
    """Whether report-only holds back, or began to, or has not let go of all."""
    return any(map(is_noted, owners))


def _standing(owner: KubeObject, api: KubeApi) -> tuple[Standing, str]:
    if _what_stops(owner, api):
        return Standing.CORRECTS, ""
    standing = Standing.HELD if _is_held(owner) else Standing.QUIET
    if owner.deleting:
        return standing, "is being deleted"
    if owner.suspended:
        return standing, "is suspended"
    return standing, f"driftDetection is {dig(owner.raw, *MODE) or 'disabled'}"


def _what_stops(owner: KubeObject, api: KubeApi) -> Mapping[Path, Json]:
    """What has to be set to hold an owner back; nothing for one that does not correct.

    What somebody did with Helm by hand helm-controller undoes whatever the mode is, and upgrades again what failed: a
    mode stops neither.
    """
    if owner.suspended or owner.deleting:
        return {}
    whole = owner.kind == KUSTOMIZATION.kind or is_tried_again(owner)
    if whole or (has_released(owner) and made_by_hand(owner, api=api)):
        return {SUSPEND: True}
    return {MODE: "warn"} if dig(owner.raw, *MODE) == "enabled" else {}


def _is_held(owner: KubeObject) -> bool:
    return is_lent(owner, SUSPEND) or is_lent(owner, MODE)


def _rests(owner: KubeObject) -> bool:
    """Whether what its controller began before it was held back has ended, or can correct nothing any more.

    A controller does one thing at a time with an object, and answers a request once it has come to it, also when the
    object is suspended.
    """
    reconciling = owner.condition("Reconciling")
    if reconciling and reconciling.reason == "Progressing" and reconciling.message.startswith(_HEALTH_CHECKS):
        return True
    # Somebody may have taken the request away since it was answered.
    return text_at(owner.raw, *_REQUESTED) in {"", text_at(owner.raw, "status", "lastHandledReconcileAt")}


def _changed_meanwhile(owner: KubeObject) -> Iterator[str]:
    """What a person wrote of what was held back, a line each. What Flux wrote is as git wants it."""
    for path in taken_over(owner):
        if path == _REQUESTED:
            continue  # others ask for something, too
        field, value = "".join(map(step_to_key, path)), dig(owner.raw, *path)
        by = setter_of(field, owner.raw).manager
        if path == NOTE:
            yield f"{owner}: {field} cannot be read, so its spec stays as it is"
        elif value is None:
            yield f"{owner}: {field} was removed meanwhile, and stays so"
        elif not is_platform(by):
            yield f"{owner}: {field} was set to {json.dumps(value)} by {by or 'somebody'} meanwhile, and stays so"


def _of_one_depth(
    some: Sequence[KubeObject], owners: Sequence[KubeObject], *, choose: Callable[[Iterable[int]], int]
) -> Sequence[KubeObject]:
    """Those at the highest (`min`) or lowest (`max`) place below the root at which there are any."""
    known = {one.reference: one for one in owners}
    places: dict[int, list[KubeObject]] = defaultdict(list)
    for one in some:
        places[depth(one, known)].append(one)
    return places[choose(places)] if places else ()


def _write(cluster: Cluster, subject: KubeObject) -> None:
    """Write an object, unless it has changed or gone since it was read: the next look sees how it is."""
    resource = KUSTOMIZATION if subject.kind == KUSTOMIZATION.kind else HELM_RELEASE
    try:
        path = resource.path(namespace=subject.namespace, name=subject.name)
        cluster.api.request("PUT", path, body=subject.raw, query={"fieldManager": BORROWER})
    except ApiError as error:
        if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
            raise
