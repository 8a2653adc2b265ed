"""A lab with nothing but records of faults, and a fault of which nothing works that is told not to."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.root import Root
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, pair
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.injecting import Faults
from fluxlab.processes import Identity
from fluxlab.repository import Repository
from fluxlab.state import LabFolder, Phase
from fluxlab.supervisor.control import Control

NOW = datetime.now(UTC)
HASTE = 0.01
"""Nothing in such a lab takes time."""


class Brittle(Fault[NoParameters]):
    """A fault of which nothing works that is told not to."""

    name = "brittle"
    layer = Layer.GIT
    summary = expect = "something breaks"

    def __init__(self) -> None:
        self.healing: dict[str, Exception] = {}
        """What is raised when the fault at a target is healed."""
        self.healing_of: dict[str, Callable[[], Exception | None]] = {}
        """The same, where it depends."""
        self.by_hand_raises: Exception | None = None
        self.done: list[str] = []
        self.there: set[str] = set()
        """The targets at which it is in."""
        self.at: dict[str, Callable[[], object]] = {}
        """What happens when it comes to a step."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        del ground
        return ("a", "b", "c")

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del ground, parameters, random
        return Plan(touches=frozenset({f"host:{target}"}))

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        self.done.append(f"inject {injection.target}")
        self.there.add(injection.target)
        self.come_to("inject")

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del ground
        self.come_to("prove" if f"inject {injection.target}" in self.done else "look")
        return "it is there" if injection.target in self.there else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        depends = self.healing_of.get(injection.target, lambda: None)
        if error := self.healing.get(injection.target) or depends():
            raise error
        self.come_to("heal")
        self.done.append(f"heal {injection.target}")
        self.there.discard(injection.target)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        del ground
        return "" if injection.target in self.there else "it is gone"

    def come_to(self, step: str) -> None:
        """What a test has planned for a step happens once."""
        if happens := self.at.pop(step, None):
            happens()

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
    lacks: frozenset[Capability] = frozenset()
    """What its cluster cannot do."""
    begun: int = field(default=0)

    def have(self, target: str, **changes: object) -> FaultRecord:
        """A fault on record that is in, newer than those before."""
        self.begun += 1
        self.fault.there.add(target)
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

    @property
    def out(self) -> list[str]:
        """What was taken out, in order."""
        return [one.removeprefix("heal ") for one in self.fault.done if one.startswith("heal")]

    def states(self) -> dict[str, FaultState]:
        return {record.targets[0]: record.state for record in self.records.all()}


def lab_at(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Such a lab in a folder, new or as somebody else has left it, as this process sees it."""
    lab = LabFolder(folder)
    lab.create()
    lab.spec.touch()
    cluster = SimpleNamespace(name="c", root=Root(), lacks=lambda one: "no" if one in found.lacks else "")
    ground = Ground(
        cluster=cast("Cluster", cluster),
        folder=lab,
        control=Control(lab),
        open_repository=lambda: cast("Repository", None),
        links=False,
    )
    faults = Faults(lab, ground=lambda _: ground, patience=lambda seconds: HASTE * seconds)
    me = Identity.of(os.getpid())
    found: Lab = Lab(folder=lab, fault=Brittle(), faults=faults, records=FaultRecords(lab), supervisor=me)
    monkeypatch.setitem(cast("dict[str, object]", CATALOGUE), "brittle", found.fault)
    monkeypatch.setattr(Control, "answering", lambda _: me if found.answers else None)
    monkeypatch.setattr(Control, "status", lambda _: SimpleNamespace(phase=Phase.READY))
    return found


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return lab_at(tmp_path / "labs" / "one", monkeypatch)
