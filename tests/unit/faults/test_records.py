"""Records of faults: when nobody can want a fault any more."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from fluxlab import fault_records
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, LabGoneError, pair
from fluxlab.processes import Identity
from fluxlab.state import LabFolder

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SUPERVISOR = Identity(pid=1, since_boot=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> LabFolder:
    """That of a lab without any record."""
    made = LabFolder(tmp_path / "labs" / "one")
    made.create()
    made.spec.touch()
    return made


def record(*, owner: tuple[int, float] | None = None, identity: str = "git-hang-1") -> FaultRecord:
    return FaultRecord(
        id=identity,
        fault="git-hang",
        cluster="one",
        targets=("github.com",),
        seed=0,
        began=NOW,
        until=NOW + timedelta(seconds=30),
        owner=owner,
        supervisor=pair(SUPERVISOR),
    )


def ended() -> tuple[int, float]:
    """A process that was there."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return pair(Identity.of(process.pid))


def test_a_fault_is_wanted_until_its_time_is_over() -> None:
    assert record().overdue(now=NOW + timedelta(seconds=29), supervisor=SUPERVISOR) == ""
    assert record().overdue(now=NOW + timedelta(seconds=30), supervisor=SUPERVISOR) == "its time is over"


def test_a_clock_that_is_set_changes_nobodys_time() -> None:
    brief, long = record().lasting(0.05), record().lasting(3600)
    time.sleep(0.1)
    for set_by in (timedelta(hours=-2), timedelta(0), timedelta(hours=2)):
        now = datetime.now(UTC) + set_by
        assert brief.overdue(now=now, supervisor=SUPERVISOR) == "its time is over"
        assert long.overdue(now=now, supervisor=SUPERVISOR) == ""


def test_a_time_goes_on_by_the_clock_when_the_machine_has_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    began, found = datetime.now(UTC), record().lasting(60)
    monkeypatch.setattr(fault_records, "boot_id", lambda: "another start")
    monkeypatch.setattr(fault_records, "seconds_since_boot", lambda: 1.0)
    assert found.overdue(now=began, supervisor=SUPERVISOR) == ""
    assert found.overdue(now=began + timedelta(seconds=120), supervisor=SUPERVISOR) == "its time is over"


def test_a_fault_ends_with_whoever_wanted_it() -> None:
    mine = pair(Identity.of(os.getpid()))
    assert record(owner=mine).overdue(now=NOW, supervisor=SUPERVISOR) == ""
    assert "has ended" in record(owner=ended()).overdue(now=NOW, supervisor=SUPERVISOR)
    later = (mine[0], mine[1] - 100)  # the same pid, of an earlier process
    assert "has ended" in record(owner=later).overdue(now=NOW, supervisor=SUPERVISOR)


def test_a_fault_ends_with_the_supervisor_under_which_it_was_put_in() -> None:
    other = Identity(pid=1, since_boot=99.0)
    assert "started again" in record().overdue(now=NOW, supervisor=other)
    assert record().overdue(now=NOW, supervisor=None) == "", "without a supervisor nobody knows yet"


def test_records_come_back_as_they_were_written_and_are_private(folder: LabFolder) -> None:
    records = FaultRecords(folder)
    with records.alone():
        second = records.write(record(identity="b"))
        first = records.write(record(identity="a").changed(state=FaultState.HEALING))
    assert records.all() == [first, second]
    assert {file.stat().st_mode & 0o777 for file in (folder.root / "faults").glob("*.json")} == {0o600}
    records.forget(first)
    records.forget(first)
    assert records.all() == [second]


def test_a_record_that_cannot_be_read_is_named_with_what_to_do(folder: LabFolder) -> None:
    records = FaultRecords(folder)
    with records.alone():
        records.write(record(identity="a"))
    file = folder.root / "faults/a.json"
    file.write_text(file.read_text()[:40])
    with pytest.raises(FluxlabError) as caught:
        records.all()
    assert str(file) in str(caught.value)
    assert "rm " in caught.value.hint


