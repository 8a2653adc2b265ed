"""From drift to git: a commit on a branch of its own that has git say what the cluster says."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.cluster import Cluster
from fluxlab.clusters.paths import overlap
from fluxlab.clusters.resources import HELM_RELEASE, SECRET
from fluxlab.drift.aspects import DriftClass
from fluxlab.drift.builds import Files, Trees
from fluxlab.drift.examine import REQUESTS_AT_ONCE
from fluxlab.drift.places import Places
from fluxlab.drift.records import Drift, DriftReport
from fluxlab.drift.telling import redactor_of
from fluxlab.errors import UsageError
from fluxlab.moments import Commit
from fluxlab.redaction import MASK, Redactor
from fluxlab.repository import Repository
from fluxlab.timeline.entries import ObjectRef
from fluxlab.timeline.folder import TimelineFolder

from .aims import Aim, Owner
from .authored import authored
from .draft import Draft
from .result import Adoption, message_of
from .settling import Settlement
from .trial import Trial
from .ways import NoWayError, Ways

_SECRET_FIELDS = (".data", ".stringData")


def adopt(
    report: DriftReport,
    *,
    clusters: Mapping[str, Cluster],
    repository: Repository,
    timeline: TimelineFolder,
    branch: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> Adoption:
    """Push a commit to a new branch (default: `drift/CLUSTER-TIME`) that has git say what a report found.

    Before that, all Kustomizations of `clusters` are built with it: what is adopted is what comes out as it is in its
    cluster, and changes nothing else anywhere. For a HelmRelease this tries its patches on what it has released;
    whether its chart still fits them shows once it has converged. Nothing is written to a cluster.

    Raises UsageError when the branch is there already, and ApiError or ApiUnreachableError for a cluster that cannot
    be read.
    """
    names = "-".join(sorted({drift.cluster for drift in report.drifts}))
    branch = branch or f"drift/{names}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if repository.has(branch):
        hint = f"git push origin --delete {branch}, or choose another name"
        raise UsageError(f"branch {branch} is there already", hint=hint)
    if not report.drifts:
        return Adoption(report=report)
    with (
        tempfile.TemporaryDirectory(prefix="adopt-", dir=timeline.lab.scratch) as folder,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads,
    ):
        progress("building what git wants")
        trees = Trees(repository, Path(folder))
        base = repository.head()
        draft = Draft(Path(folder) / "draft")
        repository.check_out(base, draft.folder)
        releases = {_owner(drift) for drift in report.drifts if drift.owner.startswith(f"{HELM_RELEASE.kind} ")}
        trial = Trial(
            clusters, tree=draft.folder, releases=releases, repository=repository, trees=trees, threads=threads
        )
        ways = Ways(trial, draft, places=lambda below: Places(trees.at(Files(commit=base)), below))
        settlement = Settlement(trial, draft, ways, progress=progress)
        redactor = redactor_of(clusters.values(), timeline)
        aims = _Aims(trial, ways, clusters, redactor)
        settlement.reach(report.drifts, aims.of)
        return Adoption(
            report=report,
            branch=branch if settlement.adopted else "",
            commit=_commit(draft, repository, branch, base, settlement.adopted) if settlement.adopted else None,
            adopted=tuple(settlement.adopted),
            left=[(drift, redactor.redact(why)) for drift, why in settlement.left],  # flux may quote what it built
        )


def _owner(drift: Drift) -> Owner:
    return Owner(cluster=drift.cluster, object=ObjectRef.parse(drift.owner))


def _commit(draft: Draft, repository: Repository, branch: str, base: str, adopted: Sequence[Drift]) -> Commit:
    made = repository.on(branch, begin=base)
    try:
        for path, text in draft.changes.items():
            if text is None:
                made.delete(path)
            else:
                made.write(path, text)
        return made.commit(message_of(adopted))
    finally:
        made.close()


@dataclass(frozen=True)
class _Aims:
    """What an adoption aims at."""

    trial: Trial
    ways: Ways
    clusters: Mapping[str, Cluster]
    redactor: Redactor

    def of(self, drift: Drift) -> Aim:
        """Raises FluxlabError with the reason for which git must not say this, or cannot."""
        orphan = drift.class_ is DriftClass.ORPHAN
        valued = orphan or (drift.field and any(overlap(field, drift.field) for field in _SECRET_FIELDS))
        if drift.object.kind == SECRET.kind and valued:
            raise NoWayError("a Secret's values are never written to git")
        aim = self._of_orphan(drift) if orphan else self._of_owned(drift)
        text = json.dumps([aim.fields, aim.manifest.raw if aim.manifest else None], ensure_ascii=False)
        if MASK in text or self.redactor.redact(text) != text:
            raise NoWayError("it holds a value of a Secret, or the address of a webhook, which is never written to git")
        return aim

    def _of_owned(self, drift: Drift) -> Aim:
        owner = _owner(drift)
        built = self.trial.now.get(owner)
        if built is None:
            raise NoWayError(self.trial.untold.get(owner, f"{owner} is not built from the branch"))
        if drift.object not in built:
            raise NoWayError("git does not want it any more, in a commit that has not arrived yet")
        if drift.class_ is DriftClass.RECREATED:
            raise NoWayError("git wants that object: fields in which the new one differs are adopted by themselves")
        there = None if drift.live is None else json.loads(drift.live)
        fields = {} if drift.class_ is DriftClass.DELETED else {drift.field: there}
        aim = Aim(owner=owner, subject=drift.object, fields=fields)
        if not aim.missed(built):
            raise NoWayError("git says so already, in a commit that has not arrived yet")
        return aim

    def _of_orphan(self, drift: Drift) -> Aim:
        subject = drift.object
        live = self.clusters[drift.cluster].find(subject.kind, f"{subject.namespace}/{subject.name}")
        if live is None:
            raise NoWayError("it is gone by now")
        owner = self.ways.home_of(drift.cluster, subject.namespace)
        return Aim(owner=owner, subject=subject, manifest=authored(live))
