"""Each worker's share of the labs that are prepared ahead, what is told of a lab that died, and whose a snapshot is."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.errors import UsageError
from fluxlab.lab import Lab
from fluxlab.pool import LabRequest, Pool
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.status import ComponentState, LabStatus
from pytest_fluxlab import session
from pytest_fluxlab.session import LabSession, Use
from pytest_fluxlab.settings import Settings


def share(settings: Settings, *, worker: int, workers: int) -> int:
    config = SimpleNamespace(workerinput={"workerid": f"gw{worker}", "workercount": workers} if workers else None)
    return LabSession(cast("pytest.Config", config), settings, "abc-1")._spares()


def shares(settings: Settings, workers: int) -> list[int]:
    return [share(settings, worker=worker, workers=workers) for worker in range(workers)]


def settings(pytester: pytest.Pytester, *options: str) -> Settings:
    return Settings.of(pytester.parseconfig(*options))


@pytest.mark.parametrize(("given", "workers"), [(0, 3), (1, 4), (2, 2), (3, 2), (7, 3), (16, 16)])
def test_workers_share_what_the_run_is_given(pytester: pytest.Pytester, given: int, workers: int) -> None:
    found = shares(settings(pytester, f"--fluxlab-spares={given}"), workers)
    assert sum(found) == given
    assert max(found) - min(found) <= 1


def test_a_run_without_workers_has_all(pytester: pytest.Pytester) -> None:
    assert share(settings(pytester, "--fluxlab-spares=3"), worker=0, workers=0) == 3


def test_without_a_number_the_machine_decides_for_all_workers_together(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def decide(*, workers: int) -> int:
        asked.append(workers)
        return 4

    monkeypatch.setattr(session, "default_spares", decide)
    assert shares(settings(pytester), 3) == [2, 1, 1]
    assert share(settings(pytester), worker=0, workers=0) == 4
    assert asked == [3, 3, 3, 1]


@pytest.mark.usefixtures("state_dir")
def test_of_a_lab_whose_supervisor_is_gone_the_supervisors_last_words_are_told_without_secrets() -> None:
    folder = LabFolder.named("one")
    folder.create()
    folder.supervisor_log.write_text("".join(f"line {number} of c4nary\n" for number in range(100)))
    folder.repositories.mkdir()
    (folder.repositories / "fleet.token").write_text("c4nary\n")
    gone = LabStatus(name="one", phase="dead", error="its supervisor is gone; see it", folder=str(folder.root))
    lab = cast("Lab", SimpleNamespace(name="one", folder=folder, status=lambda: gone))
    test = cast("pytest.Item", SimpleNamespace(nodeid="test_it.py::test_it"))
    died = LabSession._death(Use(lab=lab, node=test, fixture="lab"))
    assert died
    assert died.what == "lab one died while test_it.py::test_it used it"
    assert died.facts[0] == "it is dead: its supervisor is gone; see it"
    assert died.facts[1:][-1] == "line 99 of [redacted]"
    assert "c4nary" not in str(died)


def test_a_lab_with_a_part_that_is_paused_has_not_died() -> None:
    paused = LabStatus(
        name="one", phase="ready", folder="/one", components=(ComponentState(name="recorder", state="paused"),)
    )
    lab = cast("Lab", SimpleNamespace(name="one", status=lambda: paused))
    test = cast("pytest.Item", SimpleNamespace(nodeid="test_it.py::test_it"))
    assert LabSession._death(Use(lab=lab, node=test, fixture="lab")) is None


@pytest.mark.parametrize(("state", "repaired"), [("running", False), ("paused", False), ("dead", True)])
def test_a_shared_lab_is_repaired_when_something_died_and_not_for_what_is_paused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str, repaired: bool
) -> None:
    """What tests of a module have paused on purpose is theirs."""
    folder = LabFolder(tmp_path)
    folder.spec.touch()
    one = LabStatus(name="one", phase="ready", folder="/one", components=(ComponentState(name="kwok", state=state),))
    lab = cast("Lab", SimpleNamespace(name="one", folder=folder, spec=LabSpec(), status=lambda: one))
    module = cast("pytest.Collector", SimpleNamespace(nodeid="test_it.py"))
    item = cast("pytest.Item", SimpleNamespace(fixturenames=["module_lab"], listchain=lambda: [module]))
    found = LabSession(pytester.parseconfig(), settings(pytester), "abc-1")
    monkeypatch.setattr(found, "_uses", [Use(lab=lab, node=module, fixture="module_lab")])
    started: list[LabSpec] = []
    monkeypatch.setattr(Lab, "up", lambda spec, **_: started.append(spec))
    found.repair_shared(item)
    assert bool(started) == repaired


class Taken:
    """A pool whose labs are made of nothing; one of them cannot be given back."""

    def __init__(self) -> None:
        self.given_back = 0
        self.asked: list[LabRequest] = []

    def take(self, request: LabRequest) -> Lab:
        self.asked.append(request)
        return cast("Lab", SimpleNamespace(save_snapshot=lambda target: target.write_text("a lab")))

    def give_back(self, _: Lab) -> None:
        self.given_back += 1
        if self.given_back == 1:
            raise OSError("no room for a thread")


@pytest.fixture
def snapshots(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> LabSession:
    """A session that makes snapshots of such labs."""
    assert not state_dir.exists()
    made = LabSession(pytester.parseconfig(), settings(pytester), f"abc-{os.getpid()}")
    monkeypatch.setattr(made, "_pool", cast("Pool", Taken()))
    return made


NODE = cast("pytest.Collector", None)


def prepare(_: Lab) -> None:
    """What every test begins with."""


def prepare_otherwise(_: Lab) -> None:
    """What others begin with."""


def fail(_: Lab) -> None:
    raise RuntimeError("it cannot be prepared")


def test_a_snapshot_that_was_made_is_there_for_all_whatever_went_wrong_afterwards(snapshots: LabSession) -> None:
    with pytest.raises(OSError, match="no room"):
        snapshots.snapshot("demo", prepare, LabSpec(), node=NODE)
    target = snapshots.snapshot("demo", prepare, LabSpec(), node=NODE)
    assert target.read_text() == "a lab"
    with pytest.raises(UsageError, match="another snapshot 'demo'"):
        snapshots.snapshot("demo", prepare_otherwise, LabSpec(), node=NODE)


def test_a_snapshot_that_was_not_made_leaves_its_name_to_others(snapshots: LabSession) -> None:
    with pytest.raises(RuntimeError):
        snapshots.snapshot("demo", fail, LabSpec(), node=NODE)
    with pytest.raises(OSError, match="no room"):
        snapshots.snapshot("demo", prepare, LabSpec(), node=NODE)
    assert snapshots.snapshot("demo", prepare, LabSpec(), node=NODE).read_text() == "a lab"


def test_what_a_snapshot_is_made_of_is_local_whatever_backend_the_run_has(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    assert not state_dir.exists()
    made = LabSession(pytester.parseconfig(), settings(pytester, "--fluxlab-backend=kind"), f"abc-{os.getpid()}")
    monkeypatch.setattr(made, "_pool", taken := Taken())
    with pytest.raises(OSError, match="no room"):
        made.snapshot("demo", prepare, LabSpec(), node=NODE)
    assert [cluster.backend for request in taken.asked for cluster in request.spec.clusters] == ["local"]
