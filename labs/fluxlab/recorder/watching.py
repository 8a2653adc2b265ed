"""One thread per resource: what is there, then every change of it, through broken connections and restarts."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from queue import Queue

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi, Listing
from fluxlab.clusters.objects import KubeObject, number_at
from fluxlab.clusters.resources import Resource

RECONNECT_SECONDS = 0.25
WAITING_CHANGES = 20_000
"""What may wait to be written; beyond that the watches wait too, and the API server keeps what they missed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Listed:
    """All objects of a resource at one moment."""

    cluster: str
    resource: Resource
    objects: tuple[KubeObject, ...]
    version: str
    time: datetime
    known: bool = False
    """Whether the timeline already tells how it came to this: then there is nothing to tell."""
    forgotten: bool = False
    """Whether the timeline told of an earlier state that nobody can give any more."""


@dataclass(frozen=True, kw_only=True)
class WatchEvent:
    """One change: ADDED, MODIFIED, DELETED; or BOOKMARK, which only says how far the watch has come."""

    cluster: str
    resource: Resource
    kind: str
    subject: KubeObject
    time: datetime
    late: bool = False
    """Whether it happened while nobody recorded: then its time is not known."""


News = Queue["Listed | WatchEvent"]


class Watching(threading.Thread):
    """Watches one resource of a cluster until `stopping` is set, or the resource is no longer served."""

    def __init__(
        self,
        *,
        api: KubeApi,
        cluster: str,
        resource: Resource,
        since: str,
        news: News,
        stopping: threading.Event,
        secret_seen: Callable[[KubeObject], None],
    ) -> None:
        """Begin after the version `since`, if the timeline has everything until there; else with what is there."""
        super().__init__(name=f"watch {resource.plural}", daemon=True)
        self._api = api
        self._cluster = cluster
        self.resource = resource
        self._version = since
        self._news = news
        self._stopping = stopping
        self._secret_seen = secret_seen
        self._late_until = 0

    def run(self) -> None:
        """Watch; a connection that breaks is made again from where it was."""
        begun = False
        while not self._stopping.is_set():
            try:
                if not begun:
                    self._begin()
                    begun = True
                self._follow()
            except ApiUnreachableError as error:
                log.info("%s", error)
            except ApiError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return  # its definition was removed; when it comes back, it is discovered again
                log.info("%s", error)
                if error.status == HTTPStatus.GONE and begun:
                    self._version = ""
                    begun = False
            except Exception:  # nothing may end this thread: changes would go unnoticed
                log.exception("watch of %s", self.resource.plural)
            self._stopping.wait(RECONNECT_SECONDS)  # not a wait for a fact: a pause between attempts

    def _begin(self) -> None:
        """Tell the state from which changes are told: as it was when the timeline ended, else as it is."""
        if self._version:
            query = {"resourceVersion": self._version, "resourceVersionMatch": "Exact"}
            try:
                self._tell(self._api.listing(self.resource, query=query), known=True)
                now = self._api.listing(self.resource, query={"limit": "1"}).resource_version
                self._late_until = int(now) if now.isdigit() else 0
            except ApiError as error:
                if error.status != HTTPStatus.GONE:  # compacted: etcd keeps five to ten minutes
                    raise
                log.info("%s", error)
                self._tell(self._api.listing(self.resource), forgotten=True)
        else:
            self._tell(self._api.listing(self.resource))

    def _tell(self, found: Listing, *, known: bool = False, forgotten: bool = False) -> None:
        for subject in found.objects:
            self._secret_seen(subject)
        self._version = self._version if known else found.resource_version
        self._news.put(
            Listed(
                cluster=self._cluster,
                resource=self.resource,
                objects=tuple(found.objects),
                version=self._version,
                time=datetime.now(UTC),
                known=known,
                forgotten=forgotten,
            )
        )

    def _follow(self) -> None:
        for kind, subject in self._api.watch(self.resource, resource_version=self._version):
            if kind == "ERROR":
                raise ApiError(f"watch of {self.resource.plural}", status=number_at(subject.raw, "code"), message="")
            self._secret_seen(subject)
            self._version = subject.resource_version
            self._news.put(
                WatchEvent(
                    cluster=self._cluster,
                    resource=self.resource,
                    kind=kind,
                    subject=subject,
                    time=datetime.now(UTC),
                    late=self._version.isdigit() and int(self._version) <= self._late_until,
                )
            )
