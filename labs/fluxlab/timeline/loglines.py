"""Log files of all programs of a lab, line by line: what each line says of time, level and object."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fluxlab.errors import UsageError

from .entries import Detail, Entry, Level, ObjectRef, Source, parse_level, parse_time

CLOCK_TOLERANCE = timedelta(days=1)
"""How much later than the last change of its file a line may be: clocks are set. One that is later is of last year."""
# Kubernetes' own programs: no year, and the time zone of the machine.
_KLOG = re.compile(
    r"(?P<level>[IWEF])(?P<month>\d\d)(?P<day>\d\d) (?P<time>\d\d:\d\d:\d\d\.\d+) +\d+ [^]]+\] (?P<text>.*)"
)
_PYTHON = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) (?P<text>.*)")
_LOGRUS = re.compile(r'time="(?P<time>[^"]+)" level=(?P<level>\w+) msg="(?P<text>(?:[^"\\]|\\.)*)"')
_KLOG_LEVELS = {"I": Level.INFO, "W": Level.WARNING, "E": Level.ERROR, "F": Level.ERROR}
_SHA = re.compile(r"sha1:([0-9a-f]{40})")


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of a log as it is, and as an entry."""

    raw: str
    entry: Entry


def read_log_lines(file: Path, *, part: str, cluster: str = "") -> Iterator[LogLine]:
    """The lines of a log, in their order. A line that says no time belongs to the one before it."""
    try:
        latest = datetime.fromtimestamp(file.stat().st_mtime).astimezone() + CLOCK_TOLERANCE
        with file.open(encoding="utf-8", errors="replace") as lines:
            before = Entry(
                time=datetime.fromtimestamp(0, UTC),
                source=Source.LOG,
                level=Level.DEBUG,
                text="",
                cluster=cluster,
                part=part,
            )
            for raw in lines:
                line = raw.rstrip("\n")
                before = _entry(line, latest, part=part, cluster=cluster) or replace(before, text=line, details={})
                yield LogLine(raw=line, entry=before)
    except FileNotFoundError:
        return


def _entry(line: str, latest: datetime, *, part: str, cluster: str) -> Entry | None:
    said = _json(line) if line.startswith("{") else _plain(line, latest)
    if said is None:
        return None
    sha = _SHA.search(line)
    return Entry(
        time=said.time,
        source=Source.LOG,
        level=said.level,
        text=said.text,
        cluster=cluster,
        part=part,
        object=said.subject,
        commit=sha[1] if sha else "",
        details={Detail.REVISION: said.revision} if said.revision else {},
    )


@dataclass(frozen=True, kw_only=True)
class _Said:
    time: datetime
    level: Level
    text: str
    subject: ObjectRef | None = None
    revision: str = ""


def _json(line: str) -> _Said | None:
    """What Flux's controllers, etcd and KWOK write."""
    try:
        raw = json.loads(line)
        time = parse_time(raw.get("ts") or raw["time"])
        level = parse_level(str(raw.get("level", "info")))
    except (ValueError, KeyError, AttributeError, TypeError, UsageError):
        return None
    error = f": {raw['error']}" if raw.get("error") else ""
    return _Said(
        time=time,
        level=level,
        text=f"{raw.get('msg', '')}{error}",
        subject=_subject(raw),
        revision=str(raw.get("revision", "")),
    )


def _subject(raw: Mapping[str, object]) -> ObjectRef | None:
    # The second is what a controller's own recorder of events says: fluxcd/pkg, runtime/events/recorder.go.
    kind, name = raw.get("controllerKind") or raw.get("reconciler kind"), raw.get("name")
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    return ObjectRef(kind=kind, namespace=str(raw.get("namespace", "")), name=name)


def _plain(line: str, latest: datetime) -> _Said | None:
    for pattern, read in _READERS.items():
        if match := pattern.match(line):
            try:
                return read(match, latest)
            except (ValueError, UsageError):
                return None
    return None


def _klog(match: re.Match[str], latest: datetime) -> _Said:
    year = latest.year - ((int(match["month"]), int(match["day"])) > (latest.month, latest.day))
    time = datetime.fromisoformat(f"{year}-{match['month']}-{match['day']}T{match['time']}").astimezone()
    return _Said(time=time, level=_KLOG_LEVELS[match["level"]], text=match["text"])


def _python(match: re.Match[str], _: datetime) -> _Said:
    time = datetime.fromisoformat(match["time"].replace(",", ".")).astimezone()
    return _Said(time=time, level=parse_level(match["level"]), text=match["text"])


def _logrus(match: re.Match[str], _: datetime) -> _Said:
    return _Said(time=parse_time(match["time"]), level=parse_level(match["level"]), text=match["text"])


_READERS: Mapping[re.Pattern[str], Callable[[re.Match[str], datetime], _Said]] = {
    _KLOG: _klog,
    _PYTHON: _python,
    _LOGRUS: _logrus,
}
