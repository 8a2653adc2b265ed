"""Verdicts, and results without secret values."""

import base64

import pytest
from tests.unit.report.samples import CONTROL, FAILED, INCONCLUSIVE, PASSED, hostile

from fluxlab.redaction import MASK, Redactor
from fluxlab.rehearsals.results import CheckResult, Finding, Outcome, Part, RunResult, verdict

SECRET = "k7-canary-3f9"


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([], Outcome.INCONCLUSIVE),
        ([Outcome.PASS, Outcome.PASS], Outcome.PASS),
        ([Outcome.PASS, Outcome.INCONCLUSIVE], Outcome.INCONCLUSIVE),
        ([Outcome.INCONCLUSIVE, Outcome.FAIL, Outcome.PASS], Outcome.FAIL),
    ],
)
def test_inconclusive_outranks_pass_and_a_failure_is_one_in_any_case(outcomes: list[Outcome], wanted: Outcome) -> None:
    assert verdict(Finding(part=Part.SIGNAL, what="x", outcome=one) for one in outcomes) is wanted


def test_a_run_without_findings_is_not_hidden_by_one_that_passed() -> None:
    empty = INCONCLUSIVE.model_copy(update={"findings": ()})
    assert verdict([PASSED, empty]) is Outcome.INCONCLUSIVE
    assert verdict([PASSED, empty, FAILED]) is Outcome.FAIL


@pytest.mark.parametrize(
    ("holds", "lasted", "tolerated", "wanted"),
    [
        (True, 0, 0, Outcome.PASS),
        (False, 0, 0, Outcome.FAIL),
        (False, 3, 5, Outcome.PASS),
        (False, 6, 5, Outcome.FAIL),
        (None, 0, 0, Outcome.INCONCLUSIVE),
        (None, 3, 5, Outcome.PASS),
    ],
)
def test_what_did_not_hold_for_no_longer_than_it_may_counts_as_held(
    holds: bool | None, lasted: float, tolerated: float, wanted: Outcome
) -> None:
    check = CheckResult(
        what="x", when="during", holds=holds, words="", at=PASSED.began, for_seconds=lasted, tolerated_seconds=tolerated
    )
    assert check.outcome is wanted


@pytest.mark.parametrize(("holds", "lasted"), [(False, 3), (None, 3)])
def test_what_never_held_was_not_tolerated_for_a_while(holds: bool | None, lasted: float) -> None:
    check = CheckResult(
        what="x", when="during", holds=holds, words="", at=PASSED.began, for_seconds=lasted, tolerated_seconds=5
    )
    assert check.outcome is Outcome.PASS
    assert check.model_copy(update={"ever_held": False}).outcome is Outcome.INCONCLUSIVE


LOUD = CONTROL.with_finding(Finding(part=Part.CONTROL, what="the chat", outcome=Outcome.FAIL, why="it hears of it"))
UNKNOWN = CONTROL.with_finding(Finding(part=Part.STEP, what="the run", outcome=Outcome.INCONCLUSIVE, why="no API"))


@pytest.mark.parametrize("run", [PASSED, FAILED, INCONCLUSIVE], ids=lambda run: run.outcome)
def test_a_run_proves_nothing_where_its_control_run_has_failed(run: RunResult) -> None:
    """Not even a failure: what comes without any fault may be what has failed."""
    invalid = run.with_control(LOUD)
    assert invalid.outcome is Outcome.INCONCLUSIVE
    told = invalid.reasons[0]
    assert (told.part, told.why.startswith("invalid: its control run")) == (Part.CONTROL, True)
    assert "the chat: it hears of it" in told.why
    assert invalid.findings[1:] == run.findings, "what was seen is told all the same"
    assert invalid.replay == f"{run.replay} --control"


@pytest.mark.parametrize("run", [PASSED, FAILED, INCONCLUSIVE], ids=lambda run: run.outcome)
def test_where_the_control_run_is_inconclusive_a_failure_is_one_all_the_same_and_nothing_passes(run: RunResult) -> None:
    found = run.with_control(UNKNOWN)
    assert found.outcome is (Outcome.FAIL if run is FAILED else Outcome.INCONCLUSIVE)
    told, *rest = found.findings
    assert (told.part, told.outcome, "no API" in told.why) == (Part.CONTROL, Outcome.INCONCLUSIVE, True)
    assert tuple(rest) == run.findings
    assert found.replay == f"{run.replay} --control"


@pytest.mark.parametrize("run", [PASSED, FAILED, INCONCLUSIVE], ids=lambda run: run.outcome)
def test_a_run_whose_control_run_passed_is_what_it_is(run: RunResult) -> None:
    assert run.with_control(CONTROL) == run


def test_no_text_of_a_masked_result_holds_a_secret() -> None:
    spelled = f"x {SECRET} y {base64.b64encode(SECRET.encode()).decode()} z"
    names = {"parameters": {"seconds": spelled}}  # the keys are a fault's own
    loud = hostile(spelled).model_copy(update={"versions": {"flux": spelled}})
    loud = loud.model_copy(update={"faults": tuple(one.model_copy(update=names) for one in loud.faults)})
    assert SECRET in loud.as_json()  # the test would notice
    told = loud.masked(Redactor([SECRET])).as_json()
    assert SECRET not in told
    assert base64.b64encode(SECRET.encode()).decode() not in told
    assert told.count(MASK) == 2 * loud.as_json().count(SECRET)


def test_masking_changes_nothing_else() -> None:
    assert PASSED.masked(Redactor([SECRET])) == PASSED
    assert isinstance(PASSED.masked(Redactor([SECRET])), RunResult)
