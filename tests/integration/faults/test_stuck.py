"""A fault that cannot be taken out: it is told how to do it by hand, and nothing else is broken until that is done."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from tests.integration.faults.sight import process_of

from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultState
from fluxlab.faults.healing import StuckError
from fluxlab.faults.layers.controllers.processes import ControllerPause
from fluxlab.lab import Lab

HELM = "helm-controller"


@pytest.fixture
def stuck(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """A paused process, whose healing failed in this process: other processes know how to do it."""
    attempts = []

    def fail(*_: object) -> None:
        attempts.append(1)
        raise FluxlabError("nobody here can do that")

    process = process_of(shop, HELM)
    record = shop.faults.inject("controller-pause", cluster="flux-playground", target=HELM)
    with monkeypatch.context() as patched:
        patched.setattr(ControllerPause, "heal", fail)
        with pytest.raises(StuckError) as caught:
            shop.faults.heal(record.id)
    assert len(attempts) > 1
    assert "nobody here can do that" in str(caught.value)
    assert f"kill -CONT {process.pid}" in str(caught.value)
    assert [one.state for one in shop.faults.active()] == [FaultState.STUCK]
    assert process.status() == psutil.STATUS_STOPPED
    yield process
    process.resume()
    shop.faults.give_up()


def fluxlab(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fluxlab", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def refusals(shop: Lab) -> Iterator[str]:
    """What is said by each command that would build on a lab in which something is broken for good."""
    for words in (
        ("inject", "git-slow", f"--lab={shop.name}"),
        ("up", f"--name={shop.name}"),
        ("rehearse", "controller-paused"),
    ):
        done = fluxlab(*words)
        assert done.returncode != 0, words
        yield done.stderr


def test_nothing_else_is_broken_until_what_is_stuck_is_out(shop: Lab, stuck: psutil.Process) -> None:
    for told in refusals(shop):
        assert f"controller-pause ({HELM}) could not be taken out" in told
        assert f"kill -CONT {stuck.pid}" in told
        assert "fluxlab heal --all" in told
    assert stuck.status() == psutil.STATUS_STOPPED
    done = fluxlab("heal", "--all", f"--lab={shop.name}")
    assert done.returncode == 0, done.stderr
    assert stuck.status() != psutil.STATUS_STOPPED
    assert shop.faults.active() == []
    with shop.fault("git-slow"):
        pass


def test_what_a_person_has_mended_is_forgotten_when_told_so(shop: Lab, stuck: psutil.Process) -> None:
    alone = fluxlab("heal", "--give-up", f"--lab={shop.name}")
    assert alone.returncode == 64
    assert "--give-up goes with --all" in alone.stderr
    assert len(shop.faults.active()) == 1
    done = fluxlab("heal", "--all", "--give-up", f"--lab={shop.name}")
    assert done.returncode == 0, done.stderr
    assert "given up" in done.stdout
    assert shop.faults.active() == []
    assert stuck.status() == psutil.STATUS_STOPPED, "nothing but the record is gone"
    stuck.resume()
    assert fluxlab("up", f"--name={shop.name}").returncode == 0
