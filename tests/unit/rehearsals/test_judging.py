"""What is made of a run: only what was asked, in time, and looked for to the end can pass."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.judging import _control, _forbidden, judge
from fluxlab.rehearsals.results import CheckResult, FaultResult, Finding, Outcome, Part, SignalResult
from fluxlab.rehearsals.running import Run
from fluxlab.rehearsals.sampling import Course
from fluxlab.rehearsals.spec import SteadyState

HEALING = datetime(2026, 1, 2, 14, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "until", "outcome"),
    [
        (-1.0, HEALING, Outcome.FAIL),
        (0.0, HEALING, Outcome.FAIL),
        (1.0, HEALING, Outcome.PASS),
        (1.0, None, Outcome.FAIL),
    ],
)
def test_when_a_forbidden_signal_came_counts(seconds: float, until: datetime | None, outcome: Outcome) -> None:
    seen = HEALING + timedelta(seconds=seconds)
    found = SignalResult(what="the chat hears of it", signal={}, forbidden=True, seen=seen, after_seconds=3.0)
    assert _forbidden(found, until=until).outcome is outcome


def test_a_forbidden_signal_that_nobody_could_look_for_is_no_pass() -> None:
    found = SignalResult(what="the chat hears of it", signal={}, forbidden=True, unknown="the API is gone")
    assert _forbidden(found, until=HEALING).outcome is Outcome.INCONCLUSIVE


def test_a_control_run_tells_for_how_long_it_has_watched() -> None:
    found = SignalResult(what="the chat hears of it", signal={}, within_seconds=120)
    finding = _control(found, watched_seconds=15, within_seconds=120)
    assert finding.outcome is Outcome.PASS
    assert finding.why == "it did not come within 15 s; with the faults in it has 120 s"


def at(seconds: float) -> datetime:
    return HEALING + timedelta(seconds=seconds)


def answers(*told: tuple[float, float, bool | None], tolerate_seconds: float = 0) -> Course:
    course = Course(SteadyState(what="it is there", workloads="shop", tolerate_seconds=tolerate_seconds))
    for asked, answered, holds in told:
        course.note(Answer(holds=holds, words="told"), asked=at(asked), answered=at(answered))
    return course


def fault(name: str, *, proven: float, healing: float) -> FaultResult:
    return FaultResult(
        name=name,
        fault="controller-kill",
        id=name,
        targets=(),
        parameters={},
        began=at(proven),
        proven=at(proven),
        proof="it is dead",
        healing=at(healing),
        healed=at(healing),
    )


def judged(
    *,
    course: Course | None = None,
    faults: Sequence[FaultResult] = (),
    healed: float | None = None,
    recovered: float | None = None,
    asked_after: bool = True,
    residue: Sequence[str] = (),
    residue_unknown: str = "",
    clock_set_seconds: float = 0.0,
) -> Sequence[Finding]:
    """What is found of a run of which this is known, and in which everything else passed."""
    after = CheckResult(what="it is there", when="after", holds=True, words="told", at=at(recovered or 0))
    findings: list[Finding] = []
    run = SimpleNamespace(
        findings=findings,
        checks=[after] if asked_after else [],
        sampler=SimpleNamespace(courses=[course] if course else [], trouble=""),
        during=(faults[0].proven, faults[-1].healed) if faults else (None, None),
        faults={one.name: one for one in faults},
        healed=None if healed is None else at(healed),
        recovered=None if recovered is None else at(recovered),
        lab=SimpleNamespace(patience=lambda seconds: seconds),
        rehearsal=SimpleNamespace(signals=(), recovery_seconds=30.0),
        residue=residue,
        residue_unknown=residue_unknown,
        clock_set_seconds=clock_set_seconds,
    )
    judge(cast("Run", run))
    return findings


def outcomes(findings: Sequence[Finding], part: Part) -> set[Outcome]:
    return {one.outcome for one in findings if one.part is part}


def test_answers_of_before_the_fault_prove_nothing_of_the_time_when_it_was_in() -> None:
    early = answers((-9, -8.9, True), (-8, -7.9, True), (-5.1, -4.9, True), (-1.1, -0.9, True))
    found = judged(course=early, faults=[fault("kill", proven=-1, healing=0)])
    assert outcomes(found, Part.HYPOTHESIS) == {Outcome.INCONCLUSIVE}
    assert outcomes(judged(course=early, faults=[fault("kill", proven=-5.2, healing=0)]), Part.HYPOTHESIS) == {
        Outcome.PASS
    }


def test_each_fault_needs_an_answer_of_its_own() -> None:
    course = answers((-9, -8.9, True), (-4, -3.9, True))
    both = [fault("first", proven=-9.1, healing=-8), fault("second", proven=-3, healing=-2)]
    [finding] = [one for one in judged(course=course, faults=both) if one.part is Part.HYPOTHESIS]
    assert (finding.outcome, "while second was in" in finding.why) == (Outcome.INCONCLUSIVE, True)


def test_what_was_seen_to_break_outweighs_that_it_was_asked_too_rarely() -> None:
    course = answers((-9, -8.9, False))
    both = [fault("first", proven=-9.1, healing=-8), fault("second", proven=-3, healing=-2)]
    assert outcomes(judged(course=course, faults=both), Part.HYPOTHESIS) == {Outcome.FAIL}


@pytest.mark.parametrize("holds", [False, None])
def test_what_never_held_while_something_was_broken_is_no_pass_however_much_is_tolerated(holds: bool | None) -> None:
    """Healing has ended it: for how long it would have lasted nobody knows."""
    never = [(-9.0, -8.9, holds), (-4.0, -3.9, holds)]
    kill = [fault("kill", proven=-9.1, healing=0)]
    [finding] = [
        one for one in judged(course=answers(*never, tolerate_seconds=30), faults=kill) if one.part is Part.HYPOTHESIS
    ]
    assert (finding.outcome, "never held" in finding.why) == (Outcome.INCONCLUSIVE, True)
    once = answers(*never, (-2.0, -1.9, True), tolerate_seconds=30)
    assert outcomes(judged(course=once, faults=kill), Part.HYPOTHESIS) == {Outcome.PASS}
    broken = answers(*never, tolerate_seconds=2)
    failed = Outcome.FAIL if holds is False else Outcome.INCONCLUSIVE
    assert outcomes(judged(course=broken, faults=kill), Part.HYPOTHESIS) == {failed}


@pytest.mark.parametrize(("seconds", "outcome"), [(29.9, Outcome.PASS), (100.0, Outcome.FAIL)])
def test_recovery_counts_from_healing(seconds: float, outcome: Outcome) -> None:
    found = [one for one in judged(healed=0, recovered=seconds) if one.what == "the hypothesis holds again in time"]
    assert [one.outcome for one in found] == [outcome]
    assert f"after {seconds:.1f} s; it has 30 s" in found[0].why


def test_without_a_question_after_healing_nobody_knows_whether_it_recovered() -> None:
    assert outcomes(judged(healed=0, asked_after=False), Part.RECOVERY) == {Outcome.INCONCLUSIVE}


def test_residue_that_could_not_be_looked_for_is_no_pass() -> None:
    assert outcomes(judged(), Part.RESIDUE) == {Outcome.PASS}
    assert outcomes(judged(residue_unknown="the API is gone"), Part.RESIDUE) == {Outcome.INCONCLUSIVE}
    assert Outcome.FAIL in outcomes(judged(residue=["a rule is in"], residue_unknown="the API is gone"), Part.RESIDUE)


@pytest.mark.parametrize("seconds", [-30.0, 30.0])
def test_in_a_run_in_which_the_clock_was_set_times_prove_nothing(seconds: float) -> None:
    """Set forward, what broke for a moment seems to have been broken for long; set back, the other way round."""
    broken = answers((-9, -8.9, True), (-5, -4.9, False), (-1, -0.9, True))
    kill = [fault("kill", proven=-9.1, healing=0)]
    run = partial(judged, course=broken, faults=kill, healed=0, recovered=100.0)
    still = run(clock_set_seconds=0.9)
    assert outcomes(still, Part.HYPOTHESIS) == outcomes(still, Part.RECOVERY) - {Outcome.PASS} == {Outcome.FAIL}
    first, *rest = run(clock_set_seconds=seconds)
    assert (first.part, first.outcome) == (Part.CLOCK, Outcome.INCONCLUSIVE)
    assert first.why.startswith(f"it was set by {seconds:+.1f} s")
    assert outcomes(rest, Part.HYPOTHESIS) == outcomes(rest, Part.RECOVERY) == {Outcome.INCONCLUSIVE}
    assert any(one.why.startswith("the clock was set meanwhile: not for") for one in rest)
    assert outcomes(rest, Part.RESIDUE) == {Outcome.PASS}, "what is left was looked at, not timed"
