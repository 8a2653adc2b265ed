"""`fluxlab rehearse` without a lab: what is printed, and what is refused before one is started."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.cli.test_app import Run, run
from tests.unit.report.samples import CONTROL, FAILED, PASSED

from fluxlab.cli import rehearse_commands
from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.faults.healing import StuckError
from fluxlab.rehearsals import grounds, running
from fluxlab.rehearsals.loading import shipped_rehearsals
from fluxlab.rehearsals.results import Finding, Outcome, Part, RunResult
from fluxlab.report import writing
from fluxlab.report.page import page

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("state_dir")


@pytest.mark.parametrize(("schema", "field"), [("rehearsal", "hypothesis"), ("result", "findings")])
def test_schemas_are_printed_for_editors_and_programs(run: Run, schema: str, field: str) -> None:
    ended = run("rehearse", "--schema", schema)
    assert ended.code == 0
    assert field in json.loads(ended.out)["required"]


def test_without_a_file_those_that_there_are_are_listed(run: Run) -> None:
    listed = run("rehearse", "-o", "json")
    assert sorted(json.loads(listed.out)) == sorted(file.stem for file in shipped_rehearsals())
    assert "hypothesis" in json.loads(listed.out)["controller-paused"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "junit"], "-o junit is for results"),
        (["no-such"], "there is neither a file nor a rehearsal 'no-such'"),
        (["controller-paused", "--reports", "taken"], "--reports taken: there can be no such folder"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file")
    ended = run("rehearse", *words)
    assert ended.code == 64
    assert told in ended.err
    assert not (tmp_path / "state" / "labs").exists()


@pytest.mark.parametrize(("ended", "code"), [((PASSED,), 2), ((PASSED, FAILED), 1), ((), 2)])
def test_what_has_ended_is_printed_when_a_lab_does_not_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, ended: tuple[RunResult, ...], code: int
) -> None:
    def runs(*_: object, **__: object) -> Iterator[RunResult]:
        yield from ended
        raise FluxlabError("the lab does not start", hint="fluxlab doctor")

    monkeypatch.setattr(rehearse_commands, "_runs", runs)
    told = run("rehearse", "controller-paused", "git-hang", "-o", "json")
    assert [one["title"] for one in json.loads(told.out)] == [one.title for one in ended]
    assert "the lab does not start" in told.err
    assert "fluxlab doctor" in told.err
    assert told.code == code
    cases = run("rehearse", "controller-paused", "git-hang", "-o", "junit").out
    assert cases.count("<testcase ") == len(ended)


@pytest.mark.parametrize("error", [ValueError("expected a positive input"), OSError(28, "No space left on device")])
def test_a_report_that_cannot_be_made_is_told_and_takes_no_run_with_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The first of three runs has no page; the other two are run, printed and reported all the same."""

    def some(result: RunResult) -> str:
        if result.seed == 1:
            raise error
        return page(result)

    def runs(*_: object, **__: object) -> Iterator[RunResult]:
        return (PASSED.model_copy(update={"seed": seed, "replay": f"again with {seed}"}) for seed in (1, 2, 3))

    monkeypatch.setattr(writing, "page", some)
    monkeypatch.setattr(rehearse_commands, "_runs", runs)
    reports = tmp_path / "reports"
    told = run("rehearse", "controller-paused", "--reports", str(reports), "-o", "json")
    assert [one["seed"] for one in json.loads(told.out)] == [1, 2, 3]
    assert told.err.count("a report could not be written") == 1
    assert str(error) in told.err
    assert "again with 1" in told.err
    assert told.code == 2, "somebody has asked for a report that is not there"
    assert sorted(file.name for file in reports.glob("git-hang-*.html")) == ["git-hang-2.html", "git-hang-3.html"]
    shown = run("rehearse", "controller-paused", "--reports", str(reports)).out
    assert shown.count(f"pass         {PASSED.title}") == 3


def test_a_verdict_is_told_with_what_was_not_real(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PASSED.model_copy(update={"unreal": ()})
    for result, told in ((PASSED, f"  not real: {PASSED.unreal[0]}\n"), (real, "")):
        monkeypatch.setattr(rehearse_commands, "_runs", lambda *_, one=result, **__: iter([one]))
        said = run("rehearse", "controller-paused").out
        assert said.startswith(f"pass         {PASSED.title}\n{told}")
        assert ("not real" in said) == bool(told)


def fake_runs(monkeypatch: pytest.MonkeyPatch, control: RunResult) -> list[tuple[str, int, bool]]:
    """Runs that end at once, the control run so, and all others well; what is run of which file, with which seed."""
    began: list[tuple[str, int, bool]] = []

    def rehearse(_: object, *, file: Path, seed: int, control: bool = False, **__: object) -> RunResult:
        began.append((file.stem, seed, control))
        return (of_control if control else PASSED).model_copy(update={"seed": seed})

    of_control = control
    monkeypatch.setattr(running, "rehearse", rehearse)
    return began


LOUD = CONTROL.with_finding(Finding(part=Part.CONTROL, what="the chat", outcome=Outcome.FAIL, why="it hears of it"))


def test_the_control_run_comes_first_and_then_those_with_the_faults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    began = fake_runs(monkeypatch, CONTROL)
    ended = run("rehearse", "controller-paused", "git-hang", "--control", "--seed=4", "--repeat=2", "-o", "json")
    assert began == [
        (name, *of) for name in ("controller-paused", "git-hang") for of in ((4, True), (4, False), (5, False))
    ]
    told = [(one["control"], one["outcome"]) for one in json.loads(ended.out)]
    assert told == 2 * [(True, "pass"), (False, "pass"), (False, "pass")]
    assert ended.code == 0
    began.clear()
    run("rehearse", "controller-paused")
    assert began == [("controller-paused", 0, False)]


def test_no_run_passes_whose_control_run_was_not_silent(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_runs(monkeypatch, LOUD)
    ended = run("rehearse", "controller-paused", "--control")
    assert ended.out.startswith("fail ")
    assert f"\ninconclusive {PASSED.title}\n  control: " in ended.out
    assert "invalid: its control run" in ended.out
    assert ended.code == 1


@pytest.mark.parametrize("error", [StuckError, FluxlabError, UnknownError])
def test_nothing_is_rehearsed_while_a_fault_is_or_may_be_in_some_lab(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: type[FluxlabError]
) -> None:
    def stuck() -> None:
        raise error("a pause could not be taken out", hint="fluxlab heal --all")

    monkeypatch.setattr(grounds, "check_faults", stuck)
    monkeypatch.setattr(rehearse_commands, "_runs", lambda *_, **__: pytest.fail("a run has begun"))
    told = run("rehearse", "controller-paused")
    assert "fluxlab heal --all" in told.err
    assert told.code == UsageError.exit_code


def test_nothing_is_rehearsed_where_there_is_no_place_for_its_secrets(
    run: Run, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir.mkdir()
    (state_dir / "pytest").write_text("a file")
    monkeypatch.setattr(rehearse_commands, "_runs", lambda *_, **__: pytest.fail("a run has begun"))
    told = run("rehearse", "controller-paused")
    assert f"{state_dir / 'pytest'}" in told.err
    assert told.code == UsageError.exit_code
