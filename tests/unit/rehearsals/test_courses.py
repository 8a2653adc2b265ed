"""Exit codes of verdicts, and when a course of answers is tolerated."""

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.lab import Lab
from fluxlab.rehearsals import checks, sampling
from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.results import Outcome
from fluxlab.rehearsals.sampling import Course, Sampler
from fluxlab.rehearsals.spec import Check, SteadyState
from fluxlab.waiting import wait_until

STATE = SteadyState(what="it is there", workloads="shop", tolerate_seconds=5)
UNTOLERATED = SteadyState(what="it is there", workloads="shop")
ZERO = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


def test_outcomes_are_exit_codes_for_true_false_and_unknown() -> None:
    assert [outcome.exit_code for outcome in Outcome] == [0, 1, 2]


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def course(*answers: tuple[float, bool | None], state: SteadyState = STATE) -> Course:
    """Answers that came at once."""
    return slow_course(*((now, now, holds) for now, holds in answers), state=state)


def slow_course(*answers: tuple[float, float, bool | None], state: SteadyState = STATE) -> Course:
    found = Course(state)
    for asked, answered, holds in answers:
        found.note(Answer(holds=holds, words=f"at {answered:g}"), asked=at(asked), answered=at(answered))
    return found


def always(until: int) -> Iterable[tuple[float, bool | None]]:
    return ((float(second), True) for second in range(until))


def test_what_did_not_hold_lasts_until_it_holds_again() -> None:
    brief = course((0, True), (1, False), (5, True))
    assert (brief.broken.longest_seconds, brief.worst) == (4, None)
    long = course((0, True), (1, False), (7, True))
    assert long.worst == long.broken
    assert long.broken.worst == Answer(holds=False, words="at 1")


def test_that_it_was_broken_counts_more_than_that_nobody_knew_for_longer() -> None:
    both = course((0, False), (6, None), (60, True))
    assert (both.broken.longest_seconds, both.unknown.longest_seconds) == (6, 60)
    assert both.worst == both.broken
    unknown = course((0, False), (2, None), (60, True))
    assert unknown.worst == unknown.unknown


def test_what_was_broken_or_unknown_in_turns_is_one_stretch() -> None:
    """No answer says that it was broken all the time, and none that it held once."""
    turns = course(*((number / 2, None if number % 2 else False) for number in range(120)))
    assert (turns.broken.longest_seconds, turns.unknown.longest_seconds) == (0.5, 59.5)
    assert turns.worst == turns.unknown
    assert turns.unknown.worst
    assert turns.unknown.worst.holds is None


@pytest.mark.parametrize(("first", "second"), [(False, None), (None, False)])
def test_a_break_and_a_doubt_side_by_side_are_tolerated_for_as_long_as_one(
    first: bool | None, second: bool | None
) -> None:
    assert course((0, True), (1, first), (3, second), (5, True)).worst is None
    long = course((0, True), (1, first), (4, second), (7, True))
    assert long.worst == long.unknown
    assert long.unknown.longest_seconds == 6


def test_what_was_broken_without_a_doubt_is_over_when_somebody_asks_who_hears_that_it_holds() -> None:
    slow = slow_course((0, 0, True), (1, 1, False), (5, 8, True))
    assert (slow.broken.longest_seconds, slow.unknown.worst, slow.worst) == (4, None, None)


def test_without_tolerance_a_single_answer_counts() -> None:
    single = course((0, False), state=UNTOLERATED)
    assert single.worst == single.broken
    assert single.broken.worst == Answer(holds=False, words="at 0")


def test_a_course_that_always_held_has_no_worst() -> None:
    assert course((0, True), (9, True)).worst is None
    assert course(*always(100), state=UNTOLERATED).worst is None


def test_a_question_that_ran_into_its_timeout_was_unanswered_since_it_was_asked() -> None:
    late = slow_course((0, 0, True), (0.5, 30.5, None), (31, 31.1, True))
    assert late.unknown.longest_seconds == pytest.approx(30.6)
    assert late.worst == late.unknown
    assert late.unknown.worst == Answer(holds=None, words="at 30.5")


@pytest.mark.parametrize("state", [STATE, UNTOLERATED])
def test_between_two_good_answers_with_long_silence_nobody_knows(state: SteadyState) -> None:
    silent = slow_course((0, 0, True), (0.5, 29, True), state=state)
    assert silent.unknown.longest_seconds == pytest.approx(29)
    assert silent.worst == silent.unknown
    assert silent.unknown.worst
    assert silent.unknown.worst.holds is None
    assert "29.0 s" in silent.unknown.worst.words


