"""What a cluster said during a run: every version of every object that counts, so that no short moment is missed."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, Queue

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import EVENT, FLUX_RESOURCES, POD, SECRET, WORKLOADS, Resource
from fluxlab.clusters.secret_values import values_of
from fluxlab.moments import Moment
from fluxlab.recorder.watching import Listed, News, WatchEvent, Watching
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import ObjectRef
from fluxlab.waiting import wait_until

LISTING_SECONDS = 60.0
SHOWN = 5
CATCHING_UP_SECONDS = 30.0
WATCHED = (*FLUX_RESOURCES, *WORKLOADS, EVENT, POD, SECRET)


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """One version of an object, when it was seen first."""

    time: datetime
    subject: KubeObject
    deleted: bool = False

    @property
    def version(self) -> int:
        """Its place in the order of all changes of the cluster."""
        return _version_of(self.subject)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Between two versions of an object there may have been others, which nobody has seen."""

    subject: ObjectRef
    before: KubeObject | None
    """None: it was not there; likewise after."""
    after: KubeObject | None
    until: datetime

    def __str__(self) -> str:
        return f"{self.subject} changed while nobody watched it, until {self.until:%H:%M:%S} UTC"


class History:
    """Watches one cluster from `start` to `stop`, through deaths of its API server."""

    def __init__(self, cluster: Cluster) -> None:
        self.redactor = Redactor()
        """Knows every value that a Secret had meanwhile, also one that was rotated out since."""
        self._cluster = cluster
        self._news: News = Queue()
        self._stopping = threading.Event()
        self._sightings: dict[str, list[Sighting]] = {}
        self._lock = threading.Lock()
        self._listed: set[Resource] = set()
        self._gaps: list[Gap] = []

    def start(self, *more: Resource) -> None:
        """Begin with what is there, of what always counts and `more`; returns when all of it is known.

        Raises WaitTimeoutError when the cluster does not list all of it.
        """
        resources = list(dict.fromkeys((*WATCHED, *more)))
        for resource in resources:
            Watching(
                api=self._cluster.api,
                cluster=self._cluster.name,
                resource=resource,
                since="",
                news=self._news,
                stopping=self._stopping,
                secret_seen=self._learn,
            ).start()
        wait_until(
            lambda: self._has_listed(resources),
            what=f"cluster {self._cluster.name} lists all that a rehearsal looks at",
            timeout_seconds=LISTING_SECONDS,
            state=lambda: f"{len(self._listed)} of {len(resources)} resources are listed",
        )

    def catch_up(self) -> None:
        """Until everything has been heard that is so by now. Raises FluxlabError when nobody can tell."""
        wanted = [one for resource in self._listed - {SECRET} for one in self._cluster.api.list(resource)]

        def unheard() -> list[KubeObject]:
            newest: dict[ObjectRef, int] = {}
            for one in self.all():
                newest[one.subject.reference] = max(newest.get(one.subject.reference, 0), one.version)
            return [one for one in wanted if newest.get(one.reference, 0) < _version_of(one)]

        wait_until(
            lambda: not unheard(),
            what="the watches hear of all that is so in the cluster",
            timeout_seconds=CATCHING_UP_SECONDS,
            state=lambda: f"not yet of {', '.join(sorted(map(str, unheard()))[:SHOWN])}",
        )

    def stop(self) -> None:
        """Watch no longer; each thread ends with the next thing that it hears, or with the lab."""
        self._stopping.set()

    def _take(self, news: Listed | WatchEvent) -> None:
        if isinstance(news, Listed):
            if news.resource in self._listed:
                self._miss(news)
            self._listed.add(news.resource)
            for subject in news.objects:
                self._add(Sighting(time=news.time, subject=subject))
        elif news.kind != "BOOKMARK":
            self._add(Sighting(time=news.time, subject=news.subject, deleted=news.kind == "DELETED"))

    def _miss(self, news: Listed) -> None:
        """A list that takes the place of a watch does not tell what came and went before it."""
        heard = {one.subject.reference: one for one in self._sightings.get(news.resource.kind.lower(), ())}
        before = {subject: one.subject for subject, one in heard.items() if not one.deleted}
        now = {one.reference: one for one in news.objects if one.kind != SECRET.kind}
        for subject in before.keys() | now.keys():
            was, is_ = before.get(subject), now.get(subject)
            if was is None or is_ is None or was.resource_version != is_.resource_version:
                self._gaps.append(Gap(subject=subject, before=was, after=is_, until=news.time))
            if was and is_ is None:
                self._add(Sighting(time=news.time, subject=was, deleted=True))

    def _learn(self, subject: KubeObject) -> None:
        for value in values_of(subject):
            self.redactor.add(value)

    def _add(self, sighting: Sighting) -> None:
        if sighting.subject.kind == SECRET.kind:
            return  # its values are known to be masked, and kept nowhere else
        known = self._sightings.setdefault(sighting.subject.kind.lower(), [])
        known.append(sighting)

    def _drain(self) -> None:
        with self._lock:
            while True:
                try:
                    self._take(self._news.get_nowait())
                except Empty:
                    return

    def _has_listed(self, resources: Sequence[Resource]) -> bool:
        self._drain()
        return self._listed.issuperset(resources)

    def of(self, kind: str, *, namespace: str | None = None, name: str | None = None) -> Sequence[Sighting]:
        """The versions of the objects of a kind, in the order in which they were seen."""
        self._drain()
        return [
            one
            for one in self._sightings.get(kind.lower(), ())
            if name in {None, one.subject.name} and namespace in {None, one.subject.namespace}
        ]

    def gaps(self, kind: str, *, after: Moment, namespace: str, name: str | None = None) -> Sequence[Gap]:
        """Where versions since a moment may be missing."""
        self._drain()
        return [
            one
            for one in self._gaps
            if one.until >= after.time
            and one.subject.kind.lower() == kind.lower()
            and one.subject.namespace == namespace
            and name in {None, one.subject.name}
        ]

    def all(self) -> Iterator[Sighting]:
        """Everything, by kind."""
        self._drain()
        for sightings in self._sightings.values():
            yield from sightings

    def is_after(self, sighting: Sighting, moment: Moment) -> bool:
        """Whether a version is newer than a moment: by the cluster's own count, where that was known then.

        Else by the clock, which may be set meanwhile.
        """
        known = moment.versions.get(self._cluster.name)
        return sighting.time >= moment.time if known is None else sighting.version > known


def _version_of(subject: KubeObject) -> int:
    text = subject.resource_version
    return int(text) if text.isdigit() else 0
