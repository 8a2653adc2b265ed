"""Files and folders that only their owner may read: a lab is full of keys."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class KeyPairFiles:
    """Paths of a PEM certificate chain and its private key."""

    certificate: Path
    key: Path


def make_private(folder: Path) -> Path:
    """Make a folder and those above it, for their owner only, whatever the umask. Raises OSError."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o700)
    return folder


def write_private(path: Path, content: bytes | str, *, mode: int = 0o600, durable: bool = False) -> Path:
    """Write a file that only its owner can read, whole or not at all; `durable`: it is there after a power cut, too."""
    make_private(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # also under a umask that takes rights from the owner
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(descriptor)
        temporary.replace(path)
        if durable:
            flush(path.parent)  # its new name
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def absolute_paths(paths: str, folder: Path = Path()) -> str:
    """A path, or several as PATH has them, as they are in any working directory; they are meant from `folder` on."""
    expanded = (os.path.expanduser(one) for one in paths.split(os.pathsep) if one)  # noqa: PTH111  an unknown user stays
    return os.pathsep.join(str((folder / one).absolute()) for one in expanded)


def flush(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OfFile(Generic[T]):
    """What was made of a file; made anew when that was written anew, and kept while it is not there. Thread-safe."""

    def __init__(self, file: Path, make: Callable[[], T]) -> None:
        """`make` reads the file, or asks whoever has written it."""
        self._file = file
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[tuple[int, ...], T] | None = None

    def __call__(self) -> T:
        """What it is now. Raises what `make` raises."""
        with self._lock:
            version = self._version()
            if self._kept is None or version not in {self._kept[0], ()}:
                self._kept = version, self._make()
            return self._kept[1]

    def _version(self) -> tuple[int, ...]:
        try:
            seen = self._file.stat()
        except FileNotFoundError:
            return ()
        return (seen.st_mtime_ns, seen.st_ino, seen.st_size)

    def take(self) -> T | None:
        """What was made last, if there is any; the next call makes it anew."""
        with self._lock:
            kept, self._kept = self._kept, None
            return kept[1] if kept else None
