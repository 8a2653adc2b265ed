"""A handle on a lab, as far as it needs no lab that runs."""

from pathlib import Path

import pytest
from tests.unit.broken import broken

from fluxlab.clusters.backends import NotRemovedError
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.errors import UsageError, WaitTimeoutError
from fluxlab.fault_records import FaultRecords
from fluxlab.faults.injecting import Faults
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder


@pytest.fixture
def lab(state_dir: Path) -> Lab:
    folder = LabFolder.named("one")
    folder.create()
    folder.spec.write_text(LabSpec(name="one").model_dump_json())
    assert folder.root.is_relative_to(state_dir)
    return Lab(folder)


def test_a_wait_in_vain_tells_what_it_saw_last(lab: Lab) -> None:
    looks: list[int] = []
    with pytest.raises(WaitTimeoutError, match="three apples") as caught:
        lab.wait_until(
            lambda: looks.append(len(looks)),
            what="three apples",
            timeout_seconds=0,
            state=lambda: f"looked {len(looks)} times",
        )
    assert list(caught.value.facts) == ["looked 1 times"]


@pytest.fixture
def guest(lab: Lab) -> Lab:
    """One with a fault in a cluster of somebody's."""
    cluster = lab.folder.root / "clusters" / "one"
    cluster.mkdir(parents=True)
    Root(footing=Footing.GUEST).save(cluster)
    broken(lab.folder)
    return lab


def test_a_lab_does_not_end_while_a_fault_stays_in_somebodys_cluster(guest: Lab) -> None:
    with pytest.raises(NotRemovedError, match="git-hang-1") as caught:
        guest.down()
    assert "its supervisor does not answer" in str(caught.value)
    assert FaultRecords(guest.folder).exist()


def test_a_fault_that_the_watchdog_has_taken_out_meanwhile_keeps_no_lab_from_its_end(
    guest: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heal(*_: object, **__: object) -> None:
        for record in (records := FaultRecords(guest.folder)).all():
            records.forget(record)
        raise UsageError("there is no fault 'git-hang-1'")

    ended: list[LabFolder] = []
    monkeypatch.setattr(Faults, "heal", heal)
    monkeypatch.setattr("fluxlab.lab.end", lambda folder, **_: ended.append(folder))
    guest.down()
    assert ended == [guest.folder]
