"""A run tells what it could not be sure of, whatever else it has found."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, count, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.redaction import Redactor
from fluxlab.rehearsals import checks, running
from fluxlab.rehearsals.checks import Answer
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.results import Finding, Outcome, Part, RunResult, verdict
from fluxlab.rehearsals.running import Run
from fluxlab.rehearsals.sampling import Sampler
from fluxlab.rehearsals.signals import SignalSpec
from fluxlab.rehearsals.spec import Check, Rehearsal, Step
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, Level, Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import Journal

REHEARSAL = Rehearsal.model_validate(
    {
        "title": "a pause",
        "hypothesis": [{"what": "it is there", "workloads": "shop"}],
        "steps": [{"fault": {"fault": "controller-pause"}}],
        "expect": [{"what": "it is logged", "log": {"component": "etcd", "pattern": "late"}}],
        "truth": {"cause": "a pause"},
    }
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    folder = LabFolder(tmp_path / "one")
    folder.create()
    folder.spec.write_text(LabSpec().model_dump_json())
    cluster = SimpleNamespace(name="one", root=SimpleNamespace(simulated=True))
    known = {"name": "lab", "folder": folder, "cluster": cluster, "clusters": {"one": cluster}, "timeout_factor": 1.0}
    return cast("Lab", SimpleNamespace(**known, unreal=tuple, moment=Moment, patience=lambda seconds: seconds))


def findings(lab: Lab, monkeypatch: pytest.MonkeyPatch, *, ahead: Sequence[float]) -> Sequence[Finding]:
    """What is found of a run that did nothing, where the clock was ahead so far at its begin and at its end."""

    class Idle(Run):
        def _rehearse(self) -> None:
            self._begun = True

    monkeypatch.setattr(running, "clock_ahead_seconds", iter(ahead).__next__)
    monkeypatch.setattr(running, "tell", lambda _, findings, **__: RunResult.model_construct(findings=findings))
    return Idle(REHEARSAL, lab, file=Path("pause.yaml"), seed=0, control=False).execute().findings


@pytest.mark.parametrize("end", [1000.0 - 30, 1000.0 + 30])
def test_a_clock_that_is_set_during_a_run_is_told_and_leaves_it_inconclusive(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, end: float
) -> None:
    found = findings(lab, monkeypatch, ahead=(1000.0, end))
    [told] = [one for one in found if one.part is Part.CLOCK]
    assert (told.outcome, f"{end - 1000:+.1f} s" in told.why) == (Outcome.INCONCLUSIVE, True)
    assert verdict(found) is Outcome.INCONCLUSIVE


def test_a_clock_that_goes_as_it_should_is_no_finding(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [one for one in findings(lab, monkeypatch, ahead=(1000.0, 1000.4)) if one.part is Part.CLOCK]


def test_without_anybody_who_sets_it_the_clock_is_always_as_far_ahead() -> None:
    assert running.clock_ahead_seconds() == pytest.approx(running.clock_ahead_seconds(), abs=0.5)


PARTS = Rehearsal.model_validate(
    {
        **REHEARSAL.model_dump(mode="json", by_alias=True, exclude_none=True),
        "hypothesis": [{"what": name, "workloads": name, "when": ["after"]} for name in ("first", "second")],
    }
)


def asked_after(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, within_seconds: float, **answers: Iterator[bool]
) -> Sequence[Finding]:
    """What is found of a run that only asks what holds after healing, which was right before, and is answered so."""

    class Asking(Run):
        def _rehearse(self) -> None:
            self._begun = True
            self._steps.healed = datetime.now(UTC)
            self._after()

    def answer(check: Check, _: Lab) -> Answer:
        return Answer(holds=next(answers[str(check.workloads)]), words="told")

    monkeypatch.setattr(checks, "ask", answer)
    monkeypatch.setattr(running, "tell", lambda _, findings, **__: RunResult.model_construct(findings=findings))
    rehearsal = PARTS.model_copy(update={"recovery_seconds": within_seconds})
    found = Asking(rehearsal, lab, file=Path("pause.yaml"), seed=0, control=False).execute().findings
    return [one for one in found if one.part is Part.RECOVERY]


def test_parts_of_the_hypothesis_that_hold_one_after_the_other_never_held_together(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, always = chain([True], repeat(False)), repeat(True)
    found = asked_after(lab, monkeypatch, within_seconds=0.5, first=once, second=always)
    assert [one.outcome for one in found] == [Outcome.FAIL, Outcome.PASS]
    turns = (bool(number % 2) for number in range(10**6))
    assert verdict(asked_after(lab, monkeypatch, within_seconds=0.5, first=turns, second=turns)) is Outcome.FAIL


def test_parts_of_the_hypothesis_that_hold_together_at_last_have_recovered(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = chain([False, True, False], repeat(True)), chain([False, True, False], repeat(True))
    found = asked_after(lab, monkeypatch, within_seconds=30, first=first, second=second)
    assert [one.outcome for one in found] == [Outcome.PASS, Outcome.PASS, Outcome.PASS]


def slowly(number: int, seconds: float) -> Iterator[bool]:
    """It always holds; the question of this number, from 1, takes so long."""
    for asked in count(1):
        if asked == number:
            time.sleep(seconds)
        yield True


@pytest.mark.parametrize(("slow_question", "outcome"), [(2, Outcome.PASS), (1, Outcome.FAIL)])
def test_a_recovery_counts_from_when_all_parts_held_also_where_asking_again_takes_longer_than_there_is_time(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, slow_question: int, outcome: Outcome
) -> None:
    first = slowly(slow_question, 1.5)
    *parts, in_time = asked_after(lab, monkeypatch, within_seconds=1, first=first, second=repeat(True))
    assert [one.outcome for one in parts] == [Outcome.PASS, Outcome.PASS]
    assert in_time.outcome is outcome, in_time.why


READY = {"condition": {"kind": "Kustomization", "place": "flux-system/shop", "status": "False"}}


def lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, step: Mapping[str, object], *, within_seconds: float = 0.2
) -> Sequence[Finding]:
    """What is found of a run in which nothing is ever seen, and this step, after that of the fault, cannot be taken."""

    class Lost(Run):
        def _rehearse(self) -> None:
            self._begun = True
            with self._healing():
                self._take_steps()
            self._look_last()

        def take(self, step: Step) -> str:
            if step.fault:
                self._lookout.mark(step.called, fault=True)
                return ""
            try:
                self._lookout.await_one(SignalSpec.model_validate(READY), 0.4)
            except FluxlabError as error:
                return str(error)
            return "it came"

    rehearsal = Rehearsal.model_validate(
        {
            **REHEARSAL.model_dump(mode="json", by_alias=True, exclude_none=True),
            "steps": [{"fault": {"fault": "controller-pause"}}, step],
            "expect": [{"what": "it says so", **READY, "within_seconds": within_seconds}],
        }
    )
    monkeypatch.setattr(running, "tell", lambda _, findings, **__: RunResult.model_construct(findings=findings))
    monkeypatch.setattr(Sampler, "start", lambda _: None)
    run = Lost(rehearsal, lab, file=Path("pause.yaml"), seed=0, control=False)
    monkeypatch.setattr(run._steps, "take", run.take)
    return run.execute().findings


def test_a_lost_signal_fails_also_where_a_step_waits_for_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    found = lost(lab, monkeypatch, {"wait": READY})
    [signal] = [one for one in found if one.part is Part.SIGNAL]
    assert (signal.outcome, signal.why) == (Outcome.FAIL, "never came; it has 0.2 s")
    assert verdict(found) is Outcome.FAIL
    assert [one.outcome for one in found if one.part is Part.STEP] == [Outcome.INCONCLUSIVE]


def test_a_signal_that_had_time_left_when_a_step_gave_up_is_not_known_to_be_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = lost(lab, monkeypatch, {"wait": READY}, within_seconds=30)
    assert verdict(found) is Outcome.INCONCLUSIVE


def test_a_signal_whose_time_ended_while_a_step_failed_that_does_something_is_not_known_to_be_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had done by then nobody knows."""
    found = lost(lab, monkeypatch, {"commit": {"message": "Take dollars, too", "write": {"a.yaml": None}}})
    assert verdict(found) is Outcome.INCONCLUSIVE


