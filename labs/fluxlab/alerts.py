"""Alerts: what Flux told the world, when, of which object and commit; and what it dropped on the way, and why."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TypeAlias

import psutil

from .clusters.masking import Masking
from .documents import Json
from .errors import FluxlabError, UnknownError, UsageError, WaitTimeoutError
from .logs import log_files, read_whole_log
from .metrics import samples_of
from .moments import Commit, Moment
from .redaction import Redactor
from .status import ClusterState
from .timeline.entries import Detail, Entry, Level, ObjectRef, Source
from .timeline.folder import SUPERVISOR, TimelineFolder
from .timeline.journal import read_journal
from .timeline.loglines import LogLine, read_log_lines
from .timeline.query import Masks
from .timeline.text import line_of
from .waiting import never, wait_until

EXPECT_SECONDS = 30.0
LOOK_SECONDS = 0.1
QUOTED = 10
SEVERITIES = ("info", "error")
DUPLICATE = {"code": str(HTTPStatus.TOO_MANY_REQUESTS.value)}
"""How notification-controller answers an event that is the same as one of the last five minutes."""
ANSWERED = "gotk_event_http_request_duration_seconds_count"
"""Its count of the events that came, by answer: of duplicates it tells nothing else at its usual log level."""
TELLER = "notification-controller"
WITHOUT_COMMIT = ("HelmRelease", "HelmChart", "HelmRepository")
"""Of these Flux tells the version of a chart, or the digest of an index, where it tells the commit of others."""
_BEGINNING = datetime.fromtimestamp(0, UTC)
# What notification-controller (internal/server/event_handlers.go) and the other controllers log at their usual level.
_DROPPED: Mapping[str, str] = {
    # So it says also where an Alert selects the object, and its severity, its lists or `suspend` leave the event out.
    "discarding event, no alerts found for the involved object": "no Alert wants this event (object, severity, text)",
    "event dropped for commit status providers": "the provider tells of commits, and this event names none",
    "event dropped for change request providers": "the provider tells of change requests, and this event names none",
    "failed to send notification": "the provider did not take it",
    "failed to dispatch notification": "it could not be sent",
    "unable to record event": "notification-controller did not take the event",
}
When: TypeAlias = Commit | Moment


class AlertError(FluxlabError):
    """An alert that did not come, or that should not have."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which alerts are meant; each field narrows it."""

    object: str = ""
    """`Kustomization flux-system/shop`, `flux-system/shop` or `shop`."""
    commit: str = ""
    """Its name, or how it begins."""
    provider: str = ""
    """slack, generic, generic-hmac or github, or the host at which it ended."""
    severity: str = ""
    reason: str = ""
    """Slack and GitHub are not told."""
    message: str = ""
    """A part of it."""

    def fits(self, alert: Entry) -> bool:
        """Whether an alert is one of these."""
        told = alert.details
        return (
            (not self.object or _is_about(alert.object, self.object))
            and alert.commit.startswith(self.commit)
            and self.provider in {"", told.get(Detail.SINK), told.get(Detail.HOST)}
            and self.severity in {"", severity_of(alert)}
            and self.reason in {"", told.get(Detail.REASON)}
            and self.message in alert.text
            and not (told.get(Detail.REFUSED) and self != Wanted())
        )

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in vars(self).items() if value)


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """An event that did not become an alert."""

    time: datetime
    object: str
    why: str
    message: str
    """What the log has to say about it."""

    def is_about(self, name: str) -> bool:
        """Whether its object is what a person named: `Kustomization flux-system/shop`, or just `shop`."""
        return " " in self.object and ObjectRef.parse(self.object).answers_to(name)


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """How many events of a cluster were dropped because they were the same as one of the last five minutes."""

    cluster: str
    count: int | None
    """Since notification-controller was started: what an earlier process counted is gone with it. None: not known."""
    since: datetime | None = None
    """When that was."""
    unknown: str = ""
    """Why it is not known."""

    def __str__(self) -> str:
        if self.count is None or self.since is None:
            return f"{self.cluster}: how many duplicates were dropped is not known: {self.unknown}"
        return (
            f"{self.cluster}: {self.count} events were dropped as the same as one of the last five minutes, since "
            f"{TELLER} was started at {self.since.astimezone():%H:%M:%S}; what it counted before is not known"
        )


