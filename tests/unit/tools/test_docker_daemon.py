import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tools.docker_daemon import Daemon, DaemonError, main


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like somebody else's daemon."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_nothing_runs_for_a_folder_that_nobody_used(tmp_path: Path) -> None:
    assert Daemon(folder=tmp_path).status() == f"no daemon runs for {tmp_path}"


def test_stopping_what_does_not_run_changes_nothing(tmp_path: Path) -> None:
    Daemon(folder=tmp_path).stop()
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_of_somebody_else_is_named_and_left_alone(
    tmp_path: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = psutil.Process(other.pid)
    found.info = {"name": "dockerd"}
    monkeypatch.setattr(psutil, "process_iter", lambda *_: [found])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(DaemonError, match=f"another Docker daemon runs \\(process {other.pid}\\)") as caught:
        Daemon(folder=tmp_path / "daemon").start()
    assert "DOCKER_HOST" in caught.value.hint
    assert other.poll() is None
    assert not (tmp_path / "daemon").exists()


def test_what_is_not_installed_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DaemonError, match="dockerd is not installed") as caught:
        Daemon(folder=tmp_path).start()
    assert "tools.docker_daemon install" in caught.value.hint


def test_a_path_that_is_too_long_for_sockets_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["docker_daemon", "status", f"/{'a' * 80}"])
    assert main() == 64
    assert "too long a path" in capsys.readouterr().err