def test_a_control_run_in_which_flux_did_not_reconcile_proves_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Waiting(Run):
        def _rehearse(self) -> None:
            self._begun = True
            self._await_signals()

    def in_vain(_: Lookout) -> None:
        raise FluxlabError("Flux reconciles everything once: not within 60 s")

    monkeypatch.setattr(running, "tell", lambda _, findings, **__: RunResult.model_construct(findings=findings))
    monkeypatch.setattr(Lookout, "await_quiet", in_vain)
    found = Waiting(REHEARSAL, lab, file=Path("pause.yaml"), seed=0, control=True).execute().findings
    [told] = [one for one in found if "not within 60 s" in one.why]
    assert (told.part, told.outcome) == (Part.CONTROL, Outcome.INCONCLUSIVE)


def test_a_run_is_told_whatever_the_supervisor_answers_at_its_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def converge() -> None:
        begun.append("it does")
        raise FluxlabError("it has not arrived")

    def unreal() -> Sequence[str]:
        if begun:
            raise FluxlabError("the supervisor failed")
        return ("pods are simulated",)

    monkeypatch.setattr(lab, "unreal", unreal)
    monkeypatch.setattr(lab, "converge", converge, raising=False)
    monkeypatch.setattr(running, "tell", lambda run, *_, **__: RunResult.model_construct(unreal=run.unreal))
    found = Run(REHEARSAL, lab, file=Path("pause.yaml"), seed=0, control=False).execute()
    assert found.unreal == ("pods are simulated",)


def test_entries_are_masked_by_what_secrets_held_meanwhile_before_anything_is_made_of_them(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alert is quoted with the subject of its commit, which is cut: of half a secret nobody knows that it is one."""
    secret = "canary-of-meanwhile"
    alert = Entry(
        time=datetime.now(UTC) + timedelta(seconds=1),
        source=Source.ALERT,
        level=Level.ERROR,
        text="build failed",
        commit="b9cea72d24" + "0" * 30,
        details={Detail.SUBJECT: f"Have the cart of the shop log in with {secret} from now on"},
    )
    Journal(TimelineFolder(lab.folder).journal(RECORDER), redactor=Redactor()).append([alert])

    class Learning(Run):
        def _rehearse(self) -> None:
            self._begun = True
            self._history.redactor.add(secret)

    monkeypatch.setattr(running, "tell", lambda _, findings, **__: RunResult.model_construct(findings=findings))
    found = Learning(REHEARSAL, lab, file=Path("pause.yaml"), seed=0, control=True).execute().findings
    [told] = [one for one in found if "build failed" in one.why]
    assert "log in with" in told.why
    assert secret[:8] not in told.why
