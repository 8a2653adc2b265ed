"""Ask the timeline: all sources merged in order of time, with who and for which commit, filtered."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from fluxlab.logs import find_log, log_files, read_whole_log
from fluxlab.redaction import Redactor

from .attribution import attribute, commits_of, with_actors, with_message
from .audit import audit_files, read_audit
from .entries import Detail, Entry, Level, Source
from .folder import FAULTS, RECORDER, SUPERVISOR, TimelineFolder
from .following import whenever_written
from .journal import JournalReader, masked, read_journal, segments_of
from .loglines import LogLine, read_log_lines
from .requests import read_requests

OWN = frozenset(
    {
        Source.PUSH,
        Source.COMMIT,
        Source.OBJECT,
        Source.EVENT,
        Source.PROCESS,
        Source.FAULT,
        Source.ALERT,
        Source.RECORDER,
    }
)
_WRITERS = (SUPERVISOR, RECORDER, FAULTS)
_STRUCTURED = frozenset({"gateway"})
"""Logs that are a source of their own."""
PLATFORM = frozenset({"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "registry"})
"""Programs whose errors are mostly steps on the way: shown when asked for."""
FOLLOW_SECONDS = 1.0
SETTLING = timedelta(seconds=2)
MARGIN = timedelta(seconds=30)
Masks = Callable[[], Redactor]
"""What masks all that is secret by the time at which it is called."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is asked for. Each field narrows the answer; without any it is what happened, and every error."""

    since: datetime | None = None
    until: datetime | None = None
    subject: str = ""
    """`deployment/cart`, `otel-demo/cart`, `deployment/otel-demo/cart` or just `cart`."""
    commit: str = ""
    """A commit's name, or its first characters."""
    issue: str = ""
    sources: frozenset[Source] = frozenset()
    level: Level | None = None
    """The least level; by default info for what happened, and error for what programs say of themselves."""
    cluster: str = ""

    @property
    def usual(self) -> bool:
        """Whether neither sources nor a level are asked for."""
        return not self.sources and self.level is None


class Journals:
    """What fluxlab itself writes of a lab: who asks again and again keeps one, and reads only what was added."""

    def __init__(self, folder: TimelineFolder) -> None:
        self._readers = [JournalReader(folder.journal(writer)) for writer in _WRITERS]

    def __iter__(self) -> Iterator[Entry]:
        """The entries that there are now, of one writer after the other."""
        for reader in self._readers:
            yield from reader


def ask(
    folder: TimelineFolder, query: Query, *, masks: Masks | None = None, journals: Journals | None = None
) -> list[Entry]:
    """The entries that a query asks for, in order of time.

    `masks` is asked once they were read; without it what the lab's folder knows to be secret is masked.
    """
    return _masked(_found(folder, query, audited_since=query.since, journals=journals), masks or folder.redactor)


def _masked(entries: Sequence[Entry], masks: Masks) -> list[Entry]:
    redactor = masks()
    return [masked(entry, redactor) for entry in entries]


def _found(
    folder: TimelineFolder, query: Query, *, audited_since: datetime | None, journals: Journals | None
) -> list[Entry]:
    """The entries that a query asks for, as far as the audit log tells of them since a moment."""
    audited = _audited(folder, replace(query, since=audited_since)) if _asks(query, Source.AUDIT) else []
    # First: whether Flux deleted something is told there.
    named, used = with_actors(journals or _journals(folder), audited)
    own = attribute(named)
    kinds = {
        entry.details.get(Detail.RESOURCE, "").rpartition("/")[2]: entry.object.kind for entry in own if entry.object
    }
    explained = (_with_kind(entry, kinds) for entry in audited if entry.details.get(Detail.AUDIT_ID) not in used)
    said = _said(folder) if _asks(query, Source.LOG) else ()
    requests = read_requests(folder.lab.gateway_log) if _asks(query, Source.REQUEST) else ()
    commits = commits_of(own)
    streams = [own, explained, (with_message(entry, commits) for entry in said), requests]
    merged = heapq.merge(*(sorted(stream, key=_time) for stream in streams), key=_time)
    return [entry for entry in merged if matches(entry, query)]


def news(folder: TimelineFolder, query: Query, *, begin_with: int, masks: Masks | None = None) -> Iterator[list[Entry]]:
    """The newest entries, then again and again what has come since; without an end. `masks`: as for `ask`."""
    masks, journals = masks or folder.redactor, Journals(folder)
    written = whenever_written(partial(_files, folder, query), every_seconds=FOLLOW_SECONDS, settling=SETTLING)
    next(written)
    told = _found(folder, query, audited_since=query.since, journals=journals)
    yield _masked(newest(told, begin_with), masks)
    known = set(map(_identity, told))
    for _ in written:
        since = max(entry.time for entry in told) - MARGIN if told else query.since
        fresh = _unknown(_found(folder, query, audited_since=since, journals=journals), known, since=since)
        late = {_identity(entry) for entry in fresh if _is_late(entry, since)}
        if late:  # who did that, and when, the audit log told long ago
            told_long_ago = _found(folder, query, audited_since=query.since, journals=journals)
            fresh = _unknown(told_long_ago, known, since=since)
        known |= late | set(map(_identity, fresh))
        told = fresh or told
        if fresh:
            yield _masked(fresh, masks)


