"""From a run to its result: times, blast radius, the history of what happened, and how to do the same once more."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import FLUX_RESOURCES, WORKLOADS
from fluxlab.flux.rollout import rollout
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.query import Query, ask
from fluxlab.toolchain import find

from .results import HistoryEntry, RunResult, Times, verdict

if TYPE_CHECKING:
    from .running import Run

LONGEST_HISTORY = 3000
QUOTED_ERRORS = 20
_WORKLOAD_KINDS = frozenset(resource.kind for resource in WORKLOADS)
_FLUX_KINDS = frozenset(resource.kind for resource in FLUX_RESOURCES)
_LANES = {
    "GitRepository": "sources",
    "OCIRepository": "sources",
    "HelmRepository": "sources",
    "HelmChart": "sources",
    "Bucket": "sources",
    "Kustomization": "kustomizations",
    "HelmRelease": "releases",
}


def tell(run: "Run") -> RunResult:
    """The result of a run that has ended."""
    entries = ask(TimelineFolder(run.lab.folder), Query(since=run.began))
    return RunResult(
        title=run.rehearsal.title,
        story=run.rehearsal.story,
        file=run.file.name,
        seed=run.seed,
        control=run.control,
        lab=run.lab.name,
        outcome=verdict(run.findings),
        findings=tuple(run.findings),
        truth=run.rehearsal.truth,
        began=run.began,
        ended=datetime.now(UTC),
        checks=tuple(run.checks),
        steps=tuple(run.steps),
        faults=tuple(run.faults.values()),
        signals=tuple(run.signals[number] for number in sorted(run.signals)),
        times=_times(run),
        blast_radius=tuple(_blast_radius(run)),
        residue=tuple(run.residue),
        history=tuple(_history(entries)),
        evidence=tuple(
            _evidence([entry for entry in entries if run.first_fault and entry.time >= run.first_fault.time])
        ),
        versions=dict(find().versions),
        commit=run.head,
        replay=_replay(run),
    )


def _replay(run: "Run") -> str:
    words = ["fluxlab", "rehearse", str(run.file), "--seed", str(run.seed), *(["--control"] if run.control else [])]
    return shlex.join(words)


def _times(run: "Run") -> Times:
    seen = sorted(
        one.after_seconds for one in run.signals.values() if one.after_seconds is not None and not one.forbidden
    )
    alerts = [
        one.after_seconds for one in run.signals.values() if "alert" in one.signal and one.after_seconds is not None
    ]
    recovery = (run.recovered - run.healed).total_seconds() if run.recovered and run.healed else None
    return Times(
        first_signal_seconds=seen[0] if seen else None,
        all_signals_seconds=seen[-1]
        if seen and all(one.seen for one in run.signals.values() if not one.forbidden)
        else None,
        alert_seconds=min(alerts, default=None),
        recovery_seconds=None if recovery is None else round(max(0.0, recovery), 3),
    )


def _blast_radius(run: "Run") -> Sequence[str]:
    """Objects that said of themselves that they were not well, since the first fault."""
    if run.first_fault is None:
        return ()
    after = run.first_fault
    return sorted(
        {
            str(one.subject)
            for one in run.history.all()
            if run.history.is_after(one, after) and not one.deleted and _is_unwell(one.subject)
        }
    )


def _is_unwell(subject: KubeObject) -> bool:
    if subject.kind in _WORKLOAD_KINDS:
        return rollout(subject) is not None
    ready = subject.condition("Ready") if subject.kind in _FLUX_KINDS else None
    return ready is not None and ready.status == "False"


def _history(entries: Sequence[Entry]) -> Iterator[HistoryEntry]:
    told = [entry for entry in entries if entry.source not in {Source.AUDIT, Source.REQUEST, Source.LOG}]
    for entry in told[:LONGEST_HISTORY]:
        yield HistoryEntry(
            time=entry.time,
            lane=_lane(entry),
            text=entry.text,
            level=entry.level,
            object=str(entry.object) if entry.object else entry.part,
            commit=entry.commit,
            actor=entry.actor,
        )


def _lane(entry: Entry) -> str:
    if entry.source in {Source.PUSH, Source.COMMIT}:
        return "git"
    if entry.source is Source.FAULT:
        return "faults"
    if entry.source in {Source.PROCESS, Source.RECORDER}:
        return "processes"
    if entry.source.value == "alert":
        return "alerts"
    return _LANES.get(entry.object.kind if entry.object else "", "workloads")


def _evidence(entries: Sequence[Entry]) -> Iterator[str]:
    """The last things that went wrong, as somebody who looks into it would begin."""
    wrong = [entry for entry in entries if entry.level.rank >= Level.WARNING.rank]
    for entry in wrong[-QUOTED_ERRORS:]:
        about = entry.object or entry.part
        yield f"{entry.time:%H:%M:%S.%f} {entry.source} {about}: {entry.text}"
