"""What the recorder knows of one cluster: which resources to watch, what is there, and where it stopped last time."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import DERIVED, EVENT, UNRECORDED, UNRECORDED_GROUPS, Resource
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Detail, Entry, Level, Source, format_time, parse_time
from fluxlab.timeline.folder import RECORDER

from .changes import Change, entry_of, event_entry, owner_of
from .watching import Listed, WatchEvent

_Objects = Mapping[tuple[str, str], KubeObject]


class ClusterRecord:
    """The state of one cluster, as far as the timeline tells it. Belongs to the recorder's main thread."""

    def __init__(
        self,
        name: str,
        api: KubeApi,
        *,
        began: datetime,
        last: datetime | None,
        redactor: Redactor,
        digest_key: bytes,
    ) -> None:
        """Objects made before `began` are where the lab's story starts: nothing is told of how they came to be.

        `last` is when an earlier recorder wrote last.
        """
        self.name = name
        self._api = api
        self._began = began
        self._last = last
        self._redactor = redactor
        self._digest_key = digest_key
        self._told_events = 0
        self._objects: dict[str, dict[tuple[str, str], KubeObject]] = {}
        self._heard: dict[str, datetime] = {}
        self._owners: dict[str, str] = {}

    def discover(self) -> Iterator[Resource]:
        """What is to be watched. Raises ApiError or ApiUnreachableError."""
        seen: set[tuple[str, str]] = set()
        for resource in self._api.resources(verb="watch"):
            key = resource.group, resource.plural
            watched = resource.plural not in DERIVED | UNRECORDED and resource.group not in UNRECORDED_GROUPS
            if key not in seen and watched:
                seen.add(key)  # the first version is the preferred one
                yield resource

    def entries(self, news: Listed | WatchEvent) -> Iterator[Entry]:
        """What the timeline has to say of some news."""
        if isinstance(news, Listed):
            yield from self._listed(news)
        elif news.kind != "BOOKMARK":
            yield from self._seen(news)
        self._heard[news.resource.path()] = news.time

    def _seen(self, news: WatchEvent) -> Iterator[Entry]:
        path, subject = news.resource.path(), news.subject
        if news.resource == EVENT:
            if news.kind != "DELETED":  # they expire
                self._told_events = max(self._told_events, _version(subject))
                yield event_entry(subject, cluster=self.name, time=news.time)
            return
        known = self._objects.setdefault(path, {})
        key = subject.namespace, subject.name
        before = known.pop(key, None)
        if news.kind == "DELETED":
            yield from self._told("deleted", before, subject, news)
            self._owners.pop(_uid(subject), None)
            return
        known[key] = subject
        # One that was deleted and made again between two lists has another UID.
        verb = "changed" if before and _uid(before) == _uid(subject) else "created"
        yield from self._told(verb, before, subject, news)

    def _told(
        self,
        verb: str,
        before: KubeObject | None,
        after: KubeObject,
        news: Listed | WatchEvent,
        *,
        time: datetime | None = None,
    ) -> Iterator[Entry]:
        owner = owner_of(after, self._owners)
        self._owners[_uid(after)] = owner
        change = Change(
            verb=verb,
            before=before,
            after=after,
            time=time or news.time,
            resource=news.resource.path(),
            owner=owner,
            gap=isinstance(news, Listed),
            late=isinstance(news, WatchEvent) and news.late,
        )
        if entry := entry_of(change, cluster=self.name, redactor=self._redactor, digest_key=self._digest_key):
            yield entry

    def _listed(self, news: Listed) -> Iterator[Entry]:
        """The differences between a list and what was known; of a first list, what was made in this lab's life."""
        path = news.resource.path()
        before = self._objects.get(path)
        now = {(subject.namespace, subject.name): subject for subject in news.objects}
        for subject in news.objects:
            self._owners[_uid(subject)] = owner_of(subject, self._owners)
        if news.resource == EVENT:
            yield from self._listed_events(news)
        elif not news.known:
            found = list(self._found(news, before, now))
            if news.forgotten or (before is not None and found):
                yield self._gap(news, since=self._heard.get(path, self._last))
            yield from found
        self._objects[path] = {} if news.resource == EVENT else now

    def _listed_events(self, news: Listed) -> Iterator[Entry]:
        """Those that were not told yet: an Event has no state that could be compared."""
        told = max(self._told_events, int(news.version)) if news.known and news.version.isdigit() else self._told_events
        for event in sorted(news.objects, key=_version):
            made = _made(event)
            if _version(event) > told and made >= self._begin(news) and not news.known:
                yield event_entry(event, cluster=self.name, time=made, gap=True)
        self._told_events = max([told, *map(_version, news.objects)])

    def _found(self, news: Listed, before: _Objects | None, now: _Objects) -> Iterator[Entry]:
        for key, subject in now.items():
            was = (before or {}).get(key)
            if was is None or _uid(was) != _uid(subject):
                # Without an earlier state: what the lab began with, or what the timeline told before, is no news.
                if before is not None or _made(subject) >= self._begin(news):
                    yield from self._told("created", None, subject, news, time=_made(subject))
            elif was.resource_version != subject.resource_version:
                yield from self._told("changed", was, subject, news)
        for key, was in (before or {}).items():
            if key not in now:
                yield from self._told("deleted", was, was, news)

    def _begin(self, news: Listed) -> datetime:
        begins = self._last if news.forgotten and self._last else self._began
        return begins.replace(microsecond=0)  # the time of creation is in whole seconds

    def _gap(self, news: Listed, *, since: datetime | None) -> Entry:
        began = f"after {format_time(since)}" if since else "before"
        text = f"{news.resource.plural}: what happened {began} was not seen; of each object only the sum is known"
        return Entry(
            time=news.time,
            source=Source.RECORDER,
            level=Level.WARNING,
            text=text,
            cluster=self.name,
            part=RECORDER,
            details={Detail.GAP: "yes"},
        )


def _uid(subject: KubeObject) -> str:
    return text_at(subject.raw, "metadata", "uid")


def _made(subject: KubeObject) -> datetime:
    return parse_time(text_at(subject.raw, "metadata", "creationTimestamp") or "1970-01-01T00:00:00Z")


def _version(subject: KubeObject) -> int:
    return int(subject.resource_version) if subject.resource_version.isdigit() else 0
