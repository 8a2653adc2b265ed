"""A fault that cannot be taken out: it is told how to do it by hand, and nothing else is broken until that is done."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import process_of

from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultState
from fluxlab.faults.base import Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.healing import StuckError
from fluxlab.faults.layers.controllers.processes import ControllerPause
from fluxlab.faults.layers.humans.edits import EditFault
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
        if words[0] == "up":
            assert f"lab {shop.name} runs" in done.stderr
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


# -- what a person is told to type -----------------------------------------------------------------------------------

OWNERS = {"frontend": ("kustomization", "shop"), "cart": ("helmrelease", "cart")}
REPLICAS = {"frontend": 2, "cart": 1}


def type_(line: str) -> None:
    """As a person does, who has `fluxlab` on the PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def as_git_wants(observer: Observer, name: str) -> bool:
    kind, owner = OWNERS[name]
    found = observer.get("deployments", "-n", "shop", "--show-managed-fields")["items"]
    there = next((one for one in found if one["metadata"]["name"] == name), None)
    if there is None or observer.get(kind, owner, "-n", "flux-system")["spec"].get("suspend"):
        return False
    (container,) = there["spec"]["template"]["spec"]["containers"]
    managers = {one["manager"] for one in there["metadata"]["managedFields"]}
    return (
        container["image"] == f"registry.shop.example/{name}:1.0.0"
        and "env" not in container
        and there["spec"]["replicas"] == REPLICAS[name]
        and "alice" not in managers
    )


@pytest.fixture
def left_as_it_is(shop: Lab, observer: Observer) -> Iterator[None]:
    """A release whose drift helm-controller does not correct: what is undone was undone by who typed."""

    def detecting(mode: str) -> None:
        words = ("patch", "helmrelease", "cart", "-n", "flux-system", "--type=merge", "--patch")
        observer.kubectl(*words, json.dumps({"spec": {"driftDetection": {"mode": mode}}}))
        shop.wait_until(observed, what="helm-controller knows")

    def observed() -> bool:
        found = observer.get("helmrelease", "cart", "-n", "flux-system")
        ready = {one["type"]: one["status"] for one in found["status"]["conditions"]}.get("Ready")
        return ready == "True" and bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    detecting("disabled")
    yield
    detecting("enabled")


@pytest.mark.verify
@pytest.mark.usefixtures("left_as_it_is")
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("human-edit", "cart"),
        ("human-adds-field", "cart"),
        ("human-adds-field", "frontend"),
        ("human-scale", "cart"),
        ("human-takes-over", "cart"),
        ("human-delete", "cart"),
        ("human-suspends-and-edits", "cart"),
        ("human-suspends-and-edits", "frontend"),
    ],
)
def test_what_is_told_undoes_an_edit(
    shop: Lab, observer: Observer, monkeypatch: pytest.MonkeyPatch, fault: str, name: str
) -> None:
    def fail(*_: object) -> None:
        raise FluxlabError("nobody here can do that")

    record = shop.faults.inject(fault, cluster="flux-playground", target=f"shop/{name}")
    with monkeypatch.context() as patched:
        patched.setattr(EditFault, "heal", fail)
        with pytest.raises(StuckError) as caught:
            shop.faults.heal(record.id)
    told = [fact.removeprefix("by hand: ") for fact in caught.value.facts if fact.startswith("by hand: ")]
    try:
        assert not as_git_wants(observer, name)
        for line in told:
            if not line.startswith("less "):
                type_(line)
        shop.wait_until(lambda: as_git_wants(observer, name), what="it is as git wants it")
    finally:
        shop.faults.heal(record.id)


def resources(observer: Observer) -> Any:
    (container,) = observer.get("deployment", HELM, "-n", "flux-system")["spec"]["template"]["spec"]["containers"]
    return container.get("resources")


@pytest.fixture
def limited(shop: Lab, observer: Observer) -> Iterator[Callable[[str], Sequence[str]]]:
    """Puts a fault into helm-controller's objects as where its pod is real, without the proof that only that gives;
    returns what would be told.
    """
    lease: dict[str, object] = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {}}
    lease["metadata"] = {"name": f"{HELM}-leader-election", "namespace": "flux-system"}
    observer.kubectl("create", "-f", "-", stdin=json.dumps(lease))

    def put_in(name: str) -> Sequence[str]:
        fault, ground = CATALOGUE[name], shop._ground("flux-playground")
        parameters = fault.parameters()
        plan = fault.plan(ground, HELM, parameters, Random(1))  # noqa: S311 # a plan
        injection: Injection[Any] = Injection(id=f"{name}-1", target=HELM, parameters=parameters, undo=plan.undo)
        fault.inject(ground, injection)
        return [line for line in fault.by_hand(ground, injection) if not line.startswith("fluxlab down")]

    yield put_in
    observer.kubectl("delete", "lease", f"{HELM}-leader-election", "-n", "flux-system", "--ignore-not-found")


@pytest.mark.verify
def test_what_is_told_gives_a_controller_its_memory_back(
    observer: Observer, limited: Callable[[str], Sequence[str]]
) -> None:
    before = resources(observer)
    told = limited("controller-oom")
    assert resources(observer) != before
    for line in told:
        type_(line)
    assert resources(observer) == before


@pytest.mark.verify
def test_what_is_told_takes_a_stolen_lease_away(observer: Observer, limited: Callable[[str], Sequence[str]]) -> None:
    holder = ("get", "lease", f"{HELM}-leader-election", "-n", "flux-system", "--ignore-not-found")
    told = limited("controller-lease-stolen")
    assert observer.get(*holder[1:-1])["spec"]["holderIdentity"] == "controller-lease-stolen-1"
    for line in told:
        type_(line)
    assert observer.kubectl(*holder) == ""
