"""What a lab looks like when something went wrong: gathered before it is gone, with secret values masked."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from urllib3.exceptions import HTTPError

from .clusters.api import ApiError, ApiUnreachableError
from .clusters.masking import Masking
from .clusters.objects import KubeObject
from .clusters.resources import FLUX_RESOURCES, WORKLOADS
from .errors import FluxlabError
from .files import make_private, write_private
from .flux.convergence import facts
from .lab import Lab
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
    timeline = TimelineFolder(lab.folder)
    masking = Masking(timeline, lab.clusters)
    unread = "; ".join(masking.learn_all().values())
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
    files = {name: "\n".join(_read(source)) for name, source in sources.items()}
    if not unread:
        masking.learn_all()  # what was set while all that was read
    mask = masking.redactor.redact
    return Evidence(
        lab=lab.name,
        summary=[mask(line) for line in summary],
        files={name: mask(text) for name, text in files.items()},
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
