"""Faults of links: what a plain socket at the link's port sees, and what kubectl shows of whoever uses the link."""

import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable

import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.clients import never_injected, ready
from tests.integration.faults.sight import log_of

from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.injecting import NotProvenError
from fluxlab.faults.layers.links import FAULTS
from fluxlab.faults.layers.links.toxic import LinkHang
from fluxlab.lab import Lab
from fluxlab.redaction import Redactor
from fluxlab.rehearsals.footprint import Footprint

EVENTS = "helm-controller-to-events"
"""Plain HTTP, and used by nobody who minds when nothing happens."""
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def connect(lab: Lab, name: str = EVENTS) -> socket.socket:
    links = {link.name: link for link in lab.status().clusters[0].links}
    return socket.create_connection(("127.0.0.1", links[name].port), timeout=20)


def ask(lab: Lab, request: bytes = REQUEST) -> list[bytes]:
    """The answer, in the pieces in which it comes."""
    with connect(lab) as connection:
        connection.sendall(request)
        return list(iter(lambda: connection.recv(65536), b""))


def timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


@pytest.fixture
def sound(shop: Lab) -> bytes:
    """The answer of a link that is whole, its Date left out of account by its length alone."""
    answer = b"".join(ask(shop))
    assert answer.startswith(b"HTTP/1.1 ")
    return answer


def test_latency(shop: Lab, sound: bytes) -> None:
    with shop.fault("link-latency", target=EVENTS, for_=60, latency_milliseconds=700):
        assert timed(lambda: ask(shop)) >= 0.7
    shop.wait_until(lambda: timed(lambda: ask(shop)) < 0.7, what="an answer without the latency")
    assert len(b"".join(ask(shop))) == len(sound)


def test_bandwidth(shop: Lab, sound: bytes) -> None:
    padded = REQUEST.replace(b"Host: x\r\n", b"Host: x\r\nPadding: %s\r\n" % (b"x" * 20_000))
    with shop.fault("link-bandwidth", target=EVENTS, for_=60, kilobytes_per_second=20):
        assert timed(lambda: ask(shop, padded)) >= 0.8
    shop.wait_until(lambda: timed(lambda: ask(shop, padded)) < 0.8, what="an answer at the link's own speed")
    assert len(b"".join(ask(shop))) == len(sound)


@pytest.mark.usefixtures("sound")
def test_hang(shop: Lab) -> None:
    with shop.fault("link-hang", target=EVENTS, for_=60), connect(shop) as connection:
        connection.sendall(REQUEST)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert b"".join(ask(shop))


@pytest.mark.usefixtures("sound")
def test_reset(shop: Lab) -> None:
    with shop.fault("link-reset", target=EVENTS, for_=60), pytest.raises(ConnectionResetError):
        ask(shop)
    assert b"".join(ask(shop))


def test_slices(shop: Lab, sound: bytes) -> None:
    with shop.fault("link-slices", target=EVENTS, for_=60, slice_bytes=20, delay_milliseconds=50):
        pieces = ask(shop)
    assert len(pieces[0]) <= 20
    assert len(pieces) > 2
    assert len(b"".join(pieces)) == len(sound)


def test_limit(shop: Lab, sound: bytes) -> None:
    with shop.fault("link-limit", target=EVENTS, for_=60, limit_bytes=30):
        assert len(b"".join(ask(shop))) == 30 < len(sound)
    assert len(b"".join(ask(shop))) == len(sound)


def test_only_the_link_that_is_meant_is_broken(shop: Lab, observer: Observer) -> None:
    def told() -> bool:
        status, reason, _ = ready(observer, "gitrepository", "flux-system")
        return (status, reason) == ("False", "GitOperationFailed")

    def fetched(commit: str) -> bool:
        found = observer.get("gitrepository", "flux-system", "-n", "flux-system")
        return commit in found["status"]["artifact"]["revision"]

    with shop.fault("link-reset", target="source-controller-to-gateway", for_=120):
        shop.repository.write("notes.txt", "reset\n")
        shop.repository.commit("Note a reset")
        shop.wait_until(told, what="source-controller cannot reach the git server")
        assert b"".join(ask(shop))
    shop.repository.write("notes.txt", "healed\n")
    commit = shop.repository.commit("Note the end")
    shop.wait_until(lambda: fetched(commit.sha), what="source-controller has fetched")


