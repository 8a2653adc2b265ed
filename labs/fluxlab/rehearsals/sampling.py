"""While something is broken: ask again and again what must hold meanwhile, and look for what leaves no record."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fluxlab.errors import FluxlabError
from fluxlab.lab import Lab

from .checks import Answer, ask
from .spec import SteadyState

EVERY_SECONDS = 0.5
ROUND_SECONDS = 60.0
"""How long a round may take that has begun: a question to what stands still is answered when it goes on."""


@dataclass
class Stretch:
    """For how long one kind of answer was given at a stretch."""

    longest_seconds: float = 0.0
    worst: Answer | None = None
    """What was said in the longest."""
    _since: float | None = None
    _last: Answer | None = None

    def note(self, answer: Answer, now: float, *, goes_on: bool) -> None:
        """One more answer: a stretch lasts until the first answer of another kind."""
        if self._since is None and goes_on:
            self._since = now
        if self._since is None:
            return
        self._last = answer if goes_on else self._last
        if self.worst is None or now - self._since > self.longest_seconds:
            self.longest_seconds, self.worst = now - self._since, self._last
        if not goes_on:
            self._since = None


@dataclass
class Course:
    """How one part of the hypothesis fared so far."""

    state: SteadyState
    asked: int = 0
    last: Answer | None = None
    last_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    broken: Stretch = field(default_factory=Stretch)
    unknown: Stretch = field(default_factory=Stretch)

    def note(self, answer: Answer, now: float) -> None:
        """One more answer."""
        self.asked += 1
        self.last, self.last_at = answer, datetime.now(UTC)
        self.broken.note(answer, now, goes_on=answer.holds is False)
        self.unknown.note(answer, now, goes_on=answer.holds is None)

    @property
    def worst(self) -> Stretch | None:
        """The stretch that was longer than is tolerated; that it was broken counts more than that nobody knew."""
        for stretch in (self.broken, self.unknown):
            if stretch.worst and not stretch.longest_seconds <= self.state.tolerate_seconds > 0:
                return stretch
        return None


class Sampler:
    """A thread with a handle of its own on the lab, from `start` to `stop`."""

    def __init__(self, lab: Lab, states: Sequence[SteadyState], *, look: Callable[[Lab], Callable[[], None]]) -> None:
        """What `look` makes, of the sampler's own handle, is called in each round, too."""
        self.courses = [Course(state) for state in states if "during" in state.when]
        self.trouble = ""
        self._lab = Lab(lab.folder)
        self._lab.timeout_factor = lab.timeout_factor
        self._look = look(self._lab)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after a round that has begun."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(ROUND_SECONDS)
        if self._thread.is_alive():
            self.trouble = self.trouble or f"a round has not ended within {ROUND_SECONDS:g} s"
        else:
            self._lab.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                for course in self.courses:
                    course.note(ask(course.state, self._lab), time.monotonic())
                self._look()
            except FluxlabError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 # a sampler that crashed has proven nothing: the run is told so
                self.trouble = f"{type(error).__name__}: {error}"
                return
            self._stopping.wait(EVERY_SECONDS)  # a pause between rounds, not a wait for a fact
