"""Read the log files of a lab."""

import fcntl
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO, TypeVar

from .errors import UsageError
from .state import LabFolder

FOLLOW_SECONDS = 0.2
MAXIMUM_BYTES = 20 * 1024 * 1024
T = TypeVar("T")

_UNLIKE = tuple(sign * 100 for sign in "x1-")
"""Lines that have no sign in common."""


def matches_anything(pattern: str) -> bool:
    """Whether a regular expression is found in lines that have nothing in common: it tells no line from another.

    Raises re.error when it is none.
    """
    expression = re.compile(pattern)
    return bool(expression.search("")) or all(expression.search(line) for line in _UNLIKE)


def log_files(folder: LabFolder) -> Mapping[str, Path]:
    """The logs of a lab by component: `supervisor`, `recorder`, `gateway`, `registry` and `cluster/component`."""
    files = {
        "supervisor": folder.supervisor_log,
        "recorder": folder.recorder_log,
        "gateway": folder.gateway_log,
        "registry": folder.registry_log,
    }
    for file in sorted((folder.root / "clusters").glob("*/logs/*.log")):
        files[f"{file.parent.parent.name}/{file.stem}"] = file
    return {name: file for name, file in files.items() if file.exists()}


def bound_logs(folder: LabFolder, *, maximum_bytes: int = MAXIMUM_BYTES) -> None:
    """Keep each program's log near a size: its content moves to `<name>.1`, once, or stays. Raises OSError.

    The programs go on writing to the same file, which is emptied: they append. So one that is being read (see
    `read_together`) has to wait, until it has twice the size: who reads again and again must not have it fill the disk.
    The gateway's log bounds itself.
    """
    for name, file in log_files(folder).items():
        size = file.stat().st_size
        if name != "gateway" and size > maximum_bytes:
            with _open(file) as held, suppress(BlockingIOError):
                if size <= 2 * maximum_bytes:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _move_aside(file)


def _aside(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def _move_aside(log: Path) -> None:
    """Empty a log, once what is in it has taken the place of what was moved aside before. Raises OSError."""
    copy = log.with_name(f".{_aside(log).name}")
    try:
        shutil.copyfile(log, copy)  # not over the older one: a full disk would cost both
        copy.replace(_aside(log))
    finally:
        copy.unlink(missing_ok=True)
    os.truncate(log, 0)


def read_whole_log(log: Path, read: Callable[[Path], Iterable[T]]) -> Iterator[T]:
    """What `read` finds in what was moved aside of a log, and then in the log. Raises OSError, and what `read` does."""
    return read_together(lambda: [_aside(log), log], read)


def read_together(files: Callable[[], Sequence[Path]], read: Callable[[Path], Iterable[T]]) -> Iterator[T]:
    """What `read` finds in a log and in what was rotated away from it, however they are rotated meanwhile.

    `files` tells where they are now, in their order; what is not there is left out. `read` is given other paths, which
    stay with the files when these are renamed. Raises OSError, and what `read` does.
    """
    with ExitStack() as opened:
        for file in _opened_together(files, opened):
            yield from read(file)


def _opened_together(files: Callable[[], Sequence[Path]], opened: ExitStack) -> Sequence[Path]:
    """The files, none of which was moved between the first look and the last."""
    while True:
        with ExitStack() as attempt:
            found: list[Path] = []
            for place in files():
                with suppress(FileNotFoundError):  # there is none yet, or none for a moment
                    file = attempt.enter_context(_open(place))
                    fcntl.flock(file, fcntl.LOCK_SH)  # see `bound_logs`
                    found.append(Path(f"/dev/fd/{file.fileno()}"))
            if _inodes(found) == _inodes(files()):
                opened.push(attempt.pop_all())
                return found


def _inodes(files: Iterable[Path]) -> Sequence[tuple[int, int]]:
    """Which files they are, as far as they are there."""
    seen = []
    for file in files:
        with suppress(FileNotFoundError):
            status = file.stat()
            seen.append((status.st_dev, status.st_ino))
    return seen


def find_log(files: Mapping[str, Path], component: str) -> str:
    """The name of the one log that is meant: the part after the slash is enough where only one cluster has it.

    Raises UsageError on an unknown name.
    """
    matches = [name for name in files if component in {name, name.rpartition("/")[2]}]
    if len(matches) != 1:
        raise UsageError(f"no one log is named {component!r}", facts=[f"there are: {', '.join(matches or files)}"])
    return matches[0]


def read_log(files: Mapping[str, Path], component: str, *, lines: int, follow: bool) -> Iterator[str]:
    """The last lines of a component's log (-1: all), and with `follow` whatever is added to it.

    Raises UsageError on an unknown name.
    """
    path = files[find_log(files, component)]
    with ExitStack() as opened:
        text = opened.enter_context(_open(path))
        last = deque(text, maxlen=lines if lines >= 0 else None)
        begun = last.pop() if last and not last[-1].endswith("\n") else ""
        yield from last
        while follow:
            if os.fstat(text.fileno()).st_size < os.lseek(text.fileno(), 0, os.SEEK_CUR):
                text.seek(0)  # its content moved aside
            replaced = _is_replaced(path, text)  # asked first: what it has then is all that it will ever have
            begun += text.readline()
            if begun.endswith("\n"):
                yield begun
                begun = ""
            elif replaced:
                if begun:
                    yield f"{begun}\n"
                    begun = ""
                text.close()
                text = opened.enter_context(_open(path))
            else:
                time.sleep(FOLLOW_SECONDS)  # a file has no event to wait for
    if begun:
        yield f"{begun}\n"


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors="replace")


def _is_replaced(path: Path, opened: TextIO) -> bool:
    """Whether another file is in the place of one that was opened there."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(opened.fileno()))
    except FileNotFoundError:
        return False  # it has moved aside, and nobody has written a new one yet
