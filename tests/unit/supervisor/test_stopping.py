"""The end of a lab in its supervisor: one part that does not end keeps no other, and no folder, from going."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from fluxlab.clusters.base import ClusterBackend
from fluxlab.processes import ProcessGroup
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.supervisor import __main__ as program
from fluxlab.supervisor.chronicle import Chronicle
from fluxlab.supervisor.lifecycle import Supervisor
from fluxlab.supervisor.services import Services
from fluxlab.supervisor.starter import Order
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.toolchain import Toolchain


@pytest.fixture
def folder(state_dir: Path) -> LabFolder:
    made = LabFolder.named("one")
    made.create()
    made.spec.write_text(LabSpec(name="one").model_dump_json())
    assert made.root.is_relative_to(state_dir)
    return made


class Cluster:
    """Notes that it was stopped, and may fail at that."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.error = error
        self.stopped = False

    def stop(self) -> None:
        self.stopped = True
        if self.error:
            raise self.error


def test_a_cluster_that_does_not_stop_keeps_nothing_else_from_ending(
    folder: LabFolder, caplog: pytest.LogCaptureFixture
) -> None:
    clusters = [Cluster(error=RuntimeError("stuck")), Cluster()]
    supervisor = Supervisor(folder, LabSpec(name="one"), brief=True)
    supervisor.clusters = cast("list[ClusterBackend]", clusters)
    supervisor._stop_clusters()
    assert [cluster.stopped for cluster in clusters] == [True, True]
    assert "RuntimeError: stuck" in caplog.text


def test_the_folder_of_an_orphaned_lab_goes_also_when_its_end_fails(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        orphaned = True

        def __init__(self, *_: object, brief: bool) -> None:
            assert brief

        def run(self, *, begun: Callable[[], None]) -> int:
            assert callable(begun)
            raise RuntimeError("stuck")

    order = Order(folder=folder.root, remove_orphaned=True, brief=True)
    monkeypatch.setattr("fluxlab.supervisor.starter.await_order", lambda _: order)
    monkeypatch.setattr(program, "Supervisor", Failing)
    monkeypatch.setattr(program, "_write_to", lambda _: None)
    monkeypatch.setattr(os, "umask", lambda _: 0)
    with Path(os.devnull).open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(RuntimeError, match="stuck"):
            program.main()
    assert not folder.root.exists()


def test_servers_that_do_not_end_leave_no_thread_and_no_socket(
    folder: LabFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Programs:
        def binary(self, name: str) -> Path:
            return Path("/nowhere") / name

    services = Services(
        folder=folder,
        spec=LabSpec(name="one"),
        toolchain=cast("Toolchain", Programs()),
        git_port=1,
        gateway_port=2,
        processes=ProcessGroup(changed=lambda _: None),
        chronicle=Chronicle(TimelineFolder(folder)),
    )

    async def stuck() -> None:
        raise RuntimeError("stuck")

    monkeypatch.setattr(services, "_end", stuck)
    services._thread.start()
    listening: socket.socket = services._control_socket()
    assert folder.control_socket.exists()
    with pytest.raises(RuntimeError, match="stuck"):
        services.stop()
    listening.close()
    assert not services._thread.is_alive()
    assert not folder.control_socket.exists()
    services._loop.close()
