"""What a long build tells the person who waits: one line for each step, with the time since the beginning."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """The steps of one build."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """One line."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Tell that a step begins, and how long it took."""
        self.say(f"{name} ...")
        began = time.monotonic()
        yield
        self.say(f"{name}: {time.monotonic() - began:.1f} s")
