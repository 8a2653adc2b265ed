"""`fluxlab faults` and `fluxlab heal` without a lab that runs."""

import pytest
from tests.unit.broken import broken
from tests.unit.cli.test_app import Run, dead_lab, run

from fluxlab.fault_records import FaultState

__all__ = ["run"]
pytestmark = pytest.mark.usefixtures("state_dir")


def test_the_list_of_faults_says_how_to_see_what_to_expect_and_what_can_be_chosen(run: Run) -> None:
    ended = run("faults")
    assert ended.code == 0
    last = ended.err.splitlines()[-1]
    assert "fluxlab faults NAME" in last
    assert "what to expect" in last
    assert "parameters" in last
    one = run("faults", "human-scale").out
    assert "expect: " in one
    assert "--set replicas=" in one
    assert "backends: local, kind, existing, existing (own Flux)" in one


def test_without_a_lab_healing_says_so(run: Run) -> None:
    for words in (("--all",), ("--all", "--lab=one")):
        ended = run("heal", *words)
        assert ended.code == 64
        assert "no lab" in ended.err
        assert "fluxlab up" in ended.err


def test_what_is_no_fault_of_a_lab_whose_supervisor_is_gone_brings_nothing_back(run: Run) -> None:
    folder = dead_lab("one")
    assert run("heal", "--all").err == "nothing to take out\n"
    before = folder.read_record()
    broken(folder, state=FaultState.STUCK)
    ended = run("heal", "git-hang-2")
    assert ended.code == 64
    assert "there is no fault 'git-hang-2'" in ended.err
    assert folder.read_record() == before, "no supervisor was started"
