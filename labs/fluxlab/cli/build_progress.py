"""How a build of the toolchain is told to the person at the terminal."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .output import say

TICK_SECONDS = 1.0
BYTES_OF_A_BUILD = 1_000_000_000
"""What one component may need on the disk while it is built: of all 15 the modules take 6 GB, the build cache 8."""


def _warn_of_a_small_disk(wanted: int) -> None:
    from fluxlab.toolchain.lookup import cache_store

    root = cache_store().root
    free = shutil.disk_usage(next(place for place in (root, *root.parents) if place.exists())).free
    if free < wanted:
        say(f"only {free / 1e9:.1f} GB are free for {root}: until it is done a build may need {wanted / 1e9:.0f} GB")


class BuildProgress:
    """One line per component; on a terminal the running one shows its elapsed time."""

    def __init__(self) -> None:
        self._total = 0
        self._done = 0
        self._running: tuple[str, float] | None = None
        self._over = threading.Event()

    def planned(self, names: Sequence[str]) -> None:
        """How many will be built."""
        self._total = len(names)
        if names:
            say(f"building {len(names)} components: {', '.join(names)}")
            _warn_of_a_small_disk(len(names) * BYTES_OF_A_BUILD)

    def waiting(self, name: str) -> None:
        """Another process builds."""
        say(f"another process is building; waiting for it before {name}")

    def found(self, name: str) -> None:
        """One is in place already."""
        self._done += 1
        self._end(f"[{self._done}/{self._total}] {name} was built by the other process")

    def started(self, name: str) -> None:
        """One begins."""
        self._running = (name, time.monotonic())
        if not sys.stderr.isatty():
            say(f"[{self._done + 1}/{self._total}] {name} ...")

    def finished(self, name: str, *, seconds: float) -> None:
        """One is in place."""
        self._done += 1
        self._end(f"[{self._done}/{self._total}] {name} built in {seconds:.0f} s")

    def failed(self, name: str, *, seconds: float) -> None:
        """One failed."""
        self._end(f"[{self._done + 1}/{self._total}] {name} failed after {seconds:.0f} s")

    def _end(self, text: str) -> None:
        self._running = None
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[2K")
        say(text)

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Rewrite the running line every second, on a terminal."""
        thread = threading.Thread(target=self._tick, daemon=True)
        if sys.stderr.isatty():
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            if thread.is_alive():
                thread.join()

    def _tick(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            if running := self._running:
                name, began = running
                seconds = time.monotonic() - began
                sys.stderr.write(f"\r\x1b[2K[{self._done + 1}/{self._total}] {name} {seconds:.0f} s")
                sys.stderr.flush()
