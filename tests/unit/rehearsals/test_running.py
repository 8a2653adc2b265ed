"""A run tells what it could not be sure of, whatever else it has found."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.lab import Lab
from fluxlab.rehearsals import running
from fluxlab.rehearsals.results import Finding, Outcome, Part, RunResult, verdict
from fluxlab.rehearsals.running import Run
from fluxlab.rehearsals.spec import Rehearsal
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder

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
    known = {"folder": folder, "cluster": SimpleNamespace(name="one"), "timeout_factor": 1.0}
    return cast("Lab", SimpleNamespace(**known, patience=lambda seconds: seconds))


def findings(lab: Lab, monkeypatch: pytest.MonkeyPatch, *, ahead: Sequence[float]) -> Sequence[Finding]:
    """What is found of a run that did nothing, where the clock was ahead so far at its begin and at its end."""

    class Idle(Run):
        def _rehearse(self) -> None:
            self._begun = True

    monkeypatch.setattr(running, "clock_ahead_seconds", iter(ahead).__next__)
    monkeypatch.setattr(running, "tell", lambda run: RunResult.model_construct(findings=tuple(run.findings)))
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
