"""The values that Secrets of a lab's own clusters have, or had: what one process has seen all others mask, and so does
whoever comes later, when a Secret was changed or deleted, or nobody answers for it any more.

They stand in a file of the lab's folder that only its owner can read, and no snapshot holds it.
"""

import json
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fluxlab.files import write_private

LARGEST = 4 * 1024 * 1024
"""Characters of all values together. Beyond that those go that no Secret has had for longest."""
MOST = 500
"""How many values: whoever masks them spells out each."""


class Learned:
    """The side of the one process that adds to them: a lab's recorder. Thread-safe."""

    def __init__(self, file: Path) -> None:
        """Begin with what an earlier one left."""
        self._file = file
        self._values = dict.fromkeys(read_learned(file))
        """Those last that a Secret was last seen to have."""
        self._gone: set[int] = set()
        """Hashes of those for which there was no room: learned anew each time, they would drive out each other."""
        self._grown = False
        self._lock = threading.Lock()

    def add(self, value: str) -> None:
        """Learn a value; `save` tells the others."""
        with self._lock:
            if value in self._values:
                del self._values[value]  # to stand last
            elif hash(value) in self._gone:
                return
            else:
                self._grown = True
            self._values[value] = None

    def save(self) -> None:
        """Write what was added, whole or not at all. Raises OSError."""
        with self._lock:
            if not self._grown:
                return
            if not self._file.parent.is_dir():
                raise FileNotFoundError(f"{self._file.parent} was removed")  # the lab has gone, and must not come back
            size = sum(map(len, self._values))
            while size > LARGEST or len(self._values) > MOST:
                oldest = next(iter(self._values))
                size -= len(oldest)
                del self._values[oldest]
                self._gone.add(hash(oldest))
            write_private(self._file, json.dumps(list(self._values)))
            self._grown = False


def read_learned(file: Path) -> Sequence[str]:
    """The values, those last that were last seen; none where nobody has written any, or somebody else did."""
    try:
        seen = file.stat()
        return _read(file, (seen.st_ino, seen.st_mtime_ns, seen.st_size))
    except (OSError, ValueError, RecursionError):
        return ()


@lru_cache(maxsize=8)
def _read(file: Path, _: tuple[int, ...]) -> Sequence[str]:
    """Once for each version of a file: whoever writes the timeline asks again and again."""
    content: object = json.loads(file.read_text())
    return [value for value in content if isinstance(value, str)] if isinstance(content, list) else ()
