"""What outranks what, and when a course of answers is tolerated."""

import pytest

from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.results import Finding, Outcome, verdict
from fluxlab.rehearsals.sampling import Course
from fluxlab.rehearsals.spec import SteadyState

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
STATE = SteadyState(what="it is there", workloads="shop", tolerate_seconds=5)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], INCONCLUSIVE),
        ([PASS], PASS),
        ([PASS, INCONCLUSIVE], INCONCLUSIVE),
        ([INCONCLUSIVE, FAIL, PASS], FAIL),
    ],
)
def test_a_failure_outranks_what_is_unknown_and_that_outranks_what_passed(
    outcomes: list[Outcome], expected: Outcome
) -> None:
    findings = [Finding(part="signal", what="one", outcome=outcome) for outcome in outcomes]
    assert verdict(findings) is expected


def test_outcomes_are_exit_codes_for_true_false_and_unknown() -> None:
    assert [outcome.exit_code for outcome in (PASS, FAIL, INCONCLUSIVE)] == [0, 1, 2]


def test_a_course_remembers_the_longest_time_in_which_it_did_not_hold() -> None:
    course = Course(STATE)
    for now, holds in ((0.0, False), (2.0, False), (3.0, True), (10.0, None), (14.0, None), (15.0, True)):
        course.note(Answer(holds=holds, words=f"at {now}"), now)
    result = course.result()
    assert (result.for_seconds, result.holds, result.words) == (4.0, None, "at 14.0")


def test_a_course_that_always_held_is_told_by_its_last_answer() -> None:
    course = Course(STATE)
    for now in (0.0, 1.0):
        course.note(Answer(holds=True, words=f"at {now}"), now)
    assert (course.result().holds, course.result().words, course.worst) == (True, "at 1.0", None)
