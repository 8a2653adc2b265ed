"""While something is broken: ask again and again what must hold meanwhile, and look for what leaves no record."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fluxlab.errors import FluxlabError
from fluxlab.lab import Lab

from .checks import Answer, ask
from .results import CheckResult
from .spec import SteadyState

EVERY_SECONDS = 0.5


@dataclass
class Course:
    """How one part of the hypothesis fared so far."""

    state: SteadyState
    asked: int = 0
    last: Answer | None = None
    last_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    failing_since: float | None = None
    longest_seconds: float = 0.0
    worst: Answer | None = None
    """What was said when it had not held for longest."""

    def note(self, answer: Answer, now: float) -> None:
        """One more answer."""
        self.asked += 1
        self.last, self.last_at = answer, datetime.now(UTC)
        if answer.holds:
            self.failing_since = None
            return
        self.failing_since = self.failing_since if self.failing_since is not None else now
        lasted = now - self.failing_since
        if self.worst is None or lasted >= self.longest_seconds:
            self.longest_seconds, self.worst = lasted, answer

    def result(self) -> CheckResult:
        """What came of all answers: the worst one, if there is one."""
        worst = self.worst or self.last
        return CheckResult(
            what=self.state.what,
            when="during",
            holds=worst.holds if worst else None,
            words=worst.words if worst else "it was never asked",
            at=self.last_at,
            for_seconds=round(self.longest_seconds, 3),
        )


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
            self._thread.join()
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
