"""The moment from which signals count, and what was there already of those that leave no record."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fluxlab.errors import UnknownError
from fluxlab.moments import Moment

from .signals import SignalSpec


@dataclass(frozen=True, kw_only=True)
class Before:
    """What was known when a look began. It is compared with that: another thread may look meanwhile, and end first."""

    there: frozenset[str] = frozenset()
    """What has been there all the time since the outset."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """From where counters count."""


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

    def before(self, signal: SignalSpec) -> Before:
        """For a look that begins. Raises UnknownError when it is not known what was there at the outset."""
        with self._lock:
            there = self._there.get(_key(signal))
            if there is None:
                why = self._unknown.get(_key(signal), "nobody has looked")
                raise UnknownError("what was there before is not known", facts=[why])
            return Before(there=there, counts=dict(self._counts[_key(signal)]))

    def learn(self, signal: SignalSpec, now: Collection[str]) -> None:
        """All that is there of it now: what is not, was not there all the time."""
        with self._lock:
            self._there[_key(signal)] &= frozenset(now)

    def risen(self, signal: SignalSpec, before: Before, counter: str, value: float) -> float:
        """How far a counter has risen; one that is less than it was has begun anew, with its program."""
        count = before.counts.get(counter, 0.0)
        if value >= count:
            return value - count
        with self._lock:
            self._counts[_key(signal)][counter] = 0.0
        return value


def _key(signal: SignalSpec) -> str:
    """What is sought, whichever step or expectation seeks it."""
    return signal.model_dump_json(include={signal.way()})