def test_a_record_that_is_forgotten_while_others_are_read_is_no_trouble(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = FaultRecords(folder)
    first, second = records.write(record(identity="a")), records.write(record(identity="b"))
    read = Path.read_bytes

    def forgotten(file: Path) -> bytes:
        if file.name == "a.json":
            records.forget(first)
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", forgotten)
    assert records.all() == [second]


def test_a_record_that_cannot_be_read_hides_no_other(folder: LabFolder) -> None:
    records = FaultRecords(folder)
    first, second = records.write(record(identity="a")), records.write(record(identity="b"))
    for name, content in (("c", b"{"), ("d", b"\xff\xfe")):
        (folder.root / f"faults/{name}.json").write_bytes(content)
    assert records.readable() == [first, second]
    assert records.overdue(SUPERVISOR) == [first, second], "their time is over for long"
    assert [name for error in records.unreadable() for name in "abcd" if f"/{name}.json" in error.what] == ["c", "d"]


def test_a_record_is_on_disk_for_good_with_its_name(folder: LabFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    replace, fsync = os.replace, os.fsync

    def renamed(source: Path, target: Path) -> None:
        replace(source, target)
        done.append(f"named {Path(target).name}")

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        place = Path(f"/proc/self/fd/{descriptor}").resolve()
        done.append(f"synced {place.name}" if place.is_dir() else f"synced {place.stat().st_size > 0}")

    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "fsync", synced)
    FaultRecords(folder).write(record(identity="a"))
    assert done == ["synced True", "named a.json", "synced faults"]


def test_who_has_to_wait_too_long_for_another_is_told_for_whom(folder: LabFolder) -> None:
    records = FaultRecords(folder)
    holding, enough = threading.Event(), threading.Event()

    def hold() -> None:
        with FaultRecords(folder).alone():
            records.write(record(identity="a", owner=(4711, 1.0)).changed(state=FaultState.HEALING))
            holding.set()
            enough.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(timeout=60)
        with pytest.raises(UnknownError, match="for more than") as caught, records.alone(timeout_seconds=0.1):
            raise AssertionError("somebody else is at it")
        assert "a is healing, by process 4711" in str(caught.value)
    finally:
        enough.set()
        holder.join()
    with records.alone(timeout_seconds=0.1):
        assert [one.id for one in records.all()] == ["a"]


def test_a_lab_that_has_gone_meanwhile_is_not_there_again(folder: LabFolder) -> None:
    records = FaultRecords(folder)
    with records.alone():
        begun = records.write(record(identity="a"))
        folder.remove()
        for act in (records.write, records.mend):
            with pytest.raises(LabGoneError, match="lab one is not there any more"):
                act(begun)
    with pytest.raises(LabGoneError), records.alone():
        raise AssertionError("there is nothing to be alone with")
    assert not folder.root.exists()


@pytest.mark.parametrize("makes_folders", [True, False], ids=["filelock 3.16", "filelock 4.3"])
@pytest.mark.parametrize("taken", [True, False])
def test_who_waits_for_another_while_the_lab_goes_is_told_and_brings_none_of_it_back(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch, makes_folders: bool, taken: bool
) -> None:
    """It goes as soon as somebody has tried to take the lock, in vain or not."""
    holding, enough = threading.Event(), threading.Event()

    class Lock(FileLock):  # which is another class on other systems
        def _acquire(self) -> None:
            if makes_folders:
                Path(self.lock_file).parent.mkdir(parents=True, exist_ok=True)
            super()._acquire()
            if folder.root.exists():
                folder.remove()

    def hold() -> None:
        with FaultRecords(folder).alone():
            holding.set()
            enough.wait()

    holder = threading.Thread(target=hold)
    if taken:
        holder.start()
        assert holding.wait(timeout=60)
    try:
        monkeypatch.setattr(fault_records, "FileLock", Lock)
        with pytest.raises(LabGoneError, match="lab one is not there any more"), FaultRecords(folder).alone():
            raise AssertionError("there is nothing to be alone with")
        assert not folder.root.exists()
    finally:
        enough.set()
        if taken:
            holder.join()


def test_a_lab_that_goes_just_before_the_lock_is_taken_is_told_too(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lock(FileLock):  # which is another class on other systems
        def _acquire(self) -> None:
            folder.remove()
            super()._acquire()

    monkeypatch.setattr(fault_records, "FileLock", Lock)
    with pytest.raises(LabGoneError), FaultRecords(folder).alone():
        raise AssertionError("there is nothing to be alone with")