def _unknown(entries: Iterable[Entry], known: Collection[int], *, since: datetime | None) -> list[Entry]:
    """What is not known yet. The journals have what was heard late, with its own time; others write at once."""
    settled = datetime.now(UTC) - SETTLING
    return [
        entry
        for entry in entries
        if _identity(entry) not in known
        and (entry.source in OWN or since is None or entry.time >= since)
        # A request that changed something is told with the change, which comes a moment later.
        and (entry.source is not Source.AUDIT or entry.time < settled)
    ]


def _is_late(entry: Entry, since: datetime | None) -> bool:
    """Whether an entry is of something that happened before `since`, or may have."""
    return Detail.LATE in entry.details or (since is not None and entry.time < since)


def _identity(entry: Entry) -> int:
    """What stays of an entry when more is learned about it: who made a change, and when exactly, comes later.

    A digest: whoever follows for days is told of millions.
    """
    which = entry.details.get(Detail.VERSION) or entry.details.get(Detail.AUDIT_ID) or str(entry.time)
    if entry.source is Source.RECORDER and Detail.GAP in entry.details and not entry.cluster:
        which = ""  # of each journal it is told once that it has bounds
    return hash((entry.source, entry.cluster, entry.part, str(entry.object), entry.text, which))


def _time(entry: Entry) -> datetime:
    return entry.time


def _asks(query: Query, source: Source) -> bool:
    # The audit log tells who changed an object, also to those who only ask for objects.
    return not query.sources or source in query.sources or (source is Source.AUDIT and Source.OBJECT in query.sources)


def _journals(folder: TimelineFolder) -> Iterator[Entry]:
    for writer in _WRITERS:
        yield from read_journal(folder.journal(writer))


def _files(folder: TimelineFolder, query: Query) -> Iterator[Path]:
    """What is read for a query."""
    for writer in _WRITERS:
        yield from segments_of(folder.journal(writer))
    if _asks(query, Source.AUDIT):
        for cluster in folder.clusters:
            yield from audit_files(folder.lab.cluster(cluster))
    if _asks(query, Source.REQUEST):
        yield folder.lab.gateway_log
    if _asks(query, Source.LOG):
        yield from log_files(folder.lab).values()


def _audited(folder: TimelineFolder, query: Query) -> list[Entry]:
    """The audit entries of all clusters in the time of a query, and a little around it."""
    since, until = query.since, query.until
    return [
        entry
        for cluster in folder.clusters
        for entry in read_audit(
            folder.lab.cluster(cluster),
            cluster=cluster,
            since=since - MARGIN if since else None,
            until=until + MARGIN if until else None,
            writes_only=bool(query.sources) and Source.AUDIT not in query.sources,
        )
    ]


def _said(folder: TimelineFolder) -> Iterator[Entry]:
    for part, file in log_files(folder.lab).items():
        if part not in _STRUCTURED:
            yield from (line.entry for line in _lines(file, part))


def _lines(file: Path, part: str) -> Iterator[LogLine]:
    return read_whole_log(file, partial(read_log_lines, part=part, cluster=part.rpartition("/")[0]))


def _with_kind(entry: Entry, kinds: dict[str, str]) -> Entry:
    """The audit log names collections, everything else names kinds."""
    if entry.object is None or entry.object.kind not in kinds:
        return entry
    return replace(entry, object=replace(entry.object, kind=kinds[entry.object.kind]))


def matches(entry: Entry, query: Query) -> bool:
    """Whether a query asks for an entry."""
    return (
        (query.since is None or entry.time >= query.since)
        and (query.until is None or entry.time <= query.until)
        and (not query.sources or entry.source in query.sources)
        and not (query.usual and entry.part.rpartition("/")[2] in PLATFORM and entry.source is Source.LOG)
        and entry.level.rank >= _least(entry, query).rank
        and (not query.cluster or entry.cluster in {"", query.cluster})
        and (not query.commit or entry.commit.startswith(query.commit))
        and (not query.issue or query.issue.lstrip("#") in {issue.lstrip("#") for issue in entry.issues})
        and (not query.subject or _is_about(entry, query.subject))
    )


def _least(entry: Entry, query: Query) -> Level:
    if query.level:
        return query.level
    if query.sources:
        return Level.DEBUG
    # A person's request that changed nothing, or was refused, is news; what programs say of themselves seldom is.
    return Level.INFO if entry.source in OWN or entry.source is Source.AUDIT else Level.ERROR


def _is_about(entry: Entry, subject: str) -> bool:
    return entry.object is not None and entry.object.answers_to(subject)


def ask_logs(
    folder: TimelineFolder, query: Query, *, component: str | None, masks: Masks | None = None
) -> list[LogLine]:
    """The lines of one log, or of all, that a query asks for, in order of time; of all levels unless it names one.

    `masks`: as for `ask`. Raises UsageError on an unknown component.
    """
    files = log_files(folder.lab)
    chosen = [find_log(files, component)] if component else [name for name in files if name not in _STRUCTURED]
    everything = replace(query, level=query.level or Level.DEBUG)
    found = [line for part in chosen for line in _lines(files[part], part) if matches(line.entry, everything)]
    redactor = (masks or folder.redactor)()
    return [
        LogLine(raw=redactor.redact(line.raw), entry=masked(line.entry, redactor))
        for line in sorted(found, key=lambda line: line.entry.time)
    ]


T = TypeVar("T")


def newest(entries: Iterable[T], count: int) -> list[T]:
    """The last ones; all of them when `count` is -1."""
    found = list(entries)
    return found if count < 0 else found[max(0, len(found) - count) :]
