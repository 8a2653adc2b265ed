"""Since something is broken: ask again and again what must hold meanwhile, and look for what leaves no record."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.lab import Lab
from fluxlab.waiting import wait_until

from .checks import LOOK_SECONDS, Answer, ask, ask_together
from .spec import SteadyState

EVERY_SECONDS = 0.5
ROUND_SECONDS = 60.0
"""How long a round may take that has begun: a question to what stands still is answered when it goes on."""
SILENT_SECONDS = 10.0
"""For how long no answer may come until it counts that nobody knew: a round takes less, also on a busy machine."""


@dataclass
class Stretch:
    """For how long one kind of answer was given at a stretch."""

    longest_seconds: float = 0.0
    worst: Answer | None = None
    """What was said in the longest."""

    def count(self, seconds: float, answer: Answer) -> None:
        """It has lasted so long, and this was said last."""
        if self.worst is None or seconds > self.longest_seconds:
            self.longest_seconds, self.worst = seconds, answer


@dataclass(frozen=True, kw_only=True)
class Told:
    """An answer that came."""

    answer: Answer
    asked: datetime
    answered: datetime


@dataclass(frozen=True)
class Course:
    """How one part of the hypothesis fared."""

    state: SteadyState
    silent_seconds: float = SILENT_SECONDS
    began: datetime | None = None
    ended: datetime | None = None
    told: list[Told] = field(default_factory=list)

    def note(self, answer: Answer, *, asked: datetime, answered: datetime) -> None:
        """One more answer."""
        self.told.append(Told(answer=answer, asked=asked, answered=answered))

    def between(self, began: datetime | None, ended: datetime | None) -> "Course":
        """What is known of a time: what was both asked and answered in it."""
        told = [
            one
            for one in tuple(self.told)
            if (began is None or one.asked >= began) and (ended is None or one.answered <= ended)
        ]
        return replace(self, began=began, ended=ended, told=told)

    @property
    def asked(self) -> int:
        """How many answers came."""
        return len(self.told)

    @property
    def held(self) -> bool:
        """Whether any answer said that it held."""
        return any(one.answer.holds for one in self.told)

    @property
    def broken(self) -> Stretch:
        """For how long it did not hold: from the first answer that said so to the next other question."""
        found = Stretch()
        since: datetime | None = None
        last: Answer | None = None
        for one in self.told:
            if one.answer.holds is False:
                since, last = since or one.answered, one.answer
                found.count(_seconds(since, one.answered), last)
            elif since and last:
                found.count(_seconds(since, one.asked), last)
                since = None
        if since and last and self.ended:
            found.count(_seconds(since, self.ended), last)
        return found

    @property
    def unknown(self) -> Stretch:
        """For how long nobody knew: since the first question that could not be answered, or in a long silence.

        Only an answer that it holds ends it: what was broken next to it, or in between, belongs to it. All of that may
        have been one break, but nobody has seen that: where it is too long, it is neither a failure nor a pass.
        """
        found = Stretch()
        known = self.began or (self.told[0].asked if self.told else None)
        broken: datetime | None = None
        since: datetime | None = None
        last: Answer | None = None
        for one in self.told:
            if since is None and (one.answer.holds is None or self._silent(known, one.answered)):
                silent = self._silent(known, one.asked) or one.answer.holds is not None
                since = broken or (known if silent else one.asked)
            last = one.answer if one.answer.holds is None else last
            if since:
                found.count(*_unanswered(since, one.answered, last))
            if one.answer.holds is not None:
                known = one.answered
            if one.answer.holds is False:
                broken = broken or one.answered
            if one.answer.holds:
                broken = since = last = None
        if self.ended and (since or self._silent(known, self.ended)):
            found.count(*_unanswered(since or broken or known or self.ended, self.ended, last))
        return found

    def _silent(self, known: datetime | None, until: datetime) -> bool:
        return known is not None and _seconds(known, until) > self.silent_seconds

    @property
    def worst(self) -> Stretch | None:
        """The stretch that was longer than is tolerated; that it was broken counts more than that nobody knew."""
        for stretch in (self.broken, self.unknown):
            if stretch.worst and not stretch.longest_seconds <= self.state.tolerate_seconds > 0:
                return stretch
        return None


def _seconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds()


def _unanswered(begin: datetime, end: datetime, last: Answer | None) -> tuple[float, Answer]:
    seconds = _seconds(begin, end)
    return seconds, last or Answer(holds=None, words=f"for {seconds:.1f} s no answer came that it held")


class Sampler:
    """A thread with a handle of its own on the lab, from `start` to `stop`."""

    def __init__(self, lab: Lab, states: Sequence[SteadyState], *, look: Callable[[Lab], Callable[[], None]]) -> None:
        """What `look` makes, of the sampler's own handle, is called in each round, too."""
        silent_seconds = lab.patience(SILENT_SECONDS)
        self.courses = [Course(state, silent_seconds) for state in states if "during" in state.when]
        self.trouble = ""
        self.recovered: datetime | None = None
        """When all that must hold afterwards did, at one time, after `recover`."""
        self._after = [state for state in states if "after" in state.when]
        self._recovering = threading.Event()
        self._lab = Lab(lab.folder)
        self._lab.timeout_factor = lab.timeout_factor
        self._look = look(self._lab)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampling", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def recover(self) -> None:
        """Everything is out: ask from here on what must hold afterwards, until all of it has."""
        self._recovering.set()

    def await_answers(self, since: datetime) -> None:
        """Until each part was asked and has answered since a moment, or nobody answers: that is judged, not raised."""

        def answered() -> bool:
            heard = (course.told and course.told[-1].asked >= since for course in self.courses)
            return not self._thread.is_alive() or all(heard)

        with suppress(WaitTimeoutError):
            wait_until(
                answered,
                what="answers",
                timeout_seconds=self._lab.patience(ROUND_SECONDS),
                interval_seconds=LOOK_SECONDS,
            )

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
                    asked = datetime.now(UTC)
                    course.note(ask(course.state, self._lab), asked=asked, answered=datetime.now(UTC))
                if self._after and self._recovering.is_set() and not self.recovered:
                    self.recovered = ask_together(self._after, self._lab).held
                self._look()
            except FluxlabError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 # a sampler that crashed has proven nothing: the run is told so
                self.trouble = f"{type(error).__name__}: {error}"
                return
            self._stopping.wait(EVERY_SECONDS)  # a pause between rounds, not a wait for a fact
