"""Links: who reaches whom through which port."""

import json
from pathlib import Path

import pytest

from fluxlab.clusters.flux_controllers import ControllerPorts, FluxPorts, arguments
from fluxlab.clusters.links import Link, Links

FLUX = FluxPorts(artifacts=1, events=2, receiver=3)
OWN = ControllerPorts(health=4, metrics=5)


def test_without_links_everybody_reaches_everybody_directly() -> None:
    links = Links(enabled=False, reserve=lambda _: pytest.fail("a port was reserved"))
    assert links.port("api", "etcd", 2379) == 2379
    assert links.all() == ()


def test_a_link_keeps_its_port_and_is_named_by_both_ends() -> None:
    reserved: list[str] = []

    def reserve(name: str) -> int:
        reserved.append(name)
        return 30000 + len(reserved)

    links = Links(enabled=True, reserve=reserve)
    first = links.port("api", "etcd", 2379)
    assert links.port("kwok", "api", 6443) != first
    assert links.port("api", "etcd", 2379) == first
    assert reserved == ["link/api-to-etcd", "link/kwok-to-api"]
    assert links.all()[0] == Link(name="api-to-etcd", port=first, upstream=2379)


def test_toxiproxy_begins_with_all_links(tmp_path: Path) -> None:
    links = Links(enabled=True, reserve=lambda _: 30000)
    links.port("api", "etcd", 2379)
    file = links.write_config(tmp_path / "links.json")
    proxy = {"name": "api-to-etcd", "listen": "127.0.0.1:30000", "upstream": "127.0.0.1:2379", "enabled": True}
    assert json.loads(file.read_text()) == [proxy]


def test_controllers_are_told_the_ports_of_links() -> None:
    links = Links(enabled=True, reserve=lambda name: {"events": 7002, "artifacts": 7001}[name.rpartition("-")[2]])
    told = arguments("source-controller", (), flux=FLUX, own=OWN, storage=Path("/s"), links=links)
    assert "--events-addr=http://127.0.0.1:7002/" in told
    assert "--storage-adv-addr=127.0.0.1:7001" in told
    assert "--storage-addr=127.0.0.1:1" in told
