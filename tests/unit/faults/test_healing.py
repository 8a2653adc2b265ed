"""What becomes of faults that cannot be taken out: they are told, and stand in nobody's way."""

import json
import resource
import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.unit.faults.conftest import HASTE, NOW, Lab

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState
from fluxlab.faults.healing import ATTEMPTS, PAUSE_SECONDS, StuckError
from fluxlab.supervisor.control import Control, SupervisorGoneError

DOWN = "fluxlab down one"


def test_what_somebody_who_was_killed_had_prepared_goes_with_the_fault(lab: Lab) -> None:
    lab.have("a")
    (record,) = lab.records.all()
    mine, other = lab.folder.scratch / f"{record.id}.tmp1", lab.folder.scratch / "brittle-2.tmp1"
    for folder in (mine, other):
        folder.mkdir()
        (folder / "index").touch()
    lab.fault.healing["a"] = FluxlabError("no way")
    with pytest.raises(StuckError):
        lab.faults.heal()
    assert mine.exists(), "somebody may have to look into it"
    lab.fault.healing.clear()
    lab.faults.heal()
    assert [*lab.folder.scratch.iterdir()] == [other]


def test_a_fault_is_stuck_also_when_nobody_can_tell_how_to_take_it_out_by_hand(lab: Lab) -> None:
    lab.have("a")
    lab.fault.healing["a"] = FluxlabError("no way")
    lab.fault.by_hand_raises = RuntimeError("no such commit")
    with pytest.raises(StuckError, match="no way") as caught:
        lab.faults.heal()
    (record,) = lab.records.all()
    assert record.state is FaultState.STUCK
    assert [line.partition(" ")[0] for line in record.by_hand] == ["fluxlab"]
    assert DOWN in str(caught.value)
    assert "no such commit" in str(caught.value), "what failed is told"


def test_a_person_is_told_what_to_type(lab: Lab) -> None:
    lab.have("a")
    lab.fault.healing["a"] = FluxlabError("no way")
    with pytest.raises(StuckError, match="by hand: mend it"):
        lab.faults.heal()
    assert lab.records.all()[0].by_hand == ("mend it",)


@pytest.mark.parametrize("raised", [None, RuntimeError("no such commit")])
def test_a_person_is_told_where_to_read_how_it_was_before(lab: Lab, raised: Exception | None) -> None:
    lab.have("a", undo={"value": "hunter2hunter2"})
    lab.fault.healing["a"] = FluxlabError("no way")
    lab.fault.by_hand_raises = raised
    with pytest.raises(StuckError) as caught:
        lab.faults.heal()
    assert "hunter2" not in str(caught.value)
    (command,) = [line for line in lab.records.all()[0].by_hand if line.startswith("less ")]
    assert f"by hand: {command}" in str(caught.value)
    file = Path(shlex.split(command, comments=True)[1])
    assert json.loads(file.read_text())["undo"] == {"value": "hunter2hunter2"}


@pytest.mark.parametrize("change", [{"fault": "of-another-version"}, {"parameters": {"unknown": 1}}], ids=str)
def test_a_fault_that_this_version_does_not_know_is_stuck(lab: Lab, change: dict[str, object]) -> None:
    lab.have("a", **change)
    with pytest.raises(StuckError, match="could not be taken out"):
        lab.faults.heal()
    assert lab.states() == {"a": FaultState.STUCK}
    assert [one.id for one in lab.faults.give_up()] == ["brittle-a"]
    assert lab.states() == {}


