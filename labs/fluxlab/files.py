"""Files and folders that only their owner may read: a lab is full of keys."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class KeyPairFiles:
    """Paths of a PEM certificate chain and its private key."""

    certificate: Path
    key: Path


def version_of(file: Path) -> tuple[int, int, int]:
    """What differs once a file was written anew; the same for all files that are not there."""
    try:
        seen = file.stat()
    except FileNotFoundError:
        return (0, 0, 0)
    return (seen.st_mtime_ns, seen.st_ino, seen.st_size)


def make_private(folder: Path) -> Path:
    """Make a folder and those above it, for their owner only, whatever the umask. Raises OSError."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o700)
    return folder


def write_private(path: Path, content: bytes | str, *, mode: int = 0o600) -> Path:
    """Write a file that only its owner can read, whole or not at all."""
    make_private(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # also under a umask that takes rights from the owner
            file.write(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
