"""From what was seen in a run to its result: times, the history of what happened, and how to do the same once more."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import FLUX_RESOURCES, WORKLOADS
from fluxlab.flux.rollout import rollout
from fluxlab.moments import Moment
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.toolchain import find

from .history import History
from .loading import shipped_rehearsals
from .observed import Observed
from .results import CheckResult, Finding, HistoryEntry, RunResult, SignalResult, Times, verdict

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


def tell(run: Observed, findings: Sequence[Finding], *, redactor: Redactor) -> RunResult:
    """The result of a run, in which nothing stands that is secret."""
    return _told(run, findings).masked(redactor)


def _told(run: Observed, findings: Sequence[Finding]) -> RunResult:
    first_fault = run.first_fault
    history = [_entry(one) for one in most_telling(run.entries)]
    return RunResult(
        title=run.rehearsal.title,
        story=run.rehearsal.story,
        file=run.file.name,
        seed=run.seed,
        control=run.control,
        lab=run.lab,
        outcome=verdict(findings),
        findings=tuple(findings),
        truth=run.rehearsal.truth,
        began=run.began,
        first_fault=first_fault,
        healed=run.healed,
        recovered=run.recovered,
        ended=run.ended,
        recovery_within_seconds=run.recovery_within_seconds,
        checks=(*run.checks, *_courses(run)),
        steps=tuple(run.steps),
        faults=tuple(run.faults.values()),
        signals=tuple(run.signals[number] for number in sorted(run.signals)),
        times=times_of(
            run.signals.values(),
            expected=len(run.rehearsal.expect),
            first_fault=first_fault,
            healed=run.healed,
            recovered=run.recovered,
        ),
        blast_radius=tuple(run.blast_radius),
        residue=tuple(run.residue),
        history=tuple(history),
        untold=sum(map(_is_told, run.entries)) - len(history),
        evidence=tuple(_evidence([entry for entry in run.entries if first_fault and entry.time >= first_fault])),
        unreal=tuple(run.unreal),
        versions={"fluxlab": version("fluxlab"), **find().versions},
        commit=run.commit,
        replay=_replay(run),
    )


def _courses(run: Observed) -> Iterator[CheckResult]:
    """What was asked again and again while something was broken, as the worst answer to it."""
    for whole in run.courses:
        course = whole.between(*run.during)
        stretch = course.worst or (course.broken if course.broken.worst else course.unknown)
        last = course.told[-1] if course.told else None
        if answer := stretch.worst or (last.answer if last else None):
            yield CheckResult(
                what=course.state.what,
                when="during",
                holds=answer.holds,
                words=answer.words,
                at=last.answered if last else run.ended,
                for_seconds=round(stretch.longest_seconds, 3),
                tolerated_seconds=course.state.tolerate_seconds,
                ever_held=course.held,
            )


def _replay(run: Observed) -> str:
    shipped = run.file.resolve() in (file.resolve() for file in shipped_rehearsals())
    words = ["fluxlab", "rehearse", run.file.stem if shipped else str(run.file), "--seed", str(run.seed)]
    if run.control:
        words.append("--control")
    if run.timeout_factor != 1:
        words += ["--timeout-factor", f"{run.timeout_factor:g}"]
    return shlex.join(words)


def times_of(
    signals: Iterable[SignalResult],
    *,
    expected: int,
    first_fault: datetime | None,
    healed: datetime | None,
    recovered: datetime | None,
) -> Times:
    """What it took, where so many signals were expected; each may have been looked for after a fault of its own."""
    found = [one for one in signals if one.seen and not one.forbidden]
    seen = [one.seen for one in found if one.seen]
    alerts = [one.seen for one in found if one.seen and "alert" in one.signal]
    return Times(
        first_signal_seconds=_between(first_fault, min(seen, default=None)),
        all_signals_seconds=_between(first_fault, max(seen, default=None)) if len(seen) == expected else None,
        alert_seconds=_between(first_fault, min(alerts, default=None)),
        recovery_seconds=_between(healed, recovered),
    )


def _between(begin: datetime | None, end: datetime | None) -> float | None:
    return round(max(0.0, (end - begin).total_seconds()), 3) if begin and end else None


def blast_radius(history: History, after: Moment) -> Sequence[str]:
    """Objects that said of themselves that they were not well, since a moment."""
    return sorted(
        {
            str(one.subject)
            for one in history.all()
            if history.is_after(one, after) and not one.deleted and _is_unwell(one.subject)
        }
    )


def _is_unwell(subject: KubeObject) -> bool:
    if subject.kind in _WORKLOAD_KINDS:
        return rollout(subject) is not None
    ready = subject.condition("Ready") if subject.kind in _FLUX_KINDS else None
    return ready is not None and ready.status == "False"


def _is_told(entry: Entry) -> bool:
    return entry.source not in {Source.AUDIT, Source.REQUEST, Source.LOG}


def most_telling(entries: Sequence[Entry]) -> Sequence[Entry]:
    """In their order; of too many, those that matter most: pushes and faults, then what went wrong."""
    told = [entry for entry in entries if _is_told(entry)]
    kept = sorted(told, key=_weight, reverse=True)[:LONGEST_HISTORY]
    return sorted(kept, key=lambda entry: entry.time)


def _weight(entry: Entry) -> int:
    return len(Level) if _lane(entry) in {"git", "faults", "alerts"} else entry.level.rank


def _entry(entry: Entry) -> HistoryEntry:
    return HistoryEntry(
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
    if entry.source is Source.ALERT:
        return "alerts"
    return _LANES.get(entry.object.kind if entry.object else "", "workloads")


def _evidence(entries: Sequence[Entry]) -> Iterator[str]:
    """The last things that went wrong, as somebody who looks into it would begin."""
    wrong = [entry for entry in entries if entry.level.rank >= Level.WARNING.rank]
    for entry in wrong[-QUOTED_ERRORS:]:
        about = entry.object or entry.part
        yield f"{entry.time:%H:%M:%S.%f} {entry.source} {about}: {entry.text}"