def test_a_cluster_whose_api_was_silent_works_again(shop: Lab, observer: Observer) -> None:
    with shop.fault("link-hang", target="kwok-to-api", for_=120):
        observer.kubectl("create", "deployment", "late", "--image=registry.example/none")
    observer.kubectl("rollout", "status", "deployment/late", "--timeout=55s")
    observer.kubectl("delete", "deployment", "late")


def test_an_api_server_that_had_long_lost_etcd_writes_as_soon_as_it_is_healed(shop: Lab, observer: Observer) -> None:
    log = log_of(shop, "kube-apiserver")
    said = log.stat().st_size

    def refused() -> Counter[bytes]:
        """How often etcd was tried in vain, by connection: after the eighth time one is left alone for 20 to 30 s."""
        lines = log.read_bytes()[said:]
        return Counter(re.findall(rb"\[(Channel #\d+) SubChannel #\d+\] *grpc: .*failed to connect", lines))

    with shop.fault("link-reset", target="api-to-etcd", for_=120):
        words = ("create", "configmap", "lost", "-n", "default", "--request-timeout=5s")
        assert "created" not in observer.kubectl(*words, check=False)
        tried = refused()  # that of ConfigMaps among them
        assert tried
        shop.wait_until(
            lambda: all(refused()[one] >= 8 for one in tried), what="the pauses are long", timeout_seconds=90
        )
    observer.kubectl("create", "configmap", "after-the-reset", "-n", "default", "--request-timeout=5s")
    observer.kubectl("create", "deployment", "late", "-n", "default", "--image=registry.example/none")
    observer.kubectl("rollout", "status", "deployment/late", "-n", "default", "--timeout=55s")
    observer.kubectl("delete", "deployment/late", "configmap/after-the-reset", "-n", "default")
    assert not shop.status().broken()


def test_what_is_in_is_found_by_those_who_look_for_residue(shop: Lab) -> None:
    before = Footprint.of(shop)
    with shop.fault("link-hang", target=EVENTS, for_=60) as link, shop.fault("git-hang", for_=60) as host:
        left = list(Footprint.of(shop).residue(before, masks=Redactor))
        for record in (link, host):
            assert any(record.id in line and line.endswith("is still in") for line in left if "fault" not in line)
    assert not [line for line in Footprint.of(shop).residue(before, masks=Redactor) if "still in" in line]


def test_a_fault_heals_although_toxiproxy_has_died(shop: Lab, observer: Observer) -> None:
    record = shop.faults.inject("link-hang", cluster=shop.cluster.name, target=EVENTS)
    components = {part.name.rpartition("/")[2]: part.pid for part in shop.status().clusters[0].components}
    os.kill(components["toxiproxy"] or 0, signal.SIGKILL)
    shop.faults.heal(record.id)
    assert b"".join(ask(shop))
    observer.kubectl("create", "deployment", "after", "--image=registry.example/none")
    observer.kubectl("rollout", "status", "deployment/after", "--timeout=55s")
    observer.kubectl("delete", "deployment", "after")


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS])
def test_a_sound_lab_proves_nothing_and_is_healed_already(shop: Lab, name: str) -> None:
    fault = CATALOGUE[name]
    ground, injection = never_injected(shop, fault)
    assert not fault.injected(ground, injection)
    fault.heal(ground, injection)
    shop.wait_until(lambda: fault.healed(ground, injection), what="a client sees that the link is sound")


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS])
@pytest.mark.parametrize("link", ["api-to-etcd", "consumers-to-artifacts", "pushes-to-receiver"])
def test_every_kind_of_provider_shows_it(shop: Lab, name: str, link: str) -> None:
    with shop.fault(name, target=link, for_=60) as record:
        assert record.proof


def test_an_injection_that_does_nothing_is_not_proven(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LinkHang, "inject", lambda *_: None)
    monkeypatch.setattr(LinkHang, "proof_seconds", 1.0)
    with pytest.raises(NotProvenError), shop.fault("link-hang", target=EVENTS):
        pytest.fail("the block must not begin")
    assert not shop.faults.active()
