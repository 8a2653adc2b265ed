"""Append entries to files of bounded size, whole or not at all; and read them back, whatever befell the files."""

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.files import make_private
from fluxlab.host import seconds_since_boot
from fluxlab.redaction import Redactor

from .entries import Detail, Entry, FieldChange, Level, Source, from_line, to_line

SEGMENT_BYTES = 16 * 1024 * 1024
SEGMENTS = 6
CLOCK_TOLERANCE_SECONDS = 1.0
LONGEST_LINE = 64 * 1024
LONGEST_NAMES = 256 * 1024
"""Of a change whose values are left out: five hundred fields with names of any length."""
LONGEST_VALUE = 1024
"""In a line that would be too long."""
SUFFIX = ".jsonl"
_NAMING = frozenset(
    {
        Detail.VERB,
        Detail.VERSION,
        Detail.OWNER,
        Detail.READS,
        Detail.RESOURCE,
        Detail.SUBRESOURCE,
        Detail.NAMESPACE,
        Detail.UID,
        Detail.REF,
        Detail.OLD,
        Detail.REQUEST,
        Detail.MANAGER,
        Detail.AUDIT_ID,
        Detail.RECEIVED,
        Detail.SEEN,
        Detail.FAULT,
        Detail.SINK,
    }
)
"""Details by which programs know things, as by an entry's object and commit: a Secret may hold the same word, as one
that holds `production` does where a branch is called that.
"""


class Journal:
    """One writer's part of the timeline: a folder of numbered files, of which the oldest go. Thread-safe.

    There is one Journal per folder at a time, in one process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        redactor: Redactor,
        segment_bytes: int = SEGMENT_BYTES,
        segments: int = SEGMENTS,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = seconds_since_boot,
    ) -> None:
        """Use `folder`, made at the first `append`; every line passes `redactor`."""
        self.folder = folder
        self._redactor = redactor
        self._segment_bytes = segment_bytes
        self._segments = segments
        self._clock, self._steady = clock, steady
        self._offset = clock() - steady()
        self._lock = threading.Lock()
        self._file: Path | None = None
        self._whole = False
        """Whether its last line has an end."""
        self._torn = 0

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries, all or none. Raises OSError when the disk does not take them: try again later."""
        with self._lock:
            offset = self._clock() - self._steady()
            notes = self._clock_notes(offset)
            file = self._open()
            if self._torn:
                cut = f"{self._torn} bytes of a line without an end are gone: its writer was killed, or the disk full"
                notes = [self._note(cut, level=Level.WARNING), *notes]
            if lines := [self._line(entry) for entry in (*notes, *entries)]:
                self._write(file, ("\n".join(lines) + "\n").encode(errors="replace"))
            self._torn, self._offset = 0, offset

    def now(self) -> datetime:
        """The time, as entries have it."""
        return datetime.fromtimestamp(self._clock(), UTC)

    def _note(self, text: str, *, level: Level) -> Entry:
        return Entry(time=self.now(), source=Source.RECORDER, level=level, text=text, part=self.folder.name)

    def _line(self, entry: Entry) -> str:
        # Value by value: in a line of JSON a secret may be escaped twice, and one that reads `commit` must not take the
        # line's own words away.
        return to_line(_short(masked(entry, self._redactor)))

    def _clock_notes(self, offset: float) -> list[Entry]:
        """What to say of a clock that was set: times before and after do not compare."""
        jump = offset - self._offset
        if abs(jump) < CLOCK_TOLERANCE_SECONDS:
            return []
        return [self._note(f"the machine's clock jumped by {jump:+.1f} s", level=Level.WARNING)]

    def _open(self) -> Path:
        if self._file is None:
            make_private(self.folder)
            files = segments_of(self.folder)
            self._file = files[-1] if files else self.folder / _name(1)
        if not self._whole:
            self._torn += _mend(self._file)
        return self._file

    def _write(self, file: Path, content: bytes) -> None:
        self._whole = False
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write_all(descriptor, content)
            except OSError:
                with contextlib.suppress(OSError):  # then `_mend` does it, the next time
                    os.ftruncate(descriptor, before)
                raise
        finally:
            os.close(descriptor)
        self._whole = True
        if before + len(content) >= self._segment_bytes:
            self._rotate(file)

    def _rotate(self, file: Path) -> None:
        self._file = file.with_name(_name(int(file.stem) + 1))
        for old in segments_of(self.folder)[: 1 - self._segments]:
            old.unlink(missing_ok=True)


