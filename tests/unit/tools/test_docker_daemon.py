import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from tools.docker_daemon import Daemon, DaemonError, main

from fluxlab.commands import CommandError
from fluxlab.waiting import wait_until


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like somebody else's daemon."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def a_machine_with_docker(monkeypatch: pytest.MonkeyPatch, daemon: subprocess.Popen[bytes]) -> None:
    found = psutil.Process(daemon.pid)
    monkeypatch.setattr(found, "name", lambda: "dockerd")
    monkeypatch.setattr(psutil, "process_iter", lambda *_: [found])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def test_nothing_runs_for_a_folder_that_nobody_used(tmp_path: Path) -> None:
    assert Daemon(folder=tmp_path).status() == f"no daemon runs for {tmp_path}"


def test_stopping_what_does_not_run_changes_nothing(tmp_path: Path) -> None:
    Daemon(folder=tmp_path).stop()
    assert list(tmp_path.iterdir()) == []


def test_a_daemon_of_somebody_else_is_named_and_left_alone(
    tmp_path: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_machine_with_docker(monkeypatch, other)
    with pytest.raises(DaemonError, match=f"another Docker daemon runs \\(process {other.pid}\\)") as caught:
        Daemon(folder=tmp_path / "daemon").start()
    assert "DOCKER_HOST" in caught.value.hint
    assert other.poll() is None
    assert not (tmp_path / "daemon").exists()


def test_a_daemon_whose_end_nobody_has_asked_for_yet_is_none(
    tmp_path: Path, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_machine_with_docker(monkeypatch, other)
    other.kill()
    probe = psutil.Process(other.pid)
    wait_until(lambda: probe.status() == psutil.STATUS_ZOMBIE, what="it is a zombie", timeout_seconds=30)
    (tmp_path / "folder").write_text("in the way of what comes next")
    with pytest.raises(FileExistsError):
        Daemon(folder=tmp_path / "folder").start()


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


class Machine:
    """Answers `ip` and `iptables` for a machine whose chains are these."""

    def __init__(self, **chains: list[str]) -> None:
        self.chains: dict[str, list[str]] = {
            "FORWARD": [],
            **{name.replace("_", "-"): has for name, has in chains.items()},
        }

    def run(self, argv: Sequence[str]) -> SimpleNamespace:
        if argv[0] == "ip":
            return SimpleNamespace(stdout="default via 192.0.2.1 dev eth0 proto dhcp\n")
        _, _, action, chain, *words = argv
        rule, rules = " ".join(words), self.chains.get(chain)
        if (action == "-N") is (rules is not None) or (action == "-C" and rule not in (rules or [])):
            raise CommandError(argv, "exit code 1")
        if action == "-N":
            self.chains[chain] = []
        elif action == "-I":
            self.chains[chain].insert(0, rule)
        return SimpleNamespace(stdout="")


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(Machine(FORWARD=["-j DOCKER-USER", "-j DOCKER"], DOCKER_USER=["-j RETURN"]), id="dockerd made it"),
        pytest.param(Machine(FORWARD=["-j DOCKER"]), id="dockerd has a network already"),
        pytest.param(Machine(FORWARD=["-j DOCKER"], DOCKER_USER=["-j RETURN"]), id="a chain that nobody asks"),
    ],
)
def test_what_containers_send_elsewhere_is_rejected_before_anything_accepts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Machine
) -> None:
    monkeypatch.setattr("tools.docker_daemon.run", machine.run)
    for _ in range(2):
        Daemon(folder=tmp_path)._keep_traffic()
        assert machine.chains["FORWARD"] == ["-j DOCKER-USER", "-j DOCKER"]
        assert machine.chains["DOCKER-USER"][0] == "-o eth0 -j REJECT"
        assert machine.chains["DOCKER-USER"].count("-o eth0 -j REJECT") == 1
