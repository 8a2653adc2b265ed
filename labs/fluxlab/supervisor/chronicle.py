"""What the supervisor itself has to tell the timeline: pushes and their commits, starts and deaths of processes."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime

from fluxlab.clusters.masking import Masking
from fluxlab.commands import CommandError
from fluxlab.processes import ManagedProcess, last_words
from fluxlab.servers.git_repositories import GitRepository
from fluxlab.servers.pushes import NO_COMMIT, Push, RefChange
from fluxlab.servers.sinks import Alert
from fluxlab.timeline.entries import Detail, Entry, Level, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.issues import issue_references
from fluxlab.timeline.journal import Journal

WAITING_ENTRIES = 10_000
COMMITS_PER_PUSH = 200
_FORMAT = "--format=%H%x00%an <%ae>%x00%B%x00"

log = logging.getLogger(__name__)


class Chronicle:
    """The supervisor's journal. What the disk does not take waits here, and is tried again. Thread-safe."""

    def __init__(self, folder: TimelineFolder) -> None:
        self._masking = Masking(folder)
        self.redactor = self._masking.redactor
        self._quoting: deque[Entry] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chronicle")
        self._journal = Journal(folder.journal(SUPERVISOR), redactor=self.redactor)
        self._waiting: deque[Entry] = deque()
        self._lost = 0
        self._lock = threading.Lock()
        self.trouble = ""
        """Why the timeline cannot be written; empty when it can."""

    def add(self, *entries: Entry) -> None:
        """Write entries now, or as soon as possible. Beyond WAITING_ENTRIES the oldest are lost, and that is told."""
        self._recall()
        with self._lock:
            self._waiting.extend(entries)
            self._write()
            while len(self._waiting) > WAITING_ENTRIES:
                self._waiting.popleft()
                self._lost += 1

    def quote(self, entry: Entry) -> None:
        """Write an entry that quotes others in a moment, once the Secrets of all clusters that answer are known; those
        that come together are written together.
        """
        self._quoting.append(entry)
        self._thread.submit(self._write_quoting)

    def _write_quoting(self) -> None:
        batch = [self._quoting.popleft() for _ in range(len(self._quoting))]
        try:
            if batch:
                self._masking.learn_all()
        finally:
            self.add(*batch)

    def mask(self, text: str) -> str:
        """A text without what the lab's folder, or this process, knows to be secret by now."""
        self._recall()
        return self.redactor.redact(text)

    def _recall(self) -> None:
        with suppress(OSError):  # the folder is going
            self._masking.recall()

    def retry(self) -> None:
        """Write what waits, if the disk takes it now."""
        with self._lock:
            if self._waiting:
                self._write()

    def _write(self) -> None:
        batch = list(self._waiting)
        if self._lost:
            text = f"{self._lost} entries were lost while the timeline could not be written: {self.trouble}"
            batch.insert(0, self._entry(Source.RECORDER, text, level=Level.ERROR, part=SUPERVISOR))
        try:
            self._journal.append(batch)
        except OSError as error:
            if not self.trouble:
                log.error("the timeline cannot be written: %s", error)
            self.trouble = str(error)
            return
        self._waiting.clear()
        self._lost, self.trouble = 0, ""

    def _entry(
        self, source: Source, text: str, *, level: Level = Level.INFO, part: str = "", time: datetime | None = None
    ) -> Entry:
        return Entry(time=time or self._journal.now(), source=source, text=text, level=level, part=part)

    # -- processes -----------------------------------------------------------------------------------------------

    def process(self, process: ManagedProcess) -> None:
        """A process began or ended."""
        if process.running or process.expected_to_end:
            text = f"started (pid {process.identity.pid})" if process.running else "was ended"
            self.add(self._entry(Source.PROCESS, text, part=process.name))
            return
        words = last_words(process.log)
        text = f"died: {process.ending}{f' ({words[-1]})' if words else ''}"
        self.quote(self._entry(Source.PROCESS, text, level=Level.ERROR, part=process.name))

    # -- alerts --------------------------------------------------------------------------------------------------

    def alerted(self, alert: Alert) -> None:
        """An alert came to a sink."""
        wrong = bool(alert.refused) or alert.severity == "error"
        details = {
            Detail.SINK: alert.sink,
            Detail.HOST: alert.host,
            Detail.REASON: alert.reason,
            Detail.REVISION: alert.revision,
            Detail.REFUSED: alert.refused,
        }
        self.quote(
            Entry(
                time=alert.time,
                source=Source.ALERT,
                text=f"refused: {alert.refused}" if alert.refused else alert.message,
                level=Level.ERROR if wrong else Level.INFO,
                part=f"{alert.sink} {alert.host}",
                object=alert.object,
                commit=alert.revision.rpartition("sha1:")[2] if "sha1:" in alert.revision else "",
                details={name: value for name, value in details.items() if value},
            )
        )

    # -- git -----------------------------------------------------------------------------------------------------

    async def pushed(self, push: Push) -> None:
        """A subscriber of pushes. Asks git off the loop."""
        await asyncio.to_thread(self._pushed, push)

    def _pushed(self, push: Push) -> None:
        self.add(*(entry for change in push.changes for entry in self._moved(push, change)))

    def _moved(self, push: Push, change: RefChange) -> Iterator[Entry]:
        repository = push.repository
        commits = list(self._commits(push, change))
        name = change.branch or change.ref
        old = "" if change.old == NO_COMMIT else change.old
        moved = f"{name}: {old[:10] or 'new'} -> {change.new[:10]}, {_count(len(commits))}"
        if change.deleted:
            moved = f"{name} was deleted; it was at {old[:10]}"
        elif old and not _contains(repository, change.new, old):
            moved += f"; {old[:10]} is no longer part of it"
        yield Entry(
            time=push.time,
            source=Source.PUSH,
            text=f"{repository.name} {moved}",
            actor=push.who,
            commit="" if change.deleted else change.new,
            issues=tuple(dict.fromkeys(issue for commit in commits for issue in commit.issues)),
            details={Detail.REF: change.ref, **({Detail.OLD: old} if old else {})},
        )
        yield from commits

    def _commits(self, push: Push, change: RefChange) -> Iterator[Entry]:
        """The commits that a ref's move brought, oldest first; of several new refs the first one brought them."""
        if change.deleted:
            return
        known = [f"^{change.old}"]
        if change.old == NO_COMMIT:
            new = [one for one in push.changes if one.old == NO_COMMIT]
            before = [one.new for one in new[: new.index(change)]]
            # Not --all: that is HEAD, too, which names the branch that is served.
            known = ["--not", *(f"--exclude={one.ref}" for one in new), "--glob=refs/*", *before]
        yield from self._logged(push.repository, change.new, *known, time=push.time)

    def begin(self, repository: GitRepository) -> None:
        """Tell the commits that were there before anybody could push: those of the bootstrap."""
        if head := repository.served_commit():
            self.add(*self._logged(repository, head, time=self._journal.now()))

    def _logged(self, repository: GitRepository, *revisions: str, time: datetime) -> Iterator[Entry]:
        limit = f"--max-count={COMMITS_PER_PUSH + 1}"
        try:
            listed = repository.git("log", "--reverse", limit, _FORMAT, *revisions, "--")
        except CommandError as error:
            log.warning("%s", error)
            yield self._entry(Source.COMMIT, f"cannot be read: {error.what}", level=Level.WARNING, time=time)
            return
        fields = listed.split("\x00")  # which no commit can hold
        commits = list(zip(fields[0::3], fields[1::3], fields[2::3], strict=False))
        if len(commits) > COMMITS_PER_PUSH:
            text = f"commits before the {COMMITS_PER_PUSH} that follow are left out"
            yield self._entry(Source.COMMIT, text, level=Level.WARNING, time=time)
        for commit, author, message in commits[-COMMITS_PER_PUSH:]:
            subject = message.strip().partition("\n")[0]
            yield Entry(
                time=time,
                source=Source.COMMIT,
                text=subject,
                actor=author,
                commit=commit.strip(),
                issues=issue_references(message),
                details={Detail.SUBJECT: subject},
            )


def _contains(repository: GitRepository, commit: str, older: str) -> bool:
    try:
        repository.git("merge-base", "--is-ancestor", older, commit)
    except CommandError:
        return False
    return True


def _count(commits: int) -> str:
    if commits > COMMITS_PER_PUSH:
        return f"more than {COMMITS_PER_PUSH} commits"
    return "1 commit" if commits == 1 else f"{commits} commits"