def _name(number: int) -> str:
    return f"{number:06}{SUFFIX}"


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _mend(file: Path) -> int:
    """Take away a line without an end, which was never wholly written; returns its length."""
    if not file.exists():
        return 0
    with file.open("r+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        start = max(0, size - 16 * LONGEST_NAMES)
        opened.seek(start)
        whole = start + opened.read().rfind(b"\n") + 1
        opened.truncate(whole)
    return size - whole


def masked(entry: Entry, redactor: Redactor) -> Entry:
    """The entry with secret values masked in all that others had a say in, but for names that programs compare."""
    mask = redactor.redact
    return replace(
        entry,
        text=mask(entry.text),
        actor=mask(entry.actor),
        issues=tuple(map(mask, entry.issues)),
        details={key: value if _names(key, entry) else mask(value) for key, value in entry.details.items()},
        changes=tuple(masked_change(change, redactor) for change in entry.changes),
    )


def _names(key: str, entry: Entry) -> bool:
    """Whether a detail only names something; the host of an alert is one of the lab's sinks, others a client chose."""
    return key in _NAMING or (key == Detail.HOST and entry.source is Source.ALERT)


def masked_change(change: FieldChange, redactor: Redactor) -> FieldChange:
    """A change with secret values masked; they stand in JSON, which escapes what is special in them."""
    return FieldChange(
        field=redactor.redact(change.field),
        before=None if change.before is None else redactor.redact(change.before),
        after=None if change.after is None else redactor.redact(change.after),
    )


def _short(entry: Entry) -> Entry:
    """The entry as short as a line may be: without the longest values, else without any, else without its changes.

    Its values are masked already: of a part of a secret, or of its digest, nobody would know that it is one.
    """
    if _length(entry.changes) < LONGEST_LINE:
        return entry
    for longest, line in ((LONGEST_VALUE, LONGEST_LINE), (0, LONGEST_NAMES)):
        changes = [_without_long_values(change, longest) for change in entry.changes]
        if _length(changes) < line:
            return replace(entry, changes=changes)
    return replace(entry, changes=(), text=f"{entry.text} ({len(entry.changes)} fields: not kept)")


def _length(changes: Sequence[FieldChange]) -> int:
    return sum(len(change.field) + len(change.before or "") + len(change.after or "") for change in changes)


def _without_long_values(change: FieldChange, longest: int) -> FieldChange:
    return replace(change, before=_at_most(longest, change.before), after=_at_most(longest, change.after))


def _at_most(longest: int, value: str | None) -> str | None:
    """A value, or what tells it from others: its length and a digest. That is no JSON, as all other values are."""
    if value is None or len(value) <= longest:
        return value
    return f"({len(value)} characters, sha256 {hashlib.sha256(value.encode(errors='replace')).hexdigest()[:12]})"


def segments_of(folder: Path) -> list[Path]:
    """The files of a journal, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())


def read_journal(folder: Path) -> Iterator[Entry]:
    """The entries in a folder, in the order in which they were written.

    What cannot be read is an entry of its own. A line that is being written is left out.
    """
    before: Entry | None = None
    for file in segments_of(folder):
        with contextlib.suppress(FileNotFoundError):  # the oldest goes while it is read
            for entry in _entries_of(file, _Place(), after=before):
                if before is None and file.name != _name(1):
                    yield _gone(file, before=entry)
                before = entry
                yield entry


class JournalReader:
    """`read_journal` for who asks again and again: each time only that is read which was added. It keeps in memory what
    the files hold.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, _Read] = {}

    def __iter__(self) -> Iterator[Entry]:
        """The entries that there are now."""
        self._read = {file: self._read.get(file) or _Read(file) for file in segments_of(self._folder)}
        before: Entry | None = None
        for file, read in self._read.items():
            entries = read.on(after=before)
            if entries and before is None and file.name != _name(1):
                yield _gone(file, before=entries[0])
            yield from entries
            before = entries[-1] if entries else before


class _Read:
    """What was read of one file of a journal."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place = _Place()
        self._entries: list[Entry] = []

    def on(self, *, after: Entry | None) -> Sequence[Entry]:
        """All that it holds now."""
        with contextlib.suppress(FileNotFoundError):  # it goes while it is read
            if self._file.stat().st_size < self._place.bytes:  # somebody else wrote it
                self._place, self._entries = _Place(), []
            last = self._entries[-1] if self._entries else after
            self._entries.extend(_entries_of(self._file, self._place, after=last))
        return self._entries


@dataclass
class _Place:
    """How far a file was read."""

    bytes: int = 0
    lines: int = 0


def _entries_of(file: Path, place: _Place, *, after: Entry | None) -> Iterator[Entry]:
    """The entries of a file from a place on, which moves on with them. Raises FileNotFoundError."""
    with file.open("rb") as lines:
        lines.seek(place.bytes)
        for line in lines:
            if not line.endswith(b"\n"):
                break
            place.bytes += len(line)
            place.lines += 1
            try:
                after = from_line(line.decode(errors="replace"))
            except ValueError:
                after = _unreadable(file, place.lines, after=after)
            yield after


def _gone(file: Path, *, before: Entry) -> Entry:
    text = "what was before is gone: the files of a journal have bounds"
    return Entry(
        time=before.time,
        source=Source.RECORDER,
        level=Level.WARNING,
        text=text,
        part=file.parent.name,
        details={Detail.GAP: "yes"},
    )


def _unreadable(file: Path, number: int, *, after: Entry | None) -> Entry:
    time_ = after.time if after else datetime.fromtimestamp(0, UTC)
    text = f"line {number} of {file.name} cannot be read: it was altered"
    return Entry(time=time_, source=Source.RECORDER, level=Level.WARNING, text=text, part=file.parent.name)
