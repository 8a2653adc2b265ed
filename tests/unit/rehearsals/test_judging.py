"""What is made of a run: only what was asked, in time, and looked for to the end can pass."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.judging import _control, _forbidden, judge
from fluxlab.rehearsals.observed import Observed
from fluxlab.rehearsals.results import CheckResult, FaultResult, Finding, Outcome, Part, SignalResult
from fluxlab.rehearsals.sampling import Course
from fluxlab.rehearsals.spec import Rehearsal, SteadyState
from fluxlab.timeline.entries import Detail, Entry, Level, ObjectRef, Source

REHEARSAL = Rehearsal.model_validate(
    {
        "title": "a pause",
        "hypothesis": [{"what": "it is there", "workloads": "shop"}],
        "steps": [{"fault": {"fault": "controller-pause"}}],
        "expect": [{"what": "it is logged", "log": {"component": "etcd", "pattern": "late"}, "within_seconds": 30}],
        "truth": {"cause": "a pause"},
    }
)
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
    finding = _control(found)
    assert finding.outcome is Outcome.PASS
    assert finding.why == "it did not come within 15 s, nor as Flux reconciled once; with the faults in it has 120 s"


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
    signal: SignalResult | None = None,
    control: bool = False,
    cut_short: float | None = None,
    crashed: bool = False,
    sampling_trouble: str = "",
    unheard: str = "",
    entries: Sequence[Entry] = (),
) -> Sequence[Finding]:
    """What is found of a run of which this is known, and in which everything else passed."""
    after = CheckResult(what="it is there", when="after", holds=True, words="told", at=at(recovered or 0))
    failed = Finding(part=Part.STEP, what="a step", outcome=Outcome.INCONCLUSIVE, why="it could not be taken")
    run = Observed(
        rehearsal=REHEARSAL,
        file=Path("pause.yaml"),
        seed=0,
        control=control,
        lab="lab",
        timeout_factor=4.0,
        recovery_within_seconds=30.0,
        began=at(-300),
        ended=at(300),
        first_fault=at(-200),
        healed=None if healed is None else at(healed),
        recovered=None if recovered is None else at(recovered),
        clock_set_seconds=clock_set_seconds,
        troubles=[failed] if crashed or cut_short is not None else [],
        cut_short_at=None if cut_short is None else at(cut_short),
        unheard=unheard,
        checks=[after] if asked_after else [],
        courses=[course] if course else [],
        sampling_trouble=sampling_trouble,
        steps=(),
        faults={one.name: one for one in faults},
        signals={0: signal or logged(within_seconds=30, after_seconds=1)},
        residue=residue,
        residue_unknown=residue_unknown,
        blast_radius=(),
        entries=entries,
        unreal=(),
        commit="",
    )
    return judge(run)


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


def logged(*, within_seconds: float, after_seconds: float | None = None, unknown: str = "") -> SignalResult:
    """The signal of the rehearsal, which counts from long before it was healed."""
    return SignalResult(
        what="it is logged",
        signal={},
        within_seconds=within_seconds,
        after=at(-200),
        seen=None if after_seconds is None else at(-200 + after_seconds),
        after_seconds=after_seconds,
        unknown=unknown,
    )


@pytest.mark.parametrize(("seconds", "outcome"), [(100, Outcome.PASS), (130, Outcome.FAIL)])
def test_a_signal_is_judged_by_the_time_that_is_told_of_it(seconds: float, outcome: Outcome) -> None:
    """Four times 30 s on a slow machine: what is told already holds the factor."""
    signal = logged(within_seconds=120, after_seconds=seconds)
    [finding] = [one for one in judged(signal=signal) if one.part is Part.SIGNAL]
    assert finding.outcome is outcome
    assert ("it has 120 s" in finding.why) == (outcome is Outcome.FAIL)


def test_a_control_run_tells_the_time_that_a_signal_has_on_this_machine() -> None:
    signal = logged(within_seconds=120)
    [finding] = [one for one in judged(signal=signal, control=True) if one.what == signal.what]
    assert finding.why == "it did not come within 15 s, nor as Flux reconciled once; with the faults in it has 120 s"


def told(level: Level, text: str, *, source: Source = Source.ALERT, refused: str = "") -> Entry:
    return Entry(
        time=at(-100),
        source=source,
        text=text,
        level=level,
        part="slack hooks.slack.com",
        object=ObjectRef.parse("Kustomization flux-system/shop"),
        details={Detail.REFUSED: refused} if refused else {},
    )


HARMLESS = (
    told(Level.INFO, "applied"),
    told(Level.ERROR, "an Event of which nobody was told", source=Source.EVENT),
    told(Level.ERROR, "refused: its token is wrong", refused="its token is wrong"),
)


def test_in_a_control_run_nobody_may_be_told_of_an_error_whatever_signals_there_are() -> None:
    entries = [*HARMLESS, told(Level.ERROR, "build failed"), told(Level.ERROR, "once more")]
    signal = logged(within_seconds=30)
    [silent, alert] = [one for one in judged(signal=signal, control=True, entries=entries) if one.part is Part.CONTROL]
    assert (silent.outcome, alert.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert "to slack hooks.slack.com: Kustomization flux-system/shop build failed" in alert.why
    assert "once more" in alert.why
    assert "applied" not in alert.why


def test_a_control_run_in_which_nobody_was_told_of_an_error_passes() -> None:
    found = judged(signal=logged(within_seconds=30), control=True, entries=HARMLESS)
    assert outcomes(found, Part.CONTROL) == {Outcome.PASS}


@pytest.mark.parametrize("known", [{"cut_short": 0.0}, {"unheard": "the watches hear nothing"}], ids=str)
def test_a_control_run_that_did_not_hear_all_does_not_know_whether_somebody_was_told_of_an_error(
    known: dict[str, Any],
) -> None:
    run = partial(judged, signal=logged(within_seconds=30), control=True, **known)
    [quiet] = [one for one in run() if one.what == "nobody is told of an error"]
    assert quiet.outcome is Outcome.INCONCLUSIVE
    assert quiet.why
    [loud] = [one for one in run(entries=[told(Level.ERROR, "failed")]) if one.what == "nobody is told of an error"]
    assert loud.outcome is Outcome.FAIL


def test_in_a_run_with_faults_alerts_are_what_its_signals_say() -> None:
    found = judged(entries=[told(Level.ERROR, "build failed")])
    assert {one.outcome for one in found} == {Outcome.PASS}


def of_signal(findings: Sequence[Finding]) -> Finding:
    [found] = [one for one in findings if one.part is Part.SIGNAL]
    return found


@pytest.mark.parametrize(("seconds", "outcome"), [(29.9, Outcome.INCONCLUSIVE), (30, Outcome.FAIL), (60, Outcome.FAIL)])
def test_a_signal_whose_time_was_over_when_the_run_was_cut_short_has_failed(seconds: float, outcome: Outcome) -> None:
    """What else would have been done comes too late for it."""
    finding = of_signal(judged(signal=logged(within_seconds=30), cut_short=-200 + seconds))
    assert finding.outcome is outcome
    assert ("never came; it has 30 s" in finding.why) == (outcome is Outcome.FAIL)
    assert ("cut short" in finding.why) == (outcome is Outcome.INCONCLUSIVE)


def test_a_signal_that_nobody_could_have_seen_all_the_time_has_not_failed_in_a_run_that_was_cut_short() -> None:
    run = partial(judged, cut_short=0)
    lost = logged(within_seconds=30)
    assert of_signal(run(signal=lost)).outcome is Outcome.FAIL
    for trouble in (
        run(signal=logged(within_seconds=30, unknown="the API is gone")),
        run(signal=lost, sampling_trouble="a bug"),
        run(signal=lost, unheard="the watches hear nothing"),
    ):
        assert of_signal(trouble).outcome is Outcome.INCONCLUSIVE


def test_a_run_that_has_crashed_proves_nothing_of_what_it_has_not_seen() -> None:
    """Nobody knows what of it went as the rehearsal has it."""
    crashed = judged(signal=logged(within_seconds=30), crashed=True)
    assert of_signal(crashed).outcome is Outcome.INCONCLUSIVE
