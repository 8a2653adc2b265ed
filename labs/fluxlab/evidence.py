"""What a lab looks like when something went wrong: gathered before it is gone, with secret values masked."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
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
    """The dead, then what has not arrived, what can be helped first; then the last that went wrong, and what was not
    real. A line each.
    """
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
    masking = Masking(TimelineFolder(lab.folder), lab.clusters)
    told = _Told(lab=lab, since=since, masking=masking, unread=_unread(masking))
    state = [*_read(lambda: _dead(lab)), *_read(lambda: facts(lab.look()))]
    unreal = _read(lambda: (f"not real: {one}" for one in lab.unreal()))
    conditions = "\n".join(_read(lambda: _conditions(lab)))
    trouble, files = told.trouble(), told.files()
    if not told.unread and (unread := _unread(masking)):  # what was set meanwhile is not known
        told = replace(told, unread=unread)
        trouble, files = told.trouble(), told.files()
    mask = masking.redactor.redact
    return Evidence(
        lab=lab.name,
        summary=[mask(line) for line in (*state, *trouble, *unreal)],
        files={name: mask(text) for name, text in {"conditions.txt": conditions, **files}.items()},
    )


def _unread(masking: Masking) -> str:
    """Learn what has to be masked; returns why not all of it is known, empty when it is."""
    return "; ".join(masking.learn_all().values())


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What was told in a lab since a moment. What no writer of ours has masked is left out unless all is known that it
    may hold.
    """

    lab: Lab
    since: datetime
    masking: Masking
    unread: str
    """Why not all is known; empty when it is."""

    def trouble(self) -> Sequence[str]:
        """The last that went wrong."""
        return _read(self._trouble)

    def files(self) -> Mapping[str, str]:
        """Texts by the name of the file that they belong into."""
        sources: Mapping[str, Callable[[], Iterable[str]]] = {
            "timeline.txt": lambda: self._lines(self._happened),
            "audit.txt": self._audited,
            "logs.txt": self._logged,
            "git.txt": self._pushed,
        }
        return {name: "\n".join(_read(source)) for name, source in sources.items()}

    @cached_property
    def _happened(self) -> Sequence[Entry]:
        sources = OWN if self.unread else frozenset[Source]()
        return ask(self._folder, Query(since=self.since, sources=sources), masks=self._masks)

    def _masks(self) -> Redactor:
        """What entries are masked by before lines are made of them, in which subjects of commits are cut."""
        return self.masking.redactor if self.unread else self.masking.now()

    @property
    def _folder(self) -> TimelineFolder:
        return TimelineFolder(self.lab.folder)

    def _lines(self, entries: Sequence[Entry]) -> Iterator[str]:
        several = len(self.lab.spec.clusters) > 1
        return (line_of(entry, several=several) for entry in entries)

    def _trouble(self) -> Iterator[str]:
        wrong = [entry for entry in self._happened if entry.level.rank >= Level.WARNING.rank]
        return self._lines(wrong[-QUOTED_ENTRIES:])

    def _audited(self) -> Iterator[str]:
        query = Query(since=self.since, sources=frozenset({Source.AUDIT}))
        return self._lines(ask(self._folder, query, masks=self._masks))

    def _logged(self) -> Iterator[str]:
        if self.unread:  # the journals are masked by their writers, the logs of other programs are not
            yield f"left out: the Secrets that would have to be masked could not be read: {self.unread}"
            return
        lines = ask_logs(self._folder, Query(since=self.since, level=Level.INFO), component=None)
        yield from (f"{line.entry.part}  {line.raw}" for line in lines)

    def _pushed(self) -> Iterator[str]:
        yield f"left out, for the same reason as logs.txt: {self.unread}" if self.unread else self.lab.repository.log()


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
        yield from f"{part.name} is {part.state}: {part.detail}".splitlines()


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
