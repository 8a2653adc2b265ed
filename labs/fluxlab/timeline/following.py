"""Follow files that others write: when there is something to read."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path


def whenever_written(
    files: Callable[[], Iterable[Path]], *, every_seconds: float, settling: timedelta = timedelta()
) -> Iterator[None]:
    """At once, and then each time that one of the files was written, came or went; without an end.

    With `settling` once more when that long nothing has been written, for what is told only then.
    """
    seen: object = None
    due: float | None = None
    while True:
        if seen != (seen := [_version(file) for file in files()]):
            due = time.monotonic() + settling.total_seconds() if settling else None
            yield
        elif due is not None and time.monotonic() >= due:
            due = None
            yield
        time.sleep(every_seconds)  # files have no event to wait for


def _version(file: Path) -> tuple[Path, tuple[int, ...]]:
    try:
        seen = file.stat()
    except FileNotFoundError:
        return file, ()  # the oldest goes, and a log is rotated
    return file, (seen.st_ino, seen.st_size, seen.st_mtime_ns)
