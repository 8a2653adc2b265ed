"""The recorder's main thread: takes what the watches bring, in the order of resource versions, and writes it down."""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from queue import Empty

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal

from .changes import HELM_STORAGE
from .clusters import ClusterRecord
from .resume import Resume
from .secret_values import values_of
from .watching import WAITING_CHANGES, Listed, News, Seen, Watching

BATCH_SECONDS = 0.1
LARGEST_BATCH = 2_000
DISCOVERY_SECONDS = 5.0
SAVE_SECONDS = 5.0
# Releases of Helm hold all of a chart's manifests; what is secret in them comes from other Secrets.
PLAIN_SECRETS = {"fieldSelector": f"type!={HELM_STORAGE}"}

log = logging.getLogger(__name__)


class Recorder:
    """Records the clusters of a lab until it is told to stop. Raises OSError when the timeline cannot be written."""

    def __init__(self, folder: TimelineFolder, apis: Mapping[str, KubeApi], *, began: datetime) -> None:
        self._redactor = Redactor(folder.known_secrets())
        self._journal = Journal(folder.journal(RECORDER), redactor=self._redactor)
        self._resume = Resume(folder.journal(RECORDER))
        self._apis = apis
        self._clusters = {
            name: ClusterRecord(name, api, began=began, last=self._resume.last_entry) for name, api in apis.items()
        }
        self._news = News(WAITING_CHANGES)
        self._watches: dict[tuple[str, str], Watching] = {}
        self.stopping = threading.Event()

    def run(self) -> None:
        """Record. Everything that was seen when it is told to stop is written before it returns."""
        self._journal.append([self._begun()])
        discovered = saved = -DISCOVERY_SECONDS
        while not self.stopping.is_set():
            if time.monotonic() - discovered > DISCOVERY_SECONDS:
                answered = [self._discover(name) for name in self._clusters]
                discovered = time.monotonic() if all(answered) else discovered
            if batch := self._take():
                self._write(batch)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._resume.save()
                saved = time.monotonic()
        if batch := self._take():
            self._write(batch)
        self._resume.save()

    def _begun(self) -> Entry:
        last, now = self._resume.last_entry, datetime.now(UTC)
        text = "recording begins"
        if last:
            text = f"recording goes on after {(now - last).total_seconds():.1f} s; what it can it catches up on"
        level = Level.WARNING if last else Level.INFO
        return Entry(time=now, source=Source.RECORDER, level=level, text=text, part=RECORDER)

    def _discover(self, cluster: str) -> bool:
        """Watch what is not watched yet; False while the API server does not answer."""
        try:
            resources = list(self._clusters[cluster].discover())
        except ApiError as error:
            log.info("%s", error)
            return False
        for resource in resources:
            key = cluster, resource.path()
            if key in self._watches and self._watches[key].is_alive():
                continue
            self._watches[key] = Watching(
                api=self._apis[cluster],
                cluster=cluster,
                resource=resource,
                since=self._resume.version(*key),
                news=self._news,
                stopping=self.stopping,
                secret_seen=self._learn,
            )
            self._watches[key].start()
        return bool(resources)

    def _learn(self, subject: KubeObject) -> None:
        for value in values_of(subject):
            self._redactor.add(value)

    def _take(self) -> list[Listed | Seen]:
        """What has come within a moment, in the order in which it happened."""
        batch: list[Listed | Seen] = []
        deadline = time.monotonic() + BATCH_SECONDS
        while len(batch) < LARGEST_BATCH:
            try:
                batch.append(self._news.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
        return sorted(batch, key=_version)

    def _write(self, batch: list[Listed | Seen]) -> None:
        entries = [entry for news in batch for entry in self._clusters[news.cluster].entries(news)]
        if entries and not self._learn_all({news.cluster for news in batch}):
            return
        self._journal.append(entries)
        for news in batch:
            self._resume.advance(news.cluster, news.resource.path(), _text_version(news))

    def _learn_all(self, clusters: set[str]) -> bool:
        """Know every Secret before anything is written that may quote one: watches are not ordered among themselves.

        False when told to stop meanwhile: the next recorder begins where this one wrote last.
        """
        for name in clusters:
            while not self._list_secrets(name):
                if self.stopping.wait(BATCH_SECONDS):
                    return False
        return True

    def _list_secrets(self, cluster: str) -> bool:
        try:
            for secret in self._apis[cluster].list(SECRET, query=PLAIN_SECRETS):
                self._learn(secret)
        except (ApiError, ApiUnreachableError) as error:
            log.info("%s", error)
            return False
        return True


def _version(news: Listed | Seen) -> int:
    text = _text_version(news)
    return int(text) if text.isdigit() else 0


def _text_version(news: Listed | Seen) -> str:
    return news.version if isinstance(news, Listed) else news.subject.resource_version
