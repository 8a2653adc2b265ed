"""The way to an etcd, from the command line that started it."""

from pathlib import Path

import pytest

from fluxlab.clusters.control_plane import ControlPlaneFiles, ControlPlanePorts, etcd
from fluxlab.clusters.etcd_api import EtcdApi
from fluxlab.clusters.etcd_data import api_of

PORTS = ControlPlanePorts(etcd=1001, etcd_peer=1002, api=1003, controller_manager=1004, scheduler=1005, kwok=1006)


def test_its_command_line_tells_what_the_lab_knows(tmp_path: Path) -> None:
    files = ControlPlaneFiles(tmp_path, name="one")
    found = EtcdApi.started_by(["/bin/etcd", *etcd(files, PORTS, data=tmp_path / "data")])
    assert found == api_of(files, PORTS)
    assert found.url == "https://127.0.0.1:1001"
    assert found.peer_url == "https://127.0.0.1:1002"
    assert found.client.key.exists()


def test_another_program_is_no_etcd() -> None:
    with pytest.raises(KeyError):
        EtcdApi.started_by(["/bin/sleep", "1000"])
