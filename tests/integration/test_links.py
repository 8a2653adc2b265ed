"""Links: each hop leads through toxiproxy, and breaking one breaks that hop and no other."""

import http.client
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.conftest import command_lines
from tests.integration.gitops import Person
from tests.integration.traces import component, components, listeners

from fluxlab.host import socket_address

LAB = "linked"
RECORDER = Path(sys.executable).name
"""The program of the recorder, which is Python's."""
Eventually = Callable[..., object]
EVENTS = {f"{controller}-to-events" for controller in ("source-controller", "kustomize-controller", "helm-controller")}


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    for fluxlab in command_lines(tmp_path_factory.mktemp("linked")):
        (fluxlab.folder / "lab.yaml").write_text(f"name: {LAB}\nlinks: true\nscenarios: [shop]\n")
        fluxlab.ok("up", "lab.yaml")
        yield Person.of(fluxlab, LAB)


def links(person: Person) -> dict[str, dict[str, Any]]:
    status = json.loads(person.fluxlab.ok("status", f"--lab={LAB}", "-o", "json"))
    return {link["name"]: link for link in status["clusters"][0]["links"]}


def door(person: Person) -> Path:
    return person.fluxlab.state / "labs" / LAB / "clusters" / "flux-playground" / "links" / "toxiproxy.sock"


def toxiproxy(person: Person, method: str, path: str, content: object = None) -> Any:
    """The answer of the API of the lab's toxiproxy, asked by the test itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
        with socket_address(door(person)) as address:
            connected.connect(address)
        asking = http.client.HTTPConnection("localhost")
        asking.sock = connected
        asking.request(method, path, body=json.dumps(content))
        with asking.getresponse() as answer:
            body = answer.read()
            assert answer.status < 400, body
            return json.loads(body)


def test_every_hop_has_its_name_and_its_endpoint(person: Person) -> None:
    flux = {"source-controller", "kustomize-controller", "helm-controller", "notification-controller"}
    workers = {"kube-controller-manager", "kube-scheduler", "kwok"}
    expected = {f"{name}-to-api" for name in flux | workers} | {f"{name}-to-gateway" for name in flux} | EVENTS
    told = links(person)
    assert set(told) == expected | {"api-to-etcd", "consumers-to-artifacts", "pushes-to-receiver"}
    proxies = toxiproxy(person, "GET", "/proxies")
    assert {name: proxy["listen"] for name, proxy in proxies.items()} == {
        name: f"127.0.0.1:{link['port']}" for name, link in told.items()
    }


def test_programs_connect_to_the_links_and_to_nothing_behind_them(person: Person) -> None:
    told = links(person)
    behind = {link["upstream"] for link in told.values()}
    found = components(person.fluxlab, LAB)
    for name in ("kube-apiserver", "kwok", "kube-scheduler", "kustomize-controller", "helm-controller"):
        connected = {c.raddr.port for c in found[name].net_connections("tcp") if c.status == psutil.CONN_ESTABLISHED}
        reached = {c.laddr.port for c in found[name].net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        own = {port for port in connected & behind if port not in reached}
        assert name == "kube-apiserver" or not own
        names = {link for link, state in told.items() if state["port"] in connected}
        assert names & {f"{name}-to-api", "api-to-etcd"}, name


def test_toxiproxys_own_door_is_no_port_and_for_its_owner_only(person: Person) -> None:
    ports = {link["port"] for link in links(person).values()}
    assert {port for program, _, port in listeners(person.fluxlab) if program == "toxiproxy"} == ports
    assert door(person).parent.stat().st_mode & 0o077 == 0


def test_a_broken_link_breaks_its_hop_alone_and_heals(person: Person, eventually: Eventually) -> None:
    told = links(person)

    def uses(name: str) -> bool:
        port = told[f"{name}-to-api"]["port"]
        connections = component(person.fluxlab, LAB, name).net_connections("tcp")
        return any(c.raddr.port == port for c in connections if c.status == psutil.CONN_ESTABLISHED)

    before = person.push("linked", "1")
    eventually(lambda: person.sees("linked", "1"), what="the first commit is applied")
    toxiproxy(person, "POST", "/proxies/kustomize-controller-to-api", {"enabled": False})
    try:
        person.push("linked", "2")

        def fetched() -> bool:
            source = person.observer.get("gitrepository", "-n", "flux-system", "flux-system")
            return before not in source["status"]["artifact"]["revision"]

        eventually(fetched, what="source-controller, whose link is whole, has fetched")
        eventually(lambda: not uses("kustomize-controller"), what="kustomize-controller has lost the API")
        assert uses("source-controller")
        assert not person.sees("linked", "2")
    finally:
        toxiproxy(person, "POST", "/proxies/kustomize-controller-to-api", {"enabled": True})
    eventually(lambda: uses("kustomize-controller"), what="the hop is whole again", within=60)
    # How long a controller then takes to get over it is Flux's affair; a new one has nothing to get over.
    person.fluxlab.ok("restart", "kustomize-controller", f"--lab={LAB}")
    eventually(lambda: person.sees("linked", "2"), what="the commit is applied after all", within=60)


@pytest.mark.verify
def test_the_death_of_toxiproxy_is_named_and_repaired(person: Person, eventually: Eventually) -> None:
    before = {name: process.pid for name, process in components(person.fluxlab, LAB).items()}
    component(person.fluxlab, LAB, "toxiproxy").kill()

    def named() -> bool:
        done = person.fluxlab.run("status", f"--lab={LAB}")
        return done.returncode == 1 and "toxiproxy is dead" in done.stdout

    eventually(named, what="status names it")
    person.fluxlab.ok("up", "--name", LAB)
    # Whoever has lost its server waits out a pause that grows to a minute: nobody is left to.
    after = {name: process.pid for name, process in components(person.fluxlab, LAB).items()}
    assert {name for name in before if before[name] == after[name]} == {"etcd", RECORDER}
    person.push("again", "1")
    eventually(lambda: person.sees("again", "1"), what="Flux works through the links again", within=60)
