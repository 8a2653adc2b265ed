"""Compare a cluster with what git wants: every object of every Kustomization and HelmRelease, and what nobody owns.

Nothing is written: what the API server would make of a manifest is asked with dry runs.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError, ApiUnreachableError
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject
from fluxlab.errors import WaitTimeoutError
from fluxlab.flux.convergence import stopped_controllers
from fluxlab.redaction import Redactor
from fluxlab.repository import Repository
from fluxlab.timeline.entries import ObjectRef
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.waiting import wait_until

from .applied import unpruned
from .builds import Builds, Trees
from .comparing import Compared, compare_object, disputed, placed
from .desired import all_desired, all_owners, applies_elsewhere, followed, present_owners
from .fate import fate_of_refused, while_stopped, while_waiting
from .live import read, served_by
from .motion import motions
from .orphans import Stray, strays
from .records import DriftReport, Unknown
from .report_only import is_on
from .telling import redactor_of, tell

REQUESTS_AT_ONCE = 8
MOTION_SECONDS = 20.0
"""How long a commit that is on its way may keep a report from being made."""
BETWEEN_LOOKS_SECONDS = 0.3


def examine(
    cluster: Cluster,
    *,
    repository: Repository,
    timeline: TimelineFolder,
    builds: Builds,
    beside: Sequence[Cluster] = (),
    progress: Callable[[str], None] = lambda _: None,
    timeout_seconds: float = MOTION_SECONDS,
) -> DriftReport:
    """All drift of one cluster, once Flux rests; what does not until the timeout, or cannot be read, is unknown.

    `builds` keeps what it will not have to build again for the next report. Clusters `beside` it may be hubs, whose
    Flux applies here, too.
    """

    def say(step: str) -> None:
        progress(f"{cluster.name}: {step}")

    try:
        with (
            tempfile.TemporaryDirectory(prefix="drift-", dir=timeline.lab.scratch) as folder,
            ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads,
        ):
            trees = Trees(repository, Path(folder))
            key = timeline.lab.digest_key()
            look = _at_rest(lambda: _look(cluster, trees, threads, say, builds=builds, digest_key=key), timeout_seconds)
            say("finding out who it was")
            settled = look.without_what_moves(cluster.name).without_what_hubs_keep(cluster.name, beside, threads)
            return _report(cluster, timeline, settled)
    except (ApiError, ApiUnreachableError) as error:
        why = f"cluster {cluster.name} cannot be read: {error.what}"
        return DriftReport(drifts=(), unknown=(Unknown(cluster=cluster.name, why=why),), examined=0)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one look at a cluster saw."""

    compared: Sequence[Compared]
    stray: Sequence[Stray]
    rootless: bool
    """Whether the root Kustomization is gone: no other one wants it, so that nothing else shows that."""
    unknown: Sequence[Unknown]
    moving: Mapping[ObjectRef, str]
    """What Kustomizations and HelmReleases did meanwhile."""
    held_back: bool
    """Whether report-only keeps Flux from correcting."""

    def without_what_moves(self, cluster: str) -> "_Look":
        """What was seen of an owner that did not rest says nothing; what nobody owns may be one's a moment later."""
        return replace(
            self,
            compared=[one for one in self.compared if one.desired.owner.reference not in self.moving],
            stray=() if self.moving else self.stray,
            unknown=[
                *self.unknown,
                *(
                    Unknown(cluster=cluster, object=owner, owner=str(owner), why=f"{owner} {why}")
                    for owner, why in self.moving.items()
                ),
            ],
        )

    def without_what_hubs_keep(self, cluster: str, beside: Sequence[Cluster], threads: ThreadPoolExecutor) -> "_Look":
        """Without what names an owner that is in one of the clusters `beside` this one, and applies here from there."""
        if not any(one.owners for one in self.stray):
            return self
        said = list(threads.map(_hub, beside))
        hubs = {owner for one in said if not isinstance(one, str) for owner in one}
        stray = [one for one in self.stray if hubs.isdisjoint(one.owners)]
        unread = next((one for one in said if isinstance(one, str)), "")
        doubtful = [one for one in stray if one.gone and unread]
        unknown = (
            Unknown(
                cluster=cluster,
                object=one.subject.reference,
                owner=str(one.gone),
                why=f"{one.subject} may be kept by {one.gone} of another cluster: {unread}",
            )
            for one in doubtful
        )
        return replace(self, stray=[one for one in stray if one not in doubtful], unknown=[*self.unknown, *unknown])


def _at_rest(take: Callable[[], _Look], timeout_seconds: float) -> _Look:
    """The first look at which nothing moves, else the last one before the timeout."""
    look: _Look

    def rests() -> bool:
        nonlocal look
        look = take()
        return not look.moving

    with suppress(WaitTimeoutError):
        wait_until(rests, what="Flux rests", timeout_seconds=timeout_seconds, interval_seconds=BETWEEN_LOOKS_SECONDS)
    return look


