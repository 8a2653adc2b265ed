"""The recorder's main thread: takes what the watches bring, in the order of resource versions, and writes it down."""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from queue import Empty

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.masking import Masking, Reached
from fluxlab.clusters.root import lasting
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.timeline.learned import Learned

from .clusters import ClusterRecord
from .resume import Resume
from .watching import WAITING_CHANGES, Listed, News, WatchEvent, Watching

BATCH_SECONDS = 0.1
LARGEST_BATCH = 2_000
DISCOVERY_SECONDS = 5.0
SAVE_SECONDS = 5.0
RETRY_SECONDS = 0.25

log = logging.getLogger(__name__)


class Recorder:
    """Records the clusters of a lab until it is told to stop. Raises OSError when the timeline cannot be written."""

    def __init__(self, folder: TimelineFolder, apis: Mapping[str, KubeApi], *, began: datetime) -> None:
        self._folder = folder
        self._learned = Learned(folder.learned)
        self._lasting = lasting(folder.lab.root)
        self._masking = Masking(folder, {name: Reached(api) for name, api in apis.items()}, told=self._keep)
        self._journal = Journal(folder.journal(RECORDER), redactor=self._masking.redactor)
        self._resume = Resume(folder.journal(RECORDER))
        self._apis = apis
        self._clusters = {
            name: ClusterRecord(
                name,
                api,
                began=began,
                last=self._resume.last_entry,
                redactor=self._masking.redactor,
                digest_key=folder.lab.digest_key(),
            )
            for name, api in apis.items()
        }
        self._news = {name: News(WAITING_CHANGES) for name in apis}
        self._watches: dict[tuple[str, str, str], Watching] = {}
        self._discover_at = dict.fromkeys(apis, 0.0)
        self._held: dict[str, list[Listed | WatchEvent]] = {name: [] for name in apis}
        self.stopping = threading.Event()

    def run(self) -> None:
        """Record. What was seen when it is told to stop is written before it returns, as far as it may be."""
        self._journal.append([self._begun()])
        saved = time.monotonic()
        while not self.stopping.is_set():
            for cluster in self._clusters:
                self._discover(cluster)
                self._write(self._take(cluster))
            if time.monotonic() - saved > SAVE_SECONDS:
                self._resume.save()
                saved = time.monotonic()
        for cluster in self._clusters:
            self._write(self._take(cluster))
        self._resume.save()

    def _begun(self) -> Entry:
        last, now = self._resume.last_entry, datetime.now(UTC)
        text = "recording begins"
        if last:
            text = f"recording goes on after {(now - last).total_seconds():.1f} s; what it can it catches up on"
        level = Level.WARNING if last else Level.INFO
        return Entry(time=now, source=Source.RECORDER, level=level, text=text, part=RECORDER)

    def _discover(self, cluster: str) -> None:
        """Watch what is not watched yet, if it is time to look."""
        if time.monotonic() < self._discover_at[cluster]:
            return
        try:
            resources = list(self._clusters[cluster].discover())
        except (ApiError, ApiUnreachableError) as error:
            log.info("%s", error)
            resources = []
        pause = DISCOVERY_SECONDS if resources else RETRY_SECONDS
        self._discover_at[cluster] = time.monotonic() + pause
        for resource in resources:
            key = cluster, resource.group, resource.plural  # one watch, whichever version is preferred later
            if key in self._watches and self._watches[key].is_alive():
                continue
            self._watches[key] = Watching(
                api=self._apis[cluster],
                cluster=cluster,
                resource=resource,
                since=self._resume.version(cluster, resource.path()),
                news=self._news[cluster],
                stopping=self.stopping,
                secret_seen=partial(self._masking.see, cluster),
            )
            self._watches[key].start()

    def _keep(self, cluster: str, value: str) -> None:
        """Keep a value for others, and for later; not those of a cluster that is there without the lab."""
        if cluster not in self._lasting:
            self._learned.add(value)

    def _take(self, cluster: str) -> list[Listed | WatchEvent]:
        """What has come within a moment, in the order in which it happened; nothing while too much of it is held."""
        if len(self._held[cluster]) >= WAITING_CHANGES:
            self.stopping.wait(BATCH_SECONDS)  # not a wait for a fact: a pause between attempts
            return []
        batch: list[Listed | WatchEvent] = []
        deadline = time.monotonic() + BATCH_SECONDS
        while len(batch) < LARGEST_BATCH:
            try:
                batch.append(self._news[cluster].get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
        return sorted(batch, key=_version)

    def _write(self, batch: list[Listed | WatchEvent]) -> None:
        """Write what has come, cluster by cluster.

        Before anything is written that may quote a secret, all Secrets of its cluster are known, and the hosts at
        which alerts end: watches are not ordered among themselves. While a cluster does not answer, what it said is
        held, and with it all that it says later. What was learned is kept first: whoever comes after this process
        goes on where it stopped, and may find only what took its place.
        """
        if batch:
            self._masking.recall()
            self._learned.save()  # also of a cluster that does not answer any more
        for news in batch:
            self._held[news.cluster].append(news)
        for cluster, held in self._held.items():
            if held and self._list_secrets(cluster):
                self._learned.save()
                entries = [entry for news in held for entry in self._clusters[cluster].entries(news)]
                self._journal.append(entries)
                for news in held:
                    self._resume.advance(cluster, news.resource.path(), _text_version(news))
                if any(isinstance(news, Listed) for news in held):  # with nothing to tell, the journal says nothing
                    self._resume.save()
                self._held[cluster] = []

    def _list_secrets(self, cluster: str) -> bool:
        try:
            self._masking.learn(cluster)
        except (ApiError, ApiUnreachableError) as error:
            log.info("%s", error)
            return False
        return True


def _version(news: Listed | WatchEvent) -> int:
    text = _text_version(news)
    return int(text) if text.isdigit() else 0


def _text_version(news: Listed | WatchEvent) -> str:
    return news.version if isinstance(news, Listed) else news.subject.resource_version
