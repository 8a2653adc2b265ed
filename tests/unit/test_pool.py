"""Which labs are prepared, kept and handed out; the labs themselves are stand-ins here."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab import pool as module
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.lab import Lab
from fluxlab.pool import LabRequest, Pool, default_spares
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder

GB = 1_000_000_000
PLAIN = LabRequest(spec=LabSpec())
LINKED = LabRequest(spec=LabSpec(links=True))
OTHER = LabRequest(spec=LabSpec(scenarios=["otel-demo"]))


@pytest.mark.parametrize(
    ("cores", "free_gb", "workers", "spares"),
    [
        (2, 25, 1, 1),
        (4, 25, 1, 2),
        (8, 25, 1, 4),
        (64, 250, 1, 4),  # no test waits for more than the next few
        (1, 25, 1, 0),  # a spare would only slow down the test that runs
        (2, 25, 2, 0),
        (8, 25, 6, 2),
        (8, 25, 16, 0),
        (8, 5.2, 1, 2),  # 1.5 stay free, 1.2 for the lab of the test and for each spare
        (8, 3.8, 1, 0),
        (8, 6.3, 3, 1),
        (8, 0.1, 1, 0),
    ],
)
def test_spares_are_what_cores_and_memory_leave(
    monkeypatch: pytest.MonkeyPatch, cores: int, free_gb: float, workers: int, spares: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr(module, "usable_memory", lambda: int(free_gb * GB))
    assert default_spares(workers=workers) == spares


# -- what is prepared ------------------------------------------------------------------------------------------------


@dataclass
class StandIn:
    """Of a lab: whether it is well, in a test's hands, or was ended."""

    name: str
    request: LabRequest
    well: bool = True
    taken: bool = False
    ended: bool = False
    ended_by: str = ""
    """The thread."""

    @property
    def folder(self) -> LabFolder:
        return LabFolder.named(self.name)

    def status(self) -> SimpleNamespace:
        return SimpleNamespace(well=self.well)

    def down(self) -> None:
        self.ended = True
        self.ended_by = threading.current_thread().name


@dataclass
class Started:
    """All labs that a pool has started."""

    labs: list[StandIn] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    made = Started()

    def start(_: Pool, request: LabRequest, name: str) -> StandIn:
        if name in made.failing:
            raise RuntimeError(name)
        made.labs.append(StandIn(name, request))
        return made.labs[-1]

    monkeypatch.setattr(module, "copying", nullcontext)
    monkeypatch.setattr(module, "usable_memory", lambda: 100 * GB)
    monkeypatch.setattr(Pool, "_start", start)
    return made


@pytest.fixture
def pool(started: Started) -> Iterator[Pool]:
    made = Pool(prefix="unit", spares=2)
    yield made
    made.close()
    assert [lab.name for lab in started.labs if not (lab.ended or lab.taken)] == []
    assert made.troubles == []


def take(pool: Pool, request: LabRequest) -> StandIn:
    lab = cast("StandIn", pool.take(request))
    lab.taken = True
    return lab


def test_what_comes_next_is_prepared_and_handed_out(pool: Pool, started: Started) -> None:
    pool.prepare(PLAIN, LINKED)
    assert take(pool, LINKED).name == "unit-2"
    assert take(pool, PLAIN).name == "unit-1"
    assert len(started.labs) == 2
    assert take(pool, PLAIN).name == "unit-3"


def test_no_more_are_prepared_than_allowed(pool: Pool) -> None:
    pool.prepare(PLAIN, PLAIN, PLAIN)
    assert [take(pool, PLAIN).name for _ in range(2)] == ["unit-1", "unit-2"]
    assert pool._spares == []


def test_a_spare_that_still_serves_is_kept_and_one_that_does_not_makes_room(pool: Pool, started: Started) -> None:
    pool.prepare(PLAIN, LINKED)
    pool.prepare(LINKED, OTHER)
    assert take(pool, LINKED).name == "unit-2"
    assert take(pool, OTHER).name == "unit-3"
    pool.close()
    assert [lab.name for lab in started.labs if lab.ended] == ["unit-1"]


def test_a_spare_that_nobody_asks_for_now_stays_while_there_is_room(pool: Pool) -> None:
    pool.prepare(PLAIN)
    pool.prepare(LINKED)
    assert take(pool, PLAIN).name == "unit-1"


def test_nothing_is_prepared_where_memory_is_short(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "usable_memory", lambda: 2 * GB)
    pool.prepare(PLAIN)
    assert pool._spares == []


def test_a_spare_that_died_or_never_started_is_replaced(pool: Pool, started: Started) -> None:
    pool.prepare(PLAIN)
    dead = cast("StandIn", pool._spares[0].started.result())
    dead.well = False
    assert take(pool, PLAIN).name == "unit-2"
    started.failing.add("unit-3")
    pool.prepare(PLAIN)
    assert take(pool, PLAIN).name == "unit-4"
    pool.close()
    assert dead.ended


def test_what_cannot_be_ended_is_told(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: StandIn) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(StandIn, "down", fail)
    pool = Pool(prefix="unit", spares=0)
    pool.give_back(pool.take(PLAIN))
    pool.close()
    assert pool.troubles == ["lab unit-1 was not ended: the disk is gone"]
    assert len(started.labs) == 1


def test_a_lab_in_somebodys_cluster_has_gone_when_it_is_given_back(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path))
    first, second = take(pool, PLAIN), take(pool, PLAIN)
    cluster = first.folder.root / "clusters" / "theirs"
    cluster.mkdir(parents=True)
    Root(footing=Footing.INSTALLED).save(cluster)
    for lab in (first, second):
        pool.give_back(cast("Lab", lab))
    pool.close()
    assert first.ended_by == threading.current_thread().name
    assert second.ended_by not in {"", threading.current_thread().name}
