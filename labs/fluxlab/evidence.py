"""What a lab looks like when something went wrong: gathered before it is gone, with secret values masked."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from urllib3.exceptions import HTTPError

from .clusters.api import ApiError, ApiUnreachableError
from .clusters.objects import KubeObject
from .clusters.resources import FLUX_RESOURCES, WORKLOADS
from .clusters.secret_values import all_values
from .errors import FluxlabError
from .files import make_private, write_private
from .flux.convergence import facts
from .lab import Lab
from .redaction import Redactor
from .timeline.entries import Entry, Level, Source
from .timeline.folder import TimelineFolder
from .timeline.query import OWN, Query, ask, ask_logs
from .timeline.text import line_of

QUOTED_ENTRIES = 8


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was gathered of one lab."""

    lab: str
    summary: Sequence[str]
    """The dead, then what has not arrived, what can be helped first; then the last that went wrong. A line each."""
    files: Mapping[str, str]
    """Texts by the name of the file that they belong into."""

    def write(self, folder: Path) -> Path:
        """Write the files into a folder, for their owner only. Raises OSError."""
        make_private(folder)
        for name, text in {"summary.txt": "\n".join(self.summary), **self.files}.items():
            write_private(folder / name, f"{text}\n")
        return folder


def gather(lab: Lab, *, since: datetime) -> Evidence:
    """All that may explain a failure since a moment. What cannot be read says so in its place."""
    redactor, unread = _redactor(lab)
    timeline = TimelineFolder(lab.folder)
    several = len(lab.spec.clusters) > 1

    def trouble() -> Iterator[str]:
        entries = [entry for entry in happened() if entry.level.rank >= Level.WARNING.rank]
        yield from (line_of(entry, several=several) for entry in entries[-QUOTED_ENTRIES:])

    def told() -> Iterator[str]:
        yield from (line_of(entry, several=several) for entry in happened())

    @cache
    def happened() -> Sequence[Entry]:
        # What programs log is not masked by a writer of ours: it is told only if all that it may hold is known.
        return ask(timeline, Query(since=since, sources=OWN if unread else frozenset()))

    def audited() -> Iterator[str]:
        query = Query(since=since, sources=frozenset({Source.AUDIT}))
        yield from (line_of(entry, several=several) for entry in ask(timeline, query))

    def logged() -> Iterator[str]:
        if unread:  # the journals are masked by their writers, the logs of other programs are not
            yield f"left out: the Secrets that would have to be masked could not be read: {unread}"
            return
        lines = ask_logs(timeline, Query(since=since, level=Level.INFO), component=None)
        yield from (f"{line.entry.part}  {line.raw}" for line in lines)

    sources: Mapping[str, Callable[[], Iterable[str]]] = {
        "conditions.txt": lambda: _conditions(lab),
        "timeline.txt": told,
        "audit.txt": audited,
        "logs.txt": logged,
        "git.txt": lambda: [f"left out, for the same reason as logs.txt: {unread}" if unread else lab.repository.log()],
    }
    summary = [*_read(lambda: _dead(lab)), *_read(lambda: facts(lab.look())), *_read(trouble)]
    return Evidence(
        lab=lab.name,
        summary=[redactor.redact(line) for line in summary],
        files={name: redactor.redact("\n".join(_read(source))) for name, source in sources.items()},
    )


def _read(source: Callable[[], Iterable[str]]) -> Sequence[str]:
    lines: list[str] = []
    try:
        lines.extend(source())
    except (FluxlabError, HTTPError, OSError, ValueError) as error:  # of a lab in trouble the rest still counts
        lines.extend(f"could not be read: {error}".splitlines())
    return lines


def _dead(lab: Lab) -> Iterator[str]:
    status = lab.status()
    if status.error:
        yield f"lab {lab.name} is {status.phase}: {status.error}"
    for part in status.broken():
        yield from f"{part.name} is dead: {part.detail}".splitlines()


def _conditions(lab: Lab) -> Iterator[str]:
    for name, cluster in lab.clusters.items():
        yield f"# cluster {name}"
        for resource in (*FLUX_RESOURCES, *WORKLOADS):
            try:
                found: Sequence[KubeObject] = cluster.api.list(resource)
            except (ApiError, ApiUnreachableError) as error:
                yield str(error)
                continue
            for subject in found:
                yield str(subject)
                yield from (f"  {condition}" for condition in subject.conditions())


def _redactor(lab: Lab) -> tuple[Redactor, str]:
    """What masks all values of the lab's Secrets, and why it may not know them all."""
    redactor = TimelineFolder(lab.folder).redactor()
    unread = ""
    for cluster in lab.clusters.values():
        try:
            for value in all_values(cluster.api):
                redactor.add(value)
        except FluxlabError as error:
            unread = error.what
    return redactor, unread
