"""The moment from which signals count, and what was there already of those that leave no record."""

import threading
from collections.abc import Collection, Mapping

from fluxlab.errors import UnknownError
from fluxlab.moments import Moment

from .signals import SignalSpec


class Outset:
    """Taken before something is done; what is asked later, from any thread, is compared with it."""

    def __init__(self, moment: Moment | None = None) -> None:
        self.moment = moment or Moment()
        self._lock = threading.Lock()
        self._there: dict[str, frozenset[str]] = {}
        self._counts: dict[str, dict[str, float]] = {}
        self._unknown: dict[str, str] = {}

    def note(self, signal: SignalSpec, there: Collection[str], counts: Mapping[str, float]) -> None:
        """What of a signal is there before, and how far counters had come."""
        self._there[_key(signal)] = frozenset(there)
        self._counts[_key(signal)] = dict(counts)

    def miss(self, signal: SignalSpec, why: str) -> None:
        """Nobody could tell what of a signal was there before."""
        self._unknown[_key(signal)] = why

    def new(self, signal: SignalSpec, now: Collection[str]) -> Collection[str]:
        """What of it was not there all the time since. Raises UnknownError when that is not known."""
        with self._lock:
            before = self._there.get(_key(signal))
            if before is None:
                why = self._unknown.get(_key(signal), "nobody has looked")
                raise UnknownError("what was there before is not known", facts=[why])
            self._there[_key(signal)] = before & frozenset(now)
            return frozenset(now) - before

    def risen(self, signal: SignalSpec, counter: str, value: float) -> float:
        """How far a counter has risen; one that is less than it was has begun anew, with its program."""
        with self._lock:
            counts = self._counts.get(_key(signal), {})
            if value < counts.get(counter, 0.0):
                counts[counter] = 0.0
            return value - counts.get(counter, 0.0)


def _key(signal: SignalSpec) -> str:
    """What is sought, whichever step or expectation seeks it."""
    return signal.model_dump_json(include={signal.way()})