class Alerts:
    """The alerts of one lab."""

    def __init__(
        self,
        folder: TimelineFolder,
        *,
        clusters: Callable[[], Sequence[ClusterState]],
        patience: Callable[[float], float] = lambda seconds: seconds,
    ) -> None:
        self._folder = folder
        self._clusters = clusters
        self._patience = patience

    def all(self, wanted: Wanted | None = None, *, since: datetime = _BEGINNING) -> Sequence[Entry]:
        """Those that reached a sink, in order of time; also those that a sink refused.

        Raises UsageError for what no alert of this lab can have: a severity, a provider, or a commit with its object.
        """
        chosen = wanted or Wanted()
        self._check(chosen)
        told = (one for one in read_journal(self._folder.journal(SUPERVISOR)) if one.source is Source.ALERT)
        return [one for one in told if one.time >= since and chosen.fits(one)]

    def _check(self, wanted: Wanted) -> None:
        """Raises UsageError for what no alert of this lab can be."""
        if wanted.severity not in {"", *SEVERITIES}:
            raise UsageError(
                f"no alert has severity {wanted.severity!r}", facts=[f"there are: {', '.join(SEVERITIES)}"]
            )
        known = sorted({name for sink in self._folder.sinks() for name in (sink.kind, sink.host)})
        if wanted.provider not in {"", *known}:
            facts = [f"there are: {', '.join(known) or 'none: add alerts to the lab file'}"]
            raise UsageError(f"no alert of this lab ends at {wanted.provider!r}", facts=facts)
        # Statuses are of commits, whatever object they are about.
        of_commits = {name for sink in self._folder.sinks() if sink.kind == "github" for name in (sink.kind, sink.host)}
        may_come = wanted.provider in of_commits or (of_commits and not wanted.provider)
        if wanted.commit and not may_come and _is_without_commit(wanted.object):
            statuses = 'provider="github" (statuses name one), or ' if of_commits else ""
            raise UsageError(
                f"alerts about {wanted.object} name no commit",
                facts=["of Helm's objects Flux tells the version of a chart, or the digest of an index"],
                hint=f"{statuses}leave the commit out, and say since when, or a part of the message",
            )

    def expect(self, wanted: Wanted, *, after: When, within_seconds: float = EXPECT_SECONDS) -> Entry:
        """The first alert of a kind that comes after a moment, or of a commit.

        Raises AlertError, which tells what came instead and what was dropped, and UsageError without a choice.
        """
        chosen, since = _chosen(wanted, after)
        try:
            return wait_until(
                lambda: next(iter(self.all(chosen, since=since)), None),
                what=f"an alert ({chosen})",
                timeout_seconds=self._patience(within_seconds),
                interval_seconds=LOOK_SECONDS,
            )
        except WaitTimeoutError as error:
            raise AlertError(error.what, facts=self._instead(since), hint="fluxlab alerts") from None

    def forbid(self, wanted: Wanted, *, after: When, for_seconds: float) -> None:
        """See to it for a while that no such alert comes after a moment, or of a commit.

        Raises AlertError with the alert, and UsageError without a choice.
        """
        chosen, since = _chosen(wanted, after)
        never(
            lambda: next((line_of(one) for one in self.all(chosen, since=since)), ""),
            what=f"an alert ({chosen})",
            for_seconds=self._patience(for_seconds),
            interval_seconds=LOOK_SECONDS,
        )

    def _instead(self, since: datetime) -> Sequence[str]:
        came = [line_of(one) for one in self.all(since=since)][-QUOTED:]
        dropped = [f"dropped: {one.object}: {one.why}: {one.message}" for one in self.dropped(since=since)][-QUOTED:]
        return [*(came or ["no alert came at all"]), *dropped, *map(str, self.duplicates())]

    def dropped(self, *, since: datetime = _BEGINNING, masks: Masks | None = None) -> Sequence[Dropped]:
        """What did not become an alert, as the controllers' logs have it, in order of time.

        `masks` is asked once they were read; without it the lab's folder and its clusters are. Objects are not masked,
        as nowhere in the timeline.
        """
        found = [
            dropped
            for name, file in log_files(self._folder.lab).items()
            if name.endswith("-controller")
            for line in read_whole_log(file, partial(read_log_lines, part=name))
            if line.entry.time >= since and (dropped := _dropped(line))
        ]
        mask = (masks or self._known)().redact
        told = (replace(dropped, message=mask(dropped.message)) for dropped in found)
        return sorted(told, key=lambda one: one.time)

    def _known(self) -> Redactor:
        with Masking(self._folder) as masking:
            return masking.now()

    def duplicates(self) -> Sequence[Duplicates]:
        """What each cluster's notification-controller has counted since it was started. Raises SupervisorGoneError."""
        return [_duplicates(cluster) for cluster in self._clusters()]


