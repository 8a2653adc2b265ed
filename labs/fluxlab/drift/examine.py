"""Compare a cluster with what git wants: every object of every Kustomization and HelmRelease, and what nobody owns.

Nothing is written: what the API server would make of a manifest is asked with dry runs.
"""

import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError, ApiUnreachableError
from fluxlab.errors import WaitTimeoutError
from fluxlab.repository import Repository
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.waiting import wait_until

from .builds import Trees
from .comparing import Live, compare_object, placed
from .desired import all_desired, all_owners
from .motion import motions
from .orphans import orphans
from .records import DriftReport
from .telling import tell

REQUESTS_AT_ONCE = 8
MOTION_SECONDS = 20.0
"""How long a commit that is on its way may keep a report from being made."""
BETWEEN_LOOKS_SECONDS = 0.3


def examine(
    cluster: Cluster,
    *,
    repository: Repository,
    timeline: TimelineFolder,
    progress: Callable[[str], None] = lambda _: None,
    timeout_seconds: float = MOTION_SECONDS,
) -> DriftReport:
    """All drift of one cluster, once Flux rests; what does not until the timeout, or cannot be read, is unknown."""
    seen: _Seen | None = None

    def still() -> DriftReport | None:
        nonlocal seen
        seen = _examine(cluster, repository, timeline, progress)
        return None if seen.moving else seen.report

    try:
        return wait_until(
            still, what="Flux rests", timeout_seconds=timeout_seconds, interval_seconds=BETWEEN_LOOKS_SECONDS
        )
    except WaitTimeoutError:
        return seen.without_what_moves() if seen else DriftReport(drifts=(), unknown=(), examined=0)
    except (ApiError, ApiUnreachableError) as error:
        return DriftReport(drifts=(), unknown=(f"cluster {cluster.name} cannot be read: {error.what}",), examined=0)


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """One look, and what changed meanwhile."""

    report: DriftReport
    moving: Mapping[str, str]
    """What Kustomizations and HelmReleases did, by their names."""

    def without_what_moves(self) -> DriftReport:
        """What was seen of an owner that did not rest says nothing; what nobody owns may be one's a moment later."""
        return replace(
            self.report,
            drifts=tuple(drift for drift in self.report.drifts if drift.owner and drift.owner not in self.moving),
            ignored=tuple(drift for drift in self.report.ignored if drift.owner not in self.moving),
            unknown=(*self.report.unknown, *(f"{owner} {why}" for owner, why in self.moving.items())),
        )


def _examine(
    cluster: Cluster, repository: Repository, timeline: TimelineFolder, progress: Callable[[str], None]
) -> _Seen:
    progress(f"{cluster.name}: building what git wants")
    owners = all_owners(cluster)
    served = {(found.api_version, found.kind): found for found in cluster.api.resources(verb="list")}
    with (
        tempfile.TemporaryDirectory(prefix="drift-", dir=timeline.lab.scratch) as folder,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads,
    ):
        wants, untold = all_desired(cluster, owners, Trees(repository, Path(folder)), threads)
        pairs = [(desired, placed(wanted, served)) for desired in wants for wanted in desired.manifests]
        progress(f"{cluster.name}: comparing {len(pairs)} objects")
        known = (served.get((wanted.api_version, wanted.kind)) for _, wanted in pairs)
        there = Live(cluster.api, filter(None, known), threads)
        compared = list(threads.map(lambda pair: compare_object(cluster.api, served, there, *pair), pairs))
    progress(f"{cluster.name}: looking for what nobody owns")
    owners_untold = [one.owner for one in untold]
    stray = orphans(cluster.api, served.values(), [wanted for _, wanted in pairs], untold=owners_untold)
    moving = motions(owners, all_owners(cluster))
    progress(f"{cluster.name}: finding out who it was")
    drifts, ignored = tell(cluster, timeline, compared, stray)
    report = DriftReport(
        drifts=drifts,
        ignored=ignored,
        unknown=(*(one.why for one in untold), *(one.unknown for one in compared if one.unknown)),
        examined=sum(not one.unknown for one in compared),
    )
    return _Seen(report=report, moving=moving)
