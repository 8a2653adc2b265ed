"""The recorder's process: it is started again until it runs, unless the lab ends."""

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
    program.write_text("#!/bin/sh\nexec sleep 300\n")
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