def _duplicates(cluster: ClusterState) -> Duplicates:
    pid = cluster.pid_of(TELLER)
    try:
        found = samples_of(pid, program=TELLER)
        since = datetime.fromtimestamp(psutil.Process(pid).create_time(), UTC)
    except (UnknownError, psutil.Error) as error:
        return Duplicates(cluster=cluster.name, count=None, unknown=" ".join(str(error).split()))
    count = sum(one.value for one in found if one.name == ANSWERED and one.labels.items() >= DUPLICATE.items())
    return Duplicates(cluster=cluster.name, count=int(count), since=since)


def severity_of(alert: Entry) -> str:
    """Info or error."""
    return "error" if alert.level is Level.ERROR else "info"


def _chosen(wanted: Wanted, after: When) -> tuple[Wanted, datetime]:
    if wanted == Wanted():
        raise UsageError("an alert without anything that it has to be is no expectation", hint="Wanted(object=...)")
    return wanted, (after.before if isinstance(after, Commit) else after).time


def _is_without_commit(name: str) -> bool:
    """Whether a person has named an object of such a kind; by its name alone it may be of any."""
    *before, last = name.replace(" ", "/").split("/")
    namespace = "".join(before[1:])
    refs = (ObjectRef(kind=kind, namespace=namespace, name=last) for kind in WITHOUT_COMMIT)
    return bool(before) and any(one.answers_to(name) for one in refs)


def _is_about(subject: ObjectRef | None, name: str) -> bool:
    """Whether an alert is about what a person named; GitHub is told of an object without its namespace."""
    if subject is None or subject.answers_to(name):
        return subject is not None
    *kind, _, last = ["", *name.replace(" ", "/").split("/")]
    return not subject.namespace and subject.answers_to("/".join([*filter(None, kind), last]))


def _dropped(line: LogLine) -> Dropped | None:
    why = next((why for begin, why in _DROPPED.items() if line.entry.text.startswith(begin)), "")
    if not why:
        return None
    return Dropped(time=line.entry.time, object=_subject(line), why=why, message=line.entry.text)


def _subject(line: LogLine) -> str:
    return str(line.entry.object or "") or " ".join(_involved(line.raw)) or "?"


def _involved(raw: str) -> Iterator[str]:
    try:
        event: Json = json.loads(raw)
    except ValueError:
        return
    about = event.get("eventInvolvedObject") if isinstance(event, Mapping) else None
    if isinstance(about, Mapping):
        yield str(about.get("kind", ""))
        yield f"{about.get('namespace', '')}/{about.get('name', '')}"