def test_only_what_was_asked_and_answered_while_the_fault_was_in_counts() -> None:
    early = slow_course((0, 0.1, True), (1, 1.1, True), (1.9, 2.3, False), (4.9, 5.2, False), state=UNTOLERATED)
    within = early.between(at(2), at(5))
    assert within.asked == 0
    assert early.between(at(1), at(5)).worst
    assert early.between(at(1), at(5)).asked == 2


def test_silence_until_the_end_and_from_the_beginning_is_unknown() -> None:
    answers = course(*always(5), state=UNTOLERATED)
    assert answers.between(at(0), at(5)).worst is None
    assert answers.between(at(0), at(40)).unknown.longest_seconds == pytest.approx(36)
    assert answers.between(at(-40), at(5)).unknown.longest_seconds == pytest.approx(40)


class Sampled:
    """A sampler whose questions are answered by a function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: "threading.Event | Exception | None" = None) -> None:
        self.gate = threading.Event()
        self._answer = answer
        monkeypatch.setattr(sampling, "ask", self._ask)
        lab = SimpleNamespace(folder=None, timeout_factor=1.0, close=lambda: None, patience=lambda seconds: seconds)
        monkeypatch.setattr(sampling, "Lab", lambda _: lab)
        self.sampler = Sampler(cast("Lab", lab), [UNTOLERATED], look=lambda _: lambda: None)

    def _ask(self, *_: object) -> Answer:
        if isinstance(self._answer, Exception):
            raise self._answer
        return Answer(holds=True, words="it is")


def test_a_fault_that_is_taken_out_at_once_waits_for_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampled(monkeypatch).sampler
    sampler.start()
    try:
        for _ in range(3):
            proven = datetime.now(UTC)
            sampler.await_answers(proven)
            assert sampler.courses[0].between(proven, datetime.now(UTC)).asked >= 1
    finally:
        sampler.stop()


def test_who_waits_for_an_answer_of_a_sampler_that_crashed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampled(monkeypatch, RuntimeError("a bug")).sampler
    sampler.start()
    sampler.await_answers(datetime.now(UTC))
    sampler.stop()
    assert "a bug" in sampler.trouble
    assert sampler.courses[0].asked == 0


AFTER = [SteadyState(what=name, workloads=name, when=("after",)) for name in ("first", "second")]


def sampled_after(monkeypatch: pytest.MonkeyPatch, holds: Callable[[str], bool]) -> Sampler:
    """A sampler that has asked three times what must hold after healing, and was answered so."""

    def answer(check: Check, _: Lab) -> Answer:
        return Answer(holds=holds(str(check.workloads)), words="told")

    lab = SimpleNamespace(folder=None, timeout_factor=1.0, close=lambda: None, patience=lambda seconds: seconds)
    monkeypatch.setattr(checks, "ask", answer)
    monkeypatch.setattr(sampling, "Lab", lambda _: lab)
    monkeypatch.setattr(sampling, "EVERY_SECONDS", 0.01)
    rounds: list[datetime] = []
    sampler = Sampler(cast("Lab", lab), AFTER, look=lambda _: lambda: rounds.append(datetime.now(UTC)))
    sampler.recover()
    sampler.start()
    try:
        wait_until(lambda: len(rounds) >= 3, what="three rounds", timeout_seconds=30)
    finally:
        sampler.stop()
    assert not sampler.trouble
    return sampler


def test_parts_that_hold_in_turns_while_a_run_goes_on_have_not_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def in_turns(name: str) -> bool:
        asked.append(name)
        return name == "second" or asked.count("first") % 2 == 1

    assert sampled_after(monkeypatch, in_turns).recovered is None
    assert asked.count("second") >= 3, "each time when the first one held"


def test_parts_that_hold_together_while_a_run_goes_on_have_recovered_when_the_last_one_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, datetime]] = []

    def hold(name: str) -> bool:
        asked.append((name, datetime.now(UTC)))
        return True

    recovered = sampled_after(monkeypatch, hold).recovered
    assert [name for name, _ in asked] == ["first", "second", "first"], "nobody asks again what has recovered"
    assert recovered
    assert asked[1][1] <= recovered <= asked[2][1]
