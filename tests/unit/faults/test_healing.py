"""What becomes of faults that cannot be taken out: they are told, and stand in nobody's way."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, pair
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.healing import StuckError
from fluxlab.faults.injecting import Faults
from fluxlab.processes import Identity
from fluxlab.repository import Repository
from fluxlab.state import LabFolder, Phase
from fluxlab.supervisor.control import Control, SupervisorGoneError

NOW = datetime.now(UTC)
DOWN = "fluxlab down one"


class Brittle(Fault[NoParameters]):
    """A fault of which nothing works that is told not to."""

    name = "brittle"
    layer = Layer.GIT
    summary = expect = "something breaks"

    def __init__(self) -> None:
        self.healing: dict[str, Exception] = {}
        """What is raised when the fault at a target is healed."""
        self.by_hand_raises: Exception | None = None
        self.out: list[str] = []

    def candidates(self, ground: Ground) -> Sequence[str]:
        del ground
        return ("a", "b", "c")

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"host:{target}"}))

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground, injection

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del ground, injection
        return "seen"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        if error := self.healing.get(injection.target):
            raise error
        self.out.append(injection.target)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del ground, injection
        return "gone"

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        del ground, injection
        if self.by_hand_raises:
            raise self.by_hand_raises
        return ["mend it"]


@dataclass
class Lab:
    """A lab with nothing but records of faults, and a supervisor that answers."""

    folder: LabFolder
    fault: Brittle
    faults: Faults
    records: FaultRecords
    supervisor: Identity
    answers: bool = True
    begun: int = field(default=0)

    def have(self, target: str, **changes: object) -> FaultRecord:
        """A fault on record that is in, newer than those before."""
        self.begun += 1
        record = FaultRecord(
            id=f"brittle-{target}",
            fault="brittle",
            cluster="c",
            targets=(target,),
            seed=0,
            state=FaultState.INJECTED,
            began=NOW + timedelta(seconds=self.begun),
            until=NOW + timedelta(minutes=5),
            supervisor=pair(self.supervisor),
        )
        return self.records.write(record.changed(**changes))

    def states(self) -> dict[str, FaultState]:
        return {record.targets[0]: record.state for record in self.records.all()}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    folder = LabFolder(tmp_path / "labs" / "one")
    folder.create()
    ground = Ground(
        cluster=cast("Cluster", None),
        folder=folder,
        control=Control(folder),
        open_repository=lambda: cast("Repository", None),
        links=False,
    )
    faults = Faults(folder, ground=lambda _: ground)
    me = Identity.of(os.getpid())
    found = Lab(folder=folder, fault=Brittle(), faults=faults, records=FaultRecords(folder), supervisor=me)
    monkeypatch.setitem(cast("dict[str, object]", CATALOGUE), "brittle", found.fault)
    monkeypatch.setattr(Control, "answering", lambda _: me if found.answers else None)
    monkeypatch.setattr(Control, "status", lambda _: SimpleNamespace(phase=Phase.READY))
    return found


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


@pytest.mark.parametrize("change", [{"fault": "of-another-version"}, {"parameters": {"unknown": 1}}], ids=str)
def test_a_fault_that_this_version_does_not_know_is_stuck(lab: Lab, change: dict[str, object]) -> None:
    lab.have("a", **change)
    with pytest.raises(StuckError, match="could not be taken out"):
        lab.faults.heal()
    assert lab.states() == {"a": FaultState.STUCK}
    assert [one.id for one in lab.faults.give_up()] == ["brittle-a"]
    assert lab.states() == {}


def test_all_others_are_taken_out_whatever_is_raised_for_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("a", "b", "c"):
        lab.have(target)
    write = FaultRecords.write

    def full(records: FaultRecords, record: FaultRecord) -> FaultRecord:
        if record.targets == ("b",):
            raise OSError("the disk is full")
        return write(records, record)

    monkeypatch.setattr(FaultRecords, "write", full)
    with pytest.raises(FluxlabError, match="the disk is full"):
        lab.faults.heal()
    assert lab.fault.out == ["c", "a"], "the newest first"
    assert set(lab.states()) == {"b"}


def test_without_a_supervisor_nothing_is_tried(lab: Lab) -> None:
    lab.have("a")
    lab.have("b")
    lab.answers = False
    with pytest.raises(SupervisorGoneError):
        lab.faults.heal()
    assert lab.fault.out == []
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


def test_a_healing_that_was_cut_off_can_be_given_up(lab: Lab) -> None:
    lab.have("a", state=FaultState.HEALING, owner=(lab.supervisor.pid, 1.0))
    lab.have("b", state=FaultState.PLANNED)
    lab.have("c", state=FaultState.INJECTED)
    lab.have("d", state=FaultState.STUCK)
    assert [one.targets for one in lab.faults.give_up()] == [("a",), ("d",)]
    assert set(lab.states()) == {"b", "c"}


def test_a_record_that_cannot_be_read_keeps_nothing_else_in(lab: Lab) -> None:
    lab.have("a")
    lab.have("b", until=NOW)
    broken = lab.folder.root / "faults" / "broken.json"
    broken.write_text("{")
    for heal, out in ((lab.faults.heal_overdue, ["b"]), (lab.faults.heal, ["b", "a"])):
        with pytest.raises(FluxlabError, match=r"broken\.json cannot be read") as caught:
            heal()
        assert f"rm {broken}" in str(caught.value)
        assert lab.fault.out == out
    with pytest.raises(FluxlabError, match="cannot be read"):
        lab.faults.inject("brittle", cluster="c", target="c")
    broken.unlink()
    lab.faults.recover()


def test_one_fault_by_name_is_taken_out_whatever_else_cannot_be_read(lab: Lab) -> None:
    lab.have("a")
    (lab.folder.root / "faults" / "broken.json").write_text("{")
    lab.faults.heal("brittle-a")
    assert lab.fault.out == ["a"]
    with pytest.raises(UsageError, match=r"broken\.json cannot be read"):
        lab.faults.heal("broken")


def test_giving_up_tells_what_could_not_be_read(lab: Lab) -> None:
    lab.have("a", state=FaultState.STUCK)
    (lab.folder.root / "faults" / "broken.json").write_text("{")
    with pytest.raises(FluxlabError, match="cannot be read"):
        lab.faults.give_up()
    (lab.folder.root / "faults" / "broken.json").unlink()
    assert lab.states() == {}