def _look(
    cluster: Cluster,
    trees: Trees,
    threads: ThreadPoolExecutor,
    say: Callable[[str], None],
    *,
    builds: Builds,
    digest_key: bytes,
) -> _Look:
    say("building what git wants")
    present = present_owners(cluster)
    owners = followed(present, cluster=cluster)
    served = served_by(cluster.api)
    wants, untold = all_desired(cluster, owners, trees, threads, builds=builds)
    pairs = [(desired, placed(wanted, served)) for desired in wants for wanted in desired.manifests]
    doubtful = [disputed(desired, placed(wanted, served)) for desired in wants for wanted in desired.disputed]
    wanted = [*(manifest for _, manifest in pairs), *(one.wanted for one in doubtful)]
    say(f"comparing {len(pairs)} objects")
    there = read(cluster.api, served, wanted, threads)
    compare = partial(compare_object, cluster.api, served, there, digest_key=digest_key)
    compared = list(threads.map(lambda pair: compare(*pair), pairs))
    shared = bool(cluster.lacks(Capability.BOOTSTRAP))
    return _Look(
        compared=[*compared, *doubtful],
        stray=strays(
            there,
            wanted,
            told=[one.owner for one in wants],
            untold=[one.owner for one in untold],
            present={cluster.root.reference, *(one.reference for one in present)},  # git wants a root that is gone
            shared=shared,
        ),
        rootless=cluster.root.reference not in {owner.reference for owner in owners},
        unknown=[
            *(_untold(cluster.name, one.owner, one.why, chain=one.chain) for one in untold),
            *(_untold(cluster.name, owner, why) for owner in owners if (why := unpruned(owner))),
            *(
                Unknown(cluster=cluster.name, why=f"{resource.plural} cannot be looked at: {why}")
                for resource, why in there.unread.items()
            ),
        ],
        moving=motions(owners, all_owners(cluster)),
        held_back=is_on(owners),
    )


def _hub(cluster: Cluster) -> Sequence[ObjectRef] | str:
    """Who of a cluster applies to other clusters; or why that is not known."""
    try:
        if not cluster.api.healthy():  # else one that hangs would keep the others waiting
            return f"cluster {cluster.name} does not answer"
        return [owner.reference for owner in present_owners(cluster) if applies_elsewhere(owner)]
    except (ApiError, ApiUnreachableError) as error:
        return f"cluster {cluster.name} cannot be read: {error.what}"


def _untold(cluster: str, owner: KubeObject, why: str, *, chain: Sequence[str] = ()) -> Unknown:
    """What is told of a Kustomization or HelmRelease of which something cannot be said."""
    return Unknown(cluster=cluster, object=owner.reference, owner=str(owner), chain=chain, why=why)


def _report(cluster: Cluster, timeline: TimelineFolder, look: _Look) -> DriftReport:
    redactor = redactor_of([cluster], timeline)
    stopped = stopped_controllers(cluster.api)
    told = tell(
        cluster, timeline, look.compared, look.stray, rootless=look.rootless, redactor=redactor, stopped=stopped
    )
    compared = (_unknown(cluster.name, one, stopped) for one in look.compared if one.unknown)
    unknown = (*look.unknown, *compared, *told.unknown)
    return DriftReport(
        drifts=told.drifts,
        ignored=told.ignored,
        unknown=tuple(_masked(one, redactor) for one in unknown),
        examined=sum(not one.unknown for one in look.compared),
        held_back=(cluster.name,) if look.held_back else (),
    )


def _unknown(cluster: str, one: Compared, stopped: Mapping[str, str]) -> Unknown:
    """What is told of an object that could not be compared."""
    desired, fate = one.desired, None
    if one.refused and one.live:
        fate = fate_of_refused(owner=desired.owner, wanted=one.wanted, live=one.live)
    if fate:
        fate = while_stopped(fate, controller=desired.applier, stopped=stopped)
        fate = while_waiting(fate, owner=desired.owner, dependencies=desired.dependencies)
    return Unknown(
        cluster=cluster,
        object=one.wanted.reference,
        owner=str(desired.owner),
        chain=desired.chain,
        commit=desired.commit,
        why=one.unknown,
        fate=fate,
    )


def _masked(one: Unknown, redactor: Redactor) -> Unknown:
    """The API server, flux and git quote what they refuse; an object may be called as a secret is."""
    named = one.object and replace(one.object, name=redactor.redact(one.object.name))
    fate = one.fate and replace(one.fate, why=redactor.redact(one.fate.why))
    return replace(one, object=named, why=redactor.redact(one.why), fate=fate)
