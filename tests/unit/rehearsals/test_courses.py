"""Exit codes of verdicts, and when a course of answers is tolerated."""

from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.results import Outcome
from fluxlab.rehearsals.sampling import Course
from fluxlab.rehearsals.spec import SteadyState

STATE = SteadyState(what="it is there", workloads="shop", tolerate_seconds=5)


def test_outcomes_are_exit_codes_for_true_false_and_unknown() -> None:
    assert [outcome.exit_code for outcome in Outcome] == [0, 1, 2]


def course(*answers: tuple[float, bool | None]) -> Course:
    found = Course(STATE)
    for now, holds in answers:
        found.note(Answer(holds=holds, words=f"at {now:g}"), now)
    return found


def test_what_did_not_hold_lasts_until_it_holds_again() -> None:
    brief = course((0, True), (1, False), (5, True))
    assert (brief.broken.longest_seconds, brief.worst) == (4, None)
    long = course((0, True), (1, False), (7, True))
    assert long.worst is long.broken
    assert long.broken.worst == Answer(holds=False, words="at 1")


def test_that_it_was_broken_counts_more_than_that_nobody_knew_for_longer() -> None:
    both = course((0, False), (6, None), (60, True))
    assert (both.broken.longest_seconds, both.unknown.longest_seconds) == (6, 54)
    assert both.worst is both.broken
    unknown = course((0, False), (2, None), (60, True))
    assert unknown.worst is unknown.unknown


def test_without_tolerance_a_single_answer_counts() -> None:
    single = Course(SteadyState(what="it is there", workloads="shop"))
    single.note(Answer(holds=False, words="gone"), 0)
    assert single.worst is single.broken


def test_a_course_that_always_held_has_no_worst() -> None:
    assert course((0, True), (9, True)).worst is None
