"""The recorder's process: it is started again until it runs, unless the lab ends."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fluxlab.state import LabFolder
from fluxlab.supervisor.recording import Recording

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What runs in place of the recorder, once it is there."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "program"))
    monkeypatch.setattr("fluxlab.supervisor.recording.PAUSE_SECONDS", 0.01)
    return tmp_path / "program"


@pytest.fixture
def recording(tmp_path: Path, program: Path) -> Iterator[Recording]:
    make(program)
    made = Recording(LabFolder(tmp_path), changed=lambda _: None)
    made.start()
    yield made
    made.stop()


def make(program: Path) -> None:
    """What loads, waits for the end of its input, and begins."""
    folder = program.parent
    program.write_text(f"#!/bin/sh\ntouch {folder}/loaded\ncat\ntouch {folder}/begun\nexec sleep 300\n")
    program.chmod(0o700)


def revived(recording: Recording) -> bool:
    recording.revive()
    return bool(recording.process and recording.process.running)


def test_a_recorder_that_could_not_be_started_anew_is_told_and_started_as_soon_as_it_can_be(
    recording: Recording, program: Path, eventually: Eventually
) -> None:
    program.unlink()
    with pytest.raises(FileNotFoundError):
        recording.restart()
    assert not revived(recording)
    assert recording.trouble
    make(program)
    eventually(lambda: revived(recording))
    eventually(lambda: not recording.trouble)


def test_a_recorder_that_was_ended_stays_so(recording: Recording, eventually: Eventually) -> None:
    ended = recording.process
    recording.stop()
    eventually(lambda: ended and not ended.running)
    assert [revived(recording) for _ in range(20)] == [False] * 20


@pytest.fixture
def prepared(tmp_path: Path, program: Path, eventually: Eventually) -> Iterator[Recording]:
    make(program)
    made = Recording(LabFolder(tmp_path), changed=lambda _: None)
    made.prepare()
    eventually((tmp_path / "loaded").exists)
    yield made
    made.stop()


def test_a_prepared_recorder_begins_when_it_is_started_and_not_sooner(
    tmp_path: Path, prepared: Recording, eventually: Eventually
) -> None:
    process = prepared.process
    assert not (tmp_path / "begun").exists()
    prepared.start()
    eventually((tmp_path / "begun").exists)
    assert prepared.process is process


def test_a_prepared_recorder_that_is_not_needed_never_begins(tmp_path: Path, prepared: Recording) -> None:
    prepared.stop()
    assert prepared.process
    assert not prepared.process.running
    assert not (tmp_path / "begun").exists()


def test_a_prepared_recorder_that_died_is_replaced(prepared: Recording, eventually: Eventually) -> None:
    died = prepared.process
    assert died
    died.signal(signal.SIGKILL)
    eventually(lambda: not died.running)
    prepared.start()
    assert prepared.process is not died
    assert prepared.process
    assert prepared.process.running


def test_a_recorder_that_is_paused_is_started_again_by_a_repair(recording: Recording, eventually: Eventually) -> None:
    process = recording.process
    assert process
    assert recording.repair() == []
    process.signal(signal.SIGSTOP)
    eventually(lambda: process.paused)
    assert recording.repair() == ["recorder"]
    assert recording.process is not process
    assert recording.process
    assert recording.process.running
