"""What a lab serves is remembered once it is served, so that the lab can be resumed whatever was refused before."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.errors import UsageError
from fluxlab.files import write_private
from fluxlab.processes import ProcessGroup
from fluxlab.spec import GatewaySpec, LabSpec, SinkSpec
from fluxlab.state import LabFolder
from fluxlab.supervisor.charts import chart_urls
from fluxlab.supervisor.chronicle import Chronicle
from fluxlab.supervisor.services import Services
from fluxlab.supervisor.verbs import SupervisorVerbs
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.toolchain import Toolchain

REAL = "charts.example.org"


class Programs:
    def binary(self, name: str) -> Path:
        return Path("/nowhere") / name


@pytest.fixture
def folder(state_dir: Path) -> LabFolder:
    folder = LabFolder.named("one")
    folder.create()
    assert folder.root.is_relative_to(state_dir)
    return folder


@pytest.fixture
def services(folder: LabFolder) -> Iterator[Services]:
    """Of a lab that reaches one host for real."""
    made = Services(
        folder=folder,
        spec=LabSpec(name="one", gateway=GatewaySpec(allow=[REAL])),
        toolchain=cast("Toolchain", Programs()),
        git_port=1,
        gateway_port=2,
        processes=ProcessGroup(changed=lambda _: None),
        chronicle=Chronicle(TimelineFolder(folder)),
    )
    made.routes.allow(REAL)
    yield made
    made.stop()
    made._loop.close()


@pytest.mark.parametrize("url", [f"https://{REAL}/stable", "https://a b/stable"])
def test_charts_that_were_refused_are_refused_again_and_forgotten(
    services: Services, folder: LabFolder, url: str
) -> None:
    for _ in range(2):
        with pytest.raises(UsageError):
            services.serve_charts(url)
    assert chart_urls(folder) == []
    assert services.routes.mapped() == ()


def test_charts_that_are_served_are_remembered(services: Services, folder: LabFolder) -> None:
    services.serve_charts("https://other.example.org/stable")
    assert chart_urls(folder) == ["https://other.example.org/stable"]
    assert services.routes.mapped() == ("https://other.example.org/stable",)


def test_alerts_that_were_refused_are_refused_again_and_forgotten(services: Services, folder: LabFolder) -> None:
    for _ in range(2):
        with pytest.raises(UsageError):
            services.serve_sink(SinkSpec(kind="slack", host=REAL))
    assert not list(folder.sinks.glob("*"))
    assert services.sinks == {}


def test_alerts_that_are_heard_are_remembered(services: Services, folder: LabFolder) -> None:
    sink = SinkSpec(kind="slack", host="hooks.example.org")
    services.serve_sink(sink)
    assert [file.name for file in folder.sinks.glob("*")] == [sink.host]


def test_what_a_killed_supervisor_began_to_write_of_alerts_is_not_served(services: Services, folder: LabFolder) -> None:
    sink = SinkSpec(kind="slack", host="hooks.example.org")
    write_private(folder.sinks / sink.host, sink.model_dump_json())
    for part in ("", sink.model_dump_json()[:9]):
        write_private(folder.sinks / f".{sink.host}.17.{len(part)}", part)
    services._map_hosts()
    assert services.sinks == {sink.host: sink}


def test_the_config_of_the_repository_is_whole_whenever_the_status_is_asked_for(
    services: Services, folder: LabFolder
) -> None:
    supervisor: Any = SimpleNamespace(services=services, folder=folder)
    ask = SupervisorVerbs(supervisor)._repository
    config = folder.repositories / f"{ask().name}.git" / "config"
    whole, inode = config.read_bytes(), config.stat().st_ino
    seen, over = set[bytes](), threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.add(config.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(50):
            ask()
    finally:
        over.set()
        reader.join()
    assert seen == {whole}
    assert config.stat().st_ino == inode
