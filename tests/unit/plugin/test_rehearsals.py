"""Which files are rehearsals, and which tests they become; none of them is run here."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
from tests.unit.broken import broken
from tests.unit.report.samples import CONTROL, FAILED, PASSED

from fluxlab.fault_records import FaultState
from fluxlab.rehearsals import running
from fluxlab.rehearsals.loading import shipped_rehearsals
from fluxlab.rehearsals.results import Finding, Outcome, Part, RunResult
from fluxlab.report import writing
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder

SOUND = """
    title: Nobody says anything
    hypothesis: [{what: the commit is everywhere, arrived: true}]
    steps: [{fault: {fault: controller-pause, target: source-controller}}]
    expect: [{what: a word, log: {component: helm-controller, pattern: a word}}]
    truth: {cause: source-controller is stopped}
"""


def write(pytester: pytest.Pytester, path: str, text: str = SOUND) -> Path:
    file = pytester.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))
    return file


def collected(pytester: pytest.Pytester, *options: str) -> list[str]:
    result = pytester.runpytest_inprocess("--collect-only", "-q", *options)
    return re.findall(r"^\S+::\S+$", result.stdout.str(), re.MULTILINE)


def test_every_file_in_a_folder_of_rehearsals_is_a_test(pytester: pytest.Pytester) -> None:
    write(pytester, "rehearsals/quiet.yaml")
    write(pytester, "team/rehearsals/other.yaml")
    write(pytester, "manifests/deployment.yaml", "kind: Deployment")
    write(pytester, "rehearsals/notes.txt", "none")
    assert collected(pytester) == ["rehearsals/quiet.yaml::quiet", "team/rehearsals/other.yaml::other"]


def test_with_control_each_has_another_run_before(pytester: pytest.Pytester) -> None:
    write(pytester, "rehearsals/quiet.yaml")
    found = ["rehearsals/quiet.yaml::quiet[control]", "rehearsals/quiet.yaml::quiet"]
    assert collected(pytester, "--fluxlab-control") == found
    pytester.makeini("[pytest]\nfluxlab_control = true")
    assert collected(pytester) == found


def test_one_is_chosen_like_any_other_test(pytester: pytest.Pytester) -> None:
    write(pytester, "rehearsals/quiet.yaml")
    write(pytester, "rehearsals/loud.yaml")
    assert collected(pytester, "-k", "loud") == ["rehearsals/loud.yaml::loud"]
    assert collected(pytester, "rehearsals/quiet.yaml::quiet") == ["rehearsals/quiet.yaml::quiet"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title: [", "no valid YAML"),
        ("kind: Deployment", "unknown field; allowed here: expect, forbid, hypothesis, lab"),
        (SOUND.replace("expect:", "expectt:"), "bad.yaml:5: expectt: unknown field"),
        (
            SOUND.replace("steps: [{fault: {fault: controller-pause", "steps: [{heal: x, fault: {fault: y"),
            "exactly one",
        ),
    ],
)
def test_a_file_that_is_none_is_an_error_that_names_file_and_line(
    pytester: pytest.Pytester, text: str, told: str
) -> None:
    write(pytester, "rehearsals/bad.yaml", text)
    write(pytester, "rehearsals/quiet.yaml")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    said = result.stdout.str()
    assert told in said
    assert "Traceback" not in said
    assert "model_files.py" not in said


@pytest.mark.parametrize("option", ["--fluxlab-seed=-1", "--fluxlab-seed=x"])
def test_a_seed_that_is_none_is_refused_before_anything_is_run(pytester: pytest.Pytester, option: str) -> None:
    write(pytester, "rehearsals/quiet.yaml")
    result = pytester.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is no seed" in result.stderr.str()


def test_those_that_come_with_fluxlab_are_tests(pytester: pytest.Pytester) -> None:
    shipped = shipped_rehearsals()
    found = collected(pytester, str(shipped[0].parent))
    assert [name.rpartition("/")[2] for name in found] == [f"{file.name}::{file.stem}" for file in shipped]


def test_nothing_is_rehearsed_while_a_fault_is_stuck_in_some_lab(pytester: pytest.Pytester, state_dir: Path) -> None:
    other = LabFolder.named("other")
    other.create()
    other.spec.write_text(LabSpec(name="other").model_dump_json())
    broken(other, state=FaultState.STUCK)
    for name in ("quiet", "loud"):
        write(pytester, f"rehearsals/{name}.yaml")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=2)
    said = result.stdout.str()
    for name in ("quiet", "loud"):
        assert f"rehearsals/{name}.yaml::{name}" in said
    # pytest says it once more in its summary where CI is set.
    assert said.count("git-hang (github.com) could not be taken out\nnext: fluxlab heal --all") >= 2
    assert "injecting.py" not in said
    assert [folder.name for folder in (state_dir / "labs").iterdir()] == ["other"]


def fake_runs(monkeypatch: pytest.MonkeyPatch, control: RunResult) -> list[bool]:
    """Runs that end at once, the control run so, and all others well; whether each that is run is a control run."""
    began: list[bool] = []

    def rehearse(*_: object, control: bool = False, **__: object) -> RunResult:
        began.append(control)
        return of_control if control else PASSED

    of_control = control
    monkeypatch.setattr(running, "rehearse", rehearse)
    return began


LOUD = CONTROL.with_finding(Finding(part=Part.CONTROL, what="the chat", outcome=Outcome.FAIL, why="it hears of it"))


def test_a_run_whose_control_run_failed_is_an_error(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    began = fake_runs(monkeypatch, LOUD)
    write(pytester, "rehearsals/quiet.yaml")
    ran = pytester.runpytest_inprocess("--fluxlab-control")
    ran.assert_outcomes(failed=1, errors=1)
    assert began == [True, False]
    assert "invalid: its control run" in ran.stdout.str()


@pytest.mark.parametrize(("control", "ending"), [(CONTROL, "passed"), (LOUD, "errors")], ids=["quiet", "loud"])
def test_a_run_that_is_chosen_alone_has_its_control_run_all_the_same(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, control: RunResult, ending: str
) -> None:
    """So it is with several processes, too: which of them has the control run nobody knows."""
    began = fake_runs(monkeypatch, control)
    write(pytester, "rehearsals/quiet.yaml")
    ran = pytester.runpytest_inprocess("--fluxlab-control", "-k", "not control")
    ran.assert_outcomes(**{ending: 1})
    assert began == [True, False]


def test_a_control_run_that_is_no_test_of_this_process_is_reported_on_all_the_same(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_runs(monkeypatch, CONTROL)
    write(pytester, "rehearsals/quiet.yaml")
    ran = pytester.runpytest_inprocess("--fluxlab-control", "-k", "not control", "--fluxlab-artifacts=evidence", "-rA")
    ran.assert_outcomes(passed=1)
    pages = [*(pytester.path / "evidence").rglob("*.html")]
    assert sorted(page.stem.endswith("-control") for page in pages) == [False, True]
    assert sum(f"report: {page}" in ran.stdout.str() for page in pages) == 2


@pytest.mark.parametrize(("result", "ending"), [(PASSED, "passed"), (FAILED, "failed")], ids=["pass", "fail"])
def test_a_verdict_stands_without_the_report_that_cannot_be_made(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, result: RunResult, ending: str
) -> None:
    def page(_: RunResult) -> str:
        raise ValueError("expected a positive input")

    monkeypatch.setattr(running, "rehearse", lambda *_, **__: result)
    monkeypatch.setattr(writing, "page", page)
    write(pytester, "rehearsals/quiet.yaml")
    ran = pytester.runpytest_inprocess("--fluxlab-artifacts=evidence", "-rA")
    ran.assert_outcomes(**{ending: 1})
    assert "the report was not written: ValueError: expected a positive input" in ran.stdout.str()
