"""The programs of a cluster: what was stopped and should run is dead until it runs again."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from fluxlab.clusters.control_plane import ControlPlaneFiles
from fluxlab.clusters.flux_controllers import WayOut
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.programs import Programs
from fluxlab.clusters.wiring import Wiring
from fluxlab.ports import Ports
from fluxlab.processes import ProcessGroup
from fluxlab.toolchain import Toolchain

CONTROLLER = "source-controller"
Eventually = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Binaries:
    """Programs that do nothing until they are ended."""

    folder: Path

    def binary(self, name: str) -> Path:
        return self.folder / name

    def make(self, name: str) -> None:
        self.folder.mkdir(exist_ok=True)
        self.binary(name).write_text("#!/bin/sh\nexec sleep 300\n")
        self.binary(name).chmod(0o700)


@pytest.fixture
def binaries(tmp_path: Path) -> Binaries:
    made = Binaries(tmp_path / "bin")
    for name in (CONTROLLER, "etcd"):
        made.make(name)
    return made


@pytest.fixture
def programs(tmp_path: Path, binaries: Binaries) -> Iterator[Programs]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    ports = Ports(memory=tmp_path / "ports.json")
    processes = ProcessGroup(changed=lambda _: None)
    made = Programs(
        "c",
        folder=folder,
        files=ControlPlaneFiles(folder, name="c"),
        wiring=Wiring("c", ports, gateway_port=1, links=False),
        toolchain=cast("Toolchain", binaries),
        processes=processes,
    )
    made.use_way_out(WayOut(proxy_url={CONTROLLER: "http://127.0.0.1:1"}, authorities=tmp_path / "ca.pem"))
    yield made
    made.stop(*made.names, grace_seconds=1)
    ports.release()


def deployment(*, replicas: int = 1, level: str = "info") -> KubeObject:
    template = {"spec": {"containers": [{"args": [f"--log-level={level}"]}]}}
    return KubeObject({"metadata": {"name": CONTROLLER}, "spec": {"replicas": replicas, "template": template}})


def state(programs: Programs, name: str) -> str:
    return next(part.state for part in programs.status() if part.name == f"c/{name}")


def test_a_controller_that_is_scaled_to_nothing_is_stopped_and_well(programs: Programs) -> None:
    programs.follow(deployment())
    assert state(programs, CONTROLLER) == "running"
    programs.follow(deployment(replicas=0))
    assert state(programs, CONTROLLER) == "stopped"
    assert programs.broken() == []


def test_a_controller_that_could_not_be_started_anew_is_dead_until_it_runs(
    programs: Programs, binaries: Binaries
) -> None:
    programs.follow(deployment())
    binaries.binary(CONTROLLER).unlink()
    changed = deployment(level="debug")
    for _ in range(2):  # it is tried again each time that the Deployment is told of
        with pytest.raises(FileNotFoundError):
            programs.follow(changed)
    assert state(programs, CONTROLLER) == "dead"
    assert programs.broken() == [CONTROLLER]
    binaries.make(CONTROLLER)
    programs.restart(CONTROLLER)
    assert state(programs, CONTROLLER) == "running"
    assert programs.broken() == []
    [before] = [part.pid for part in programs.status() if part.name == f"c/{CONTROLLER}"]
    programs.follow(changed)
    assert [part.pid for part in programs.status() if part.name == f"c/{CONTROLLER}"] == [before]


def test_a_controller_that_could_not_be_started_anew_runs_again_when_its_deployment_is_given_back(
    programs: Programs, binaries: Binaries
) -> None:
    programs.follow(deployment())
    binaries.binary(CONTROLLER).unlink()
    with pytest.raises(FileNotFoundError):
        programs.follow(deployment(level="debug"))
    binaries.make(CONTROLLER)
    programs.follow(deployment())
    assert state(programs, CONTROLLER) == "running"


def test_a_program_of_the_control_plane_that_was_stopped_and_not_started_again_is_dead(
    programs: Programs, eventually: Eventually
) -> None:
    assert programs.broken() == []
    programs.start("etcd")
    with programs.changing():
        programs.stop("etcd", grace_seconds=1)
        assert state(programs, "etcd") == "stopped"
    assert state(programs, "etcd") == "dead"
    assert programs.broken() == ["etcd"]
    programs.restart("etcd")
    assert programs.broken() == []
    process = programs._processes.get("c/etcd")
    assert process
    process.signal(signal.SIGKILL)
    eventually(lambda: programs.broken() == ["etcd"])


def test_a_program_that_stands_still_is_paused_and_broken_unless_somebody_holds_it(
    programs: Programs, eventually: Eventually
) -> None:
    programs.start("etcd")
    process = programs._processes.get("c/etcd")
    assert process
    process.signal(signal.SIGSTOP)
    eventually(lambda: state(programs, "etcd") == "paused")
    [told] = [part for part in programs.status() if part.name == "c/etcd"]
    assert (told.pid, told.well) == (process.identity.pid, False)
    assert "does nothing until it goes on" in told.detail
    assert programs.broken() == ["etcd"]
    assert programs.broken(held={"etcd"}) == []
    programs.restart("etcd")
    assert (state(programs, "etcd"), programs.broken()) == ("running", [])
    assert not process.running
