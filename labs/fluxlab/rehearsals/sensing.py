"""Look for signals in what a lab has said since a moment: when each was there first, and in which words."""

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial

from fluxlab.alerts import Wanted
from fluxlab.clusters.objects import Condition, KubeObject, items_at, text_at
from fluxlab.clusters.resources import SECRET
from fluxlab.drift.records import Unknown
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.lab import Lab
from fluxlab.logs import find_log, log_files, read_whole_log
from fluxlab.metrics import Sample, samples_of
from fluxlab.moments import Moment
from fluxlab.timeline.entries import Entry
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.loglines import read_log_lines
from fluxlab.timeline.text import line_of

from .history import Gap, History, Sighting
from .outset import Before, Outset
from .signals import (
    AlertSpec,
    ConditionSpec,
    DriftSpec,
    EventSpec,
    ForbiddenSignal,
    LogSpec,
    MetricSpec,
    PendingSpec,
    PodsSpec,
    SignalSpec,
)

LONGEST_WORDS = 500
_COUNTERS = ("_total", "_count", "_sum", "_bucket")
"""How Prometheus calls what only grows."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A signal that came."""

    time: datetime
    words: str


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What is there at one time of what leaves no record."""

    seen: Mapping[str, Seen] = field(default_factory=dict)
    """By what makes it the same thing later."""
    hidden: str = ""
    """Why there may be more than was seen."""


class Senses:
    """Finds signals of one cluster of a lab."""

    def __init__(self, lab: Lab, history: History, commits: Mapping[str, str]) -> None:
        """`commits`: what has been pushed so far, by the names of the steps."""
        self._lab = lab
        self._cluster = lab.cluster
        self._history = history
        self._commits = commits
        self._late_since: dict[PendingSpec, float] = {}

    def note_before(self, signal: SignalSpec, outset: Outset) -> None:
        """Have an outset know what of a signal without a record is there before."""
        try:
            counts = dict(self._counts(signal.metric)) if signal.metric else {}
            look = _Look() if counts else self._look(signal, outset, Before())
        except FluxlabError as error:
            outset.miss(signal, str(error))
            return
        if look.hidden:
            outset.miss(signal, look.hidden)
        else:
            outset.note(signal, look.seen, counts)

    def met(self, signal: SignalSpec) -> bool:
        """Whether that is or was there of which a signal would speak, where it names one thing.

        Raises UnknownError when nobody can tell.
        """
        if subject := signal.subject():
            kind, place = subject
            return kind == SECRET.kind or bool(self._versions(kind, place))  # of Secrets there is no history
        if pods := signal.pods:
            return any(pods.chooses(one.subject) for one in self._history.of("Pod", namespace=pods.namespace))
        if metric := signal.metric:
            return any(one.name == metric.name for one in self._samples(metric.component))
        return True

    def find(self, signal: SignalSpec, *, after: Outset) -> Seen | None:
        """The first time that a signal was there after an outset.

        Raises FluxlabError when it could not be looked for.
        """
        found = next(self._looking(signal, after), None)
        return found and Seen(time=found.time, words=found.words[:LONGEST_WORDS])

    def _looking(self, signal: SignalSpec, outset: Outset) -> Iterator[Seen]:
        """What is on record, or else is asked for now."""
        after = outset.moment
        each = isinstance(signal, ForbiddenSignal)  # what must not be said, not of what comes to the place either
        if signal.condition:
            return self._conditions(signal.condition, after, self._bound(signal.condition, after, each=each))
        if signal.event:
            return self._events(signal.event, after, self._bound(signal.event, after, each=each))
        if signal.log:
            return self._lines(signal.log, after)
        if signal.pods:
            return self._pods(signal.pods, after)
        if signal.alert:
            return self._alerts(signal.alert, after)
        return self._asking(signal, outset)

    def _asking(self, signal: SignalSpec, outset: Outset) -> Iterator[Seen]:
        """What is there now and was not at the outset, or was gone meanwhile."""
        before = outset.before(signal)
        look = self._look(signal, outset, before)
        seen = [one for key, one in look.seen.items() if key not in before.there]
        if not look.hidden:  # else what is not seen may be there all the same
            outset.learn(signal, look.seen)
        elif not seen:
            raise UnknownError("there may be more than could be seen", facts=[look.hidden])
        return self._lasting(signal.pending, seen) if signal.pending else iter(seen)

    def _look(self, signal: SignalSpec, outset: Outset, before: Before) -> _Look:
        """What is there now."""
        if signal.drift:
            return self._drifts(signal.drift)
        if signal.metric:
            return _Look(seen=dict(self._metrics(signal, signal.metric, outset, before)))
        if signal.pending:
            return _Look(seen=dict(self._pending(signal.pending)))
        raise AssertionError("of the kinds of signals there is one")

    # -- objects -------------------------------------------------------------------------------------------------

    def _versions(self, kind: str, place: str) -> Sequence[Sighting]:
        namespace, _, name = place.rpartition("/")
        return self._history.of(kind, namespace=namespace, name=name)

    def _bound(self, spec: ConditionSpec | EventSpec, after: Moment, *, each: bool) -> Collection[str]:
        """The UID of what was at a place at a moment, or else came there first; or of each that was there since."""
        before: list[str] = []
        since: list[str] = []
        for one in self._versions(spec.kind, spec.place):
            if not self._history.is_after(one, after):
                before = [] if one.deleted else [_uid(one.subject)]
            elif not one.deleted:
                since.append(_uid(one.subject))
        found = [*before, *since]
        return found if each else found[:1]

    def _conditions(self, spec: ConditionSpec, after: Moment, uids: Collection[str]) -> Iterator[Seen]:
        before: Condition | None = None
        for one in self._versions(spec.kind, spec.place):
            if _uid(one.subject) not in uids:
                continue
            condition = None if one.deleted else one.subject.condition(spec.type)
            if not self._history.is_after(one, after):
                before = condition
            elif condition != before:
                before = None  # it was another, or gone: from here on also what comes back is new
                if condition and spec.fits(condition, one.subject):
                    yield Seen(time=one.time, words=f"{one.subject}: {condition}")
        namespace, _, name = spec.place.rpartition("/")
        for gap in self._history.gaps(spec.kind, namespace=namespace, name=name, after=after):
            if not _stayed_another(gap, spec):
                raise UnknownError(str(gap))

    def _events(self, spec: EventSpec, after: Moment, uids: Collection[str]) -> Iterator[Seen]:
        namespace, _, name = spec.place.rpartition("/")
        for one in self._history.of("Event"):
            event, about = one.subject, one.subject.raw.get("involvedObject")
            if (
                self._history.is_after(one, after)
                and not one.deleted
                and (text_at(about, "kind").lower(), text_at(about, "namespace"), text_at(about, "name"))
                == (spec.kind.lower(), namespace, name)
                and text_at(about, "uid") in uids
                and spec.reason in {"", text_at(event.raw, "reason")}
                and spec.type in {"", text_at(event.raw, "type")}
                and spec.message in text_at(event.raw, "message")
            ):
                words = (text_at(event.raw, field) for field in ("type", "reason", "message"))
                yield Seen(time=one.time, words=" ".join(words))

    def _pods(self, spec: PodsSpec, after: Moment) -> Iterator[Seen]:
        before: set[tuple[str, str, str]] = set()
        for one in self._history.of("Pod", namespace=spec.namespace):
            if one.deleted or not spec.chooses(one.subject):
                continue
            for container in items_at(one.subject.raw, "status", "containerStatuses"):
                reason = text_at(container, "state", "waiting", "reason")
                if not reason or spec.waiting not in reason:
                    continue
                known = (_uid(one.subject), text_at(container, "name"), reason)
                if not self._history.is_after(one, after):
                    before.add(known)
                elif known not in before:
                    message = text_at(container, "state", "waiting", "message")
                    yield Seen(time=one.time, words=f"{one.subject}: {reason}: {message}")
        for gap in self._history.gaps("Pod", namespace=spec.namespace, after=after):
            if any(one and spec.chooses(one) for one in (gap.before, gap.after)):
                raise UnknownError(str(gap))

    # -- other sources -------------------------------------------------------------------------------------------

    def _lines(self, spec: LogSpec, after: Moment) -> Iterator[Seen]:
        logs = log_files(self._lab.folder)
        name = find_log(logs, spec.component)
        for line in read_whole_log(logs[name], partial(read_log_lines, part=name)):
            if line.entry.time >= _whole_milliseconds(after.time) and re.search(spec.pattern, line.raw):
                yield Seen(time=line.entry.time, words=line.raw)

    def _alerts(self, spec: AlertSpec, after: Moment) -> Iterator[Seen]:
        if spec.commit and spec.commit not in self._commits:
            return  # nobody can speak of what is not pushed yet
        commit = self._commits[spec.commit] if spec.commit else ""  # steps without a name push commits, too
        wanted = Wanted(**{**spec.model_dump(), "commit": commit})
        for alert in self._lab.alerts.all(wanted, since=after.time):
            if not self._told_before(alert, after):
                yield Seen(time=alert.time, words=line_of(alert))

    def _told_before(self, alert: Entry, after: Moment) -> bool:
        """Whether an alert that came after a moment is about what the cluster itself had only told before."""
        # Who told of the alert had masked it, the cluster had not; and either may know what the other does not.
        TimelineFolder(self._lab.folder).teach(self._history.redactor)
        mask = self._history.redactor.redact
        about, text = alert.object, mask(alert.text)
        told = [
            self._history.is_after(one, after)
            for one in self._history.of("Event")
            if about
            and not one.deleted
            and text_at(one.subject.raw, "involvedObject", "kind") == about.kind
            and text_at(one.subject.raw, "involvedObject", "name") == about.name
            and mask(text_at(one.subject.raw, "message")) == text
        ]
        return bool(told) and not any(told)

    def _drifts(self, spec: DriftSpec) -> _Look:
        report = self._lab.drift()
        seen = {
            one.headline: Seen(time=datetime.now(UTC), words=str(one))
            for one in report.drifts
            if fnmatchcase(str(one.object), spec.object) and spec.class_ in {None, one.class_}
        }
        return _Look(seen=seen, hidden=next((str(one) for one in report.unknown if _hides(one, spec)), ""))

    def _pending(self, spec: PendingSpec) -> Iterator[tuple[str, Seen]]:
        for one in (one for look in self._lab.look() for one in look.pending):
            if one.object == spec.object and spec.why in one.why:
                yield one.object, Seen(time=datetime.now(UTC), words=str(one))

    def _lasting(self, spec: PendingSpec, late: Sequence[Seen]) -> Iterator[Seen]:
        if not late:
            self._late_since.pop(spec, None)
            return
        since = self._late_since.setdefault(spec, time.monotonic())
        if time.monotonic() - since >= spec.for_seconds:
            yield late[0]

    def _metrics(
        self, signal: SignalSpec, spec: MetricSpec, outset: Outset, before: Before
    ) -> Iterator[tuple[str, Seen]]:
        for one in self._numbers(spec):
            counter = one.name.endswith(_COUNTERS)
            value = outset.risen(signal, before, _sample_key(one), one.value) if counter else one.value
            if value > spec.above:
                yield _sample_key(one), Seen(time=datetime.now(UTC), words=one.line)

    def _counts(self, spec: MetricSpec) -> Iterator[tuple[str, float]]:
        return ((_sample_key(one), one.value) for one in self._numbers(spec) if one.name.endswith(_COUNTERS))

    def _numbers(self, spec: MetricSpec) -> Iterator[Sample]:
        for one in self._samples(spec.component):
            if one.name == spec.name and spec.labels.items() <= one.labels.items():
                yield one

    def _samples(self, component: str) -> Sequence[Sample]:
        cluster = next(one for one in self._lab.status().clusters if one.name == self._cluster.name)
        return samples_of(cluster.pid_of(component), program=component)


def _hides(unknown: Unknown, spec: DriftSpec) -> bool:
    """Whether drift that is meant may be there and was not seen: of the object, or of all that its owner wants."""
    name = str(unknown.object or "")
    return name in {"", unknown.owner} or fnmatchcase(name, spec.object)


def _sample_key(sample: Sample) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))


def _stayed_another(gap: Gap, spec: ConditionSpec) -> bool:
    """Whether a condition cannot have had a status in a gap: it had another all the time, by its own transition."""
    if gap.before is None or gap.after is None:
        return False
    status, since = _transition(gap.before, spec.type)
    return (status, since) == _transition(gap.after, spec.type) and bool(since) and status != spec.status


def _transition(subject: KubeObject, kind: str) -> tuple[str, str]:
    """The status of a condition, and since when it has that."""
    found = (one for one in items_at(subject.raw, "status", "conditions") if text_at(one, "type") == kind)
    return next(((text_at(one, "status"), text_at(one, "lastTransitionTime")) for one in found), ("", ""))


def _uid(subject: KubeObject) -> str:
    return text_at(subject.raw, "metadata", "uid")


def _whole_milliseconds(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)  # logs have milliseconds
