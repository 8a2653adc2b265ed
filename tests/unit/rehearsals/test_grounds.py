"""What becomes of a result when its lab does not end, where nothing may be broken, and what several runs share."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest
from tests.unit.report.samples import FAILED, PASSED

from fluxlab.errors import FluxlabError
from fluxlab.rehearsals import running
from fluxlab.rehearsals.grounds import Grounds
from fluxlab.rehearsals.results import Outcome, Part, RunResult
from fluxlab.rehearsals.running import rehearse
from fluxlab.rehearsals.spec import Rehearsal
from fluxlab.supervisor.starter import start


class NeverEnding:
    """Grounds whose labs cannot be removed."""

    @contextmanager
    def lab(self, *_: object, **__: object) -> Iterator[object]:
        yield SimpleNamespace()
        raise FluxlabError("the lab could not be removed", hint="fluxlab down")


def rehearsed(monkeypatch: pytest.MonkeyPatch, result: RunResult) -> RunResult:
    monkeypatch.setattr(running, "Run", lambda *_, **__: SimpleNamespace(execute=lambda: result))
    rehearsal = cast("Rehearsal", SimpleNamespace(lab=None))
    return rehearse(rehearsal, file=Path("one.yaml"), seed=1, grounds=cast("Grounds", NeverEnding()))


@pytest.mark.parametrize(("result", "outcome"), [(PASSED, Outcome.INCONCLUSIVE), (FAILED, Outcome.FAIL)])
def test_a_lab_that_does_not_go_does_not_take_its_result_along(
    monkeypatch: pytest.MonkeyPatch, result: RunResult, outcome: Outcome
) -> None:
    told = rehearsed(monkeypatch, result)
    assert told.outcome is outcome
    assert told.findings[: len(result.findings)] == result.findings
    assert told.findings[-1].part is Part.RESIDUE
    assert "could not be removed" in told.findings[-1].why
    assert told.model_copy(update={"findings": result.findings, "outcome": result.outcome}) == result


def test_a_lab_that_does_not_start_has_no_result() -> None:
    class Nowhere:
        def lab(self, *_: object, **__: object) -> None:
            raise FluxlabError("the lab does not start")

    rehearsal = cast("Rehearsal", SimpleNamespace(lab=None))
    with pytest.raises(FluxlabError, match="does not start"):
        rehearse(rehearsal, file=Path("one.yaml"), seed=1, grounds=cast("Grounds", Nowhere()))


def test_supervisors_of_several_runs_are_copies_of_one_that_ends_with_them(tmp_path: Path) -> None:
    with closing(Grounds(tmp_path)):
        copied = start()
        original = psutil.Process(copied.process.pid).parent()
        assert original
        assert original.ppid() == os.getpid()
    copied.close()
    copied.process.wait(10)
    assert not original.is_running()


def test_that_of_a_single_run_is_started_by_itself() -> None:
    with closing(Grounds(None)):
        single = start()
        assert psutil.Process(single.process.pid).ppid() == os.getpid()
    single.close()
    single.process.wait(10)