def test_what_failed_is_kept_also_when_the_supervisor_fails_as_well(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise FluxlabError("the supervisor failed")

    lab.have("a")
    lab.fault.healing["a"] = FluxlabError("no way")
    monkeypatch.setattr(Control, "status", fail)
    with pytest.raises(FluxlabError, match="the supervisor failed"):
        lab.faults.heal()
    assert lab.records.all()[0].trouble == "no way"
    assert [one.id for one in lab.faults.give_up()] == ["brittle-a"]


def test_all_others_are_taken_out_whatever_is_raised_for_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("a", "b", "c"):
        lab.have(target)
    write = FaultRecords.write

    def broken(records: FaultRecords, record: FaultRecord) -> FaultRecord:
        if record.targets == ("b",):
            raise RuntimeError("it broke")
        return write(records, record)

    monkeypatch.setattr(FaultRecords, "write", broken)
    with pytest.raises(FluxlabError, match="it broke"):
        lab.faults.heal()
    assert lab.out == ["c", "a"], "the newest first"
    assert set(lab.states()) == {"b"}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file takes a byte more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_no_fault_in(lab: Lab) -> None:
    lab.have("a")
    with full_disk():
        with pytest.raises(OSError, match="large"):
            (lab.folder.root / "more").write_text("text")
        lab.faults.heal()
    assert lab.out == ["a"]
    assert lab.states() == {}
    assert lab.records.mended is None, "nothing could be written"


def test_a_fault_whose_block_ends_when_the_disk_is_full_is_out(lab: Lab) -> None:
    with ExitStack() as later, lab.faults.during("brittle", cluster="c", target="a"):
        later.enter_context(full_disk())
    assert lab.out == ["a"]
    assert lab.states() == {}


def test_why_a_fault_could_not_be_taken_out_is_told_although_the_disk_is_full(lab: Lab) -> None:
    lab.have("a", until=NOW)
    lab.fault.healing["a"] = FluxlabError("no way")
    with full_disk(), pytest.raises(StuckError, match="no way"):
        lab.faults.heal()
    assert [one.targets for one in lab.records.due(lab.supervisor)] == [("a",)], "it is tried again"


def test_without_a_supervisor_nothing_is_tried(lab: Lab) -> None:
    lab.have("a")
    lab.have("b")
    lab.answers = False
    with pytest.raises(SupervisorGoneError):
        lab.faults.heal()
    assert lab.out == []
    assert set(lab.states()) == {"a", "b"}


def test_all_that_could_not_be_taken_out_are_told(lab: Lab) -> None:
    for target in ("a", "b", "c"):
        lab.have(target)
    lab.fault.healing = {"a": FluxlabError("no way"), "c": FluxlabError("no key")}
    with pytest.raises(StuckError) as caught:
        lab.faults.heal()
    for text in ("brittle (a)", "no way", "brittle (c)", "no key"):
        assert text in str(caught.value)
    assert lab.states() == {"a": FaultState.STUCK, "c": FaultState.STUCK}
    with pytest.raises(StuckError) as caught:
        lab.faults.check()
    assert "brittle (a)" in str(caught.value)
    assert "brittle (c)" in str(caught.value)


def unless_alone(lab: Lab, target: str, *, among: set[str]) -> None:
    """The fault at a target can be taken out only once all others are out."""
    lab.fault.healing_of[target] = lambda: FluxlabError("no answer") if lab.fault.there & among else None


def test_what_another_fault_may_keep_in_is_tried_again_once_that_is_out(lab: Lab) -> None:
    lab.have("a", until=NOW)
    lab.have("b")
    unless_alone(lab, "a", among={"b"})
    with pytest.raises(UnknownError, match="while brittle-b is in") as caught:
        lab.faults.heal_overdue()
    assert "no answer" in str(caught.value)
    assert "fluxlab heal --all" in str(caught.value)
    assert lab.states() == {"a": FaultState.WAITING, "b": FaultState.INJECTED}
    assert [one.targets for one in lab.records.due(lab.supervisor)] == [], "as long as that is in"
    with pytest.raises(UnknownError, match="while brittle-b is in"):
        lab.faults.inject("brittle", cluster="c", target="c")
    lab.faults.heal("brittle-b")
    assert [one.targets for one in lab.records.due(lab.supervisor)] == [("a",)], "although this process goes on"
    lab.faults.heal_overdue()
    assert lab.states() == {}


@pytest.mark.parametrize("first", ["a", "b"])
def test_of_all_faults_those_that_others_keep_in_come_last(lab: Lab, first: str) -> None:
    lab.have("a")
    lab.have("b")
    last = {"a": "b", "b": "a"}[first]
    unless_alone(lab, last, among={first})
    lab.faults.heal()
    assert lab.out == [first, last]


def test_faults_that_keep_each_other_in_are_stuck(lab: Lab) -> None:
    lab.have("a", until=NOW)
    lab.have("b", until=NOW)
    for target in ("a", "b"):
        unless_alone(lab, target, among={"a", "b"})
    with pytest.raises(StuckError, match="no answer"):
        lab.faults.heal_overdue()
    assert lab.states() == {"a": FaultState.STUCK, "b": FaultState.STUCK}
    assert lab.records.due(lab.supervisor) == []


def test_a_fault_that_is_stuck_keeps_no_other_from_being_so(lab: Lab) -> None:
    lab.have("a", state=FaultState.STUCK, trouble="no way")
    lab.have("b")
    lab.fault.healing["b"] = FluxlabError("no key")
    with pytest.raises(StuckError, match="no key"):
        lab.faults.heal("brittle-b")


def test_a_fault_whose_time_is_over_meanwhile_goes_first(lab: Lab) -> None:
    lab.have("a", until=NOW)
    lab.have("b")
    attempts = []

    def fails() -> FluxlabError:
        attempts.append(lab.have("b", until=NOW))
        return FluxlabError("no answer")

    lab.fault.healing_of["a"] = fails
    with pytest.raises(UnknownError, match="while brittle-b is in"):
        lab.faults.heal_overdue()
    assert len(attempts) == 1, "what it waits for is over"
    assert [one.id for one in lab.records.due(lab.supervisor)] == ["brittle-b"]


def test_there_is_a_pause_between_two_attempts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    lab.have("a")
    lab.fault.healing["a"] = FluxlabError("no way")
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(StuckError):
        lab.faults.heal()
    assert pauses == [PAUSE_SECONDS * HASTE] * (ATTEMPTS - 1)


def test_a_healing_that_was_cut_off_can_be_given_up(lab: Lab) -> None:
    lab.have("a", state=FaultState.HEALING, owner=(lab.supervisor.pid, 1.0))
    lab.have("b", state=FaultState.PLANNED)
    lab.have("c", state=FaultState.INJECTED)
    lab.have("d", state=FaultState.STUCK)
    lab.have("e", state=FaultState.WAITING, trouble="no answer")
    lab.have("f", state=FaultState.WAITING)
    assert [one.targets for one in lab.faults.give_up()] == [("a",), ("d",), ("e",)]
    assert set(lab.states()) == {"b", "c", "f"}, "what nobody has tried to take out stays on record"


def test_a_record_that_cannot_be_read_keeps_nothing_else_in(lab: Lab) -> None:
    lab.have("a")
    lab.have("b", until=NOW)
    broken = lab.folder.root / "faults" / "broken.json"
    broken.write_text("{")
    for heal, out in ((lab.faults.heal_overdue, ["b"]), (lab.faults.heal, ["b", "a"])):
        with pytest.raises(FluxlabError, match=r"broken\.json cannot be read") as caught:
            heal()
        assert f"rm {broken}" in str(caught.value)
        assert lab.out == out
    with pytest.raises(FluxlabError, match="cannot be read"):
        lab.faults.inject("brittle", cluster="c", target="c")
    broken.unlink()
    lab.faults.recover()


def test_one_fault_by_name_is_taken_out_whatever_else_cannot_be_read(lab: Lab) -> None:
    lab.have("a")
    (lab.folder.root / "faults" / "broken.json").write_text("{")
    lab.faults.heal("brittle-a")
    assert lab.out == ["a"]
    with pytest.raises(UsageError, match=r"broken\.json cannot be read"):
        lab.faults.heal("broken")


def test_giving_up_tells_what_could_not_be_read(lab: Lab) -> None:
    lab.have("a", state=FaultState.STUCK)
    (lab.folder.root / "faults" / "broken.json").write_text("{")
    with pytest.raises(FluxlabError, match="cannot be read"):
        lab.faults.give_up()
    (lab.folder.root / "faults" / "broken.json").unlink()
    assert lab.states() == {}
