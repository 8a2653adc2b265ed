"""The watchdog of faults: whatever keeps it from healing, the lab goes on."""

import os
import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from tests.unit.broken import broken

from fluxlab.clusters.backends import NotRemovedError
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.fault_records import FaultRecords, FaultState, pair
from fluxlab.processes import Identity
from fluxlab.state import LabFolder
from fluxlab.supervisor import watchdog
from fluxlab.supervisor.launch import discard
from fluxlab.supervisor.watchdog import Watchdog
from fluxlab.waiting import wait_until


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultRecords:
    """Those of a lab with a fault that is overdue; its healer is a program that says what it was called with."""
    monkeypatch.setattr(sys, "executable", "/bin/echo")
    monkeypatch.setattr(watchdog, "PAUSE_SECONDS", 0.0)
    folder = LabFolder(tmp_path / "labs" / "one")
    folder.create()
    folder.spec.touch()
    return broken(folder)


@pytest.fixture
def dog(tmp_path: Path) -> Watchdog:
    return Watchdog(LabFolder(tmp_path / "labs" / "one"))


def await_healer(records: FaultRecords, dog: Watchdog, called: str = "heal --overdue --lab=one") -> None:
    wait_until(lambda: called in records.log.read_text(), what="a healer was started", timeout_seconds=60)
    wait_until(lambda: not dog.identities(), what="it has ended", timeout_seconds=60)


def test_what_is_overdue_is_healed(records: FaultRecords, dog: Watchdog) -> None:
    dog.look()
    await_healer(records, dog)


def test_a_healer_that_cannot_be_started_is_tried_again(records: FaultRecords, dog: Watchdog) -> None:
    records.log.mkdir()  # as good as any other reason
    dog.look()
    assert dog.identities() == {}
    records.log.rmdir()
    dog.look()
    await_healer(records, dog)


def test_records_that_cannot_be_listed_are_looked_at_again(
    records: FaultRecords, dog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(FaultRecords, "overdue", fail)
        dog.look()
    assert dog.identities() == {}
    dog.look()
    await_healer(records, dog)


def test_a_record_that_cannot_be_read_keeps_no_other_from_its_end(
    records: FaultRecords, dog: Watchdog, tmp_path: Path
) -> None:
    (tmp_path / "labs/one/faults/broken.json").write_text("{")
    dog.look()
    await_healer(records, dog)


def test_what_is_stuck_is_left_to_people(records: FaultRecords, dog: Watchdog) -> None:
    (record,) = records.all()
    records.write(record.changed(state=FaultState.STUCK))
    dog.look()
    assert dog.identities() == {}
    assert not records.log.exists()


def test_what_another_fault_may_keep_in_waits_for_its_end(records: FaultRecords, dog: Watchdog) -> None:
    (record,) = records.all()
    records.write(record.changed(state=FaultState.HEALING, trouble="no answer"))
    later, me = record.until + timedelta(minutes=5), pair(Identity.of(os.getpid()))
    other = records.write(record.changed(id="api-kill-1", until=later, supervisor=me))
    dog.look()
    assert dog.identities() == {}
    records.forget(other)
    dog.look()
    await_healer(records, dog)


def cluster_of(tmp_path: Path, footing: Footing) -> Path:
    """The folder of the cluster in which the fault is."""
    folder = tmp_path / "labs/one/clusters/one"
    folder.mkdir(parents=True)
    Root(footing=footing).save(folder)
    return folder


@pytest.mark.parametrize("footing", [Footing.INSTALLED, Footing.GUEST])
def test_before_a_lab_goes_what_is_in_a_cluster_that_stays_is_taken_out(
    records: FaultRecords, dog: Watchdog, tmp_path: Path, footing: Footing
) -> None:
    cluster = cluster_of(tmp_path, footing)
    assert not dog.part()
    await_healer(records, dog, "heal git-hang-1 --lab=one")
    assert dog.part(), "it is tried once: who has ended cannot wait for ever"
    folder = LabFolder(tmp_path / "labs/one")
    with pytest.raises(
        NotRemovedError, match=r"leaves faults in a cluster that is not its own: git-hang-1(.|\n)*--give-up"
    ):
        discard(folder)
    assert records.exist()
    shutil.rmtree(cluster)
    discard(folder)
    assert not folder.root.exists()


@pytest.mark.parametrize("footing", [Footing.LOCAL, Footing.KIND])
def test_what_is_in_a_cluster_that_goes_with_its_lab_is_not_waited_for(
    records: FaultRecords, dog: Watchdog, tmp_path: Path, footing: Footing
) -> None:
    cluster_of(tmp_path, footing)
    assert dog.part()
    assert not records.log.exists()
