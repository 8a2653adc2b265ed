"""Faults of etcd: what etcd itself, kubectl, git and psutil say of them."""

import json
import os
import signal
import socket
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import give_up_a_pod, process_of, restart_supervisor
from tests.integration.traces import ended

from fluxlab.lab import Lab


def _flags(process: psutil.Process) -> dict[str, str]:
    return dict(word.removeprefix("--").split("=", maxsplit=1) for word in process.cmdline() if "=" in word)


def _address(process: psutil.Process) -> tuple[str, int]:
    host, _, port = _flags(process)["listen-client-urls"].removeprefix("https://").rpartition(":")
    return host, int(port)


def _ask_etcd(lab: Lab, path: str, content: dict[str, str]) -> dict[str, Any]:
    flags = _flags(process_of(lab, "etcd"))
    context = ssl.create_default_context(cafile=flags["trusted-ca-file"])
    context.load_cert_chain(flags["cert-file"], flags["key-file"])
    url, body = f"{flags['listen-client-urls']}{path}", json.dumps(content).encode()
    with urllib.request.urlopen(url, data=body, context=context, timeout=10) as answer:  # noqa: S310 # etcd's own
        found: dict[str, Any] = json.load(answer)
        return found


def _alarms(lab: Lab) -> list[str]:
    return [one["alarm"] for one in _ask_etcd(lab, "/v3/maintenance/alarm", {"action": "GET"}).get("alarms", [])]


def _write(observer: Observer, name: str) -> str:
    return observer.kubectl("create", "configmap", name, "-n", "default", "--request-timeout=5s", check=False)


def test_a_killed_etcd_leaves_an_api_server_that_is_not_ready(shop: Lab, observer: Observer) -> None:
    process = process_of(shop, "etcd")
    address = _address(process)
    with shop.fault("etcd-kill", for_=120):
        assert ended(process)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)
        assert process_of(shop, "kube-apiserver").is_running()
        assert "created" not in _write(observer, "lost")
    assert process_of(shop, "etcd").pid != process.pid
    assert observer.kubectl("get", "--raw", "/readyz") == "ok"
    assert "created" in _write(observer, "kept")
    shop.converge()


def test_a_paused_etcd_lets_writes_hang_until_it_goes_on(shop: Lab, observer: Observer) -> None:
    process = process_of(shop, "etcd")
    with shop.fault("etcd-pause", for_=120):
        assert process.status() == psutil.STATUS_STOPPED
        with socket.create_connection(_address(process), timeout=1) as raw, pytest.raises(TimeoutError):
            ssl.create_default_context().wrap_socket(raw, server_hostname="127.0.0.1")
        assert "created" not in _write(observer, "hanging")
        assert shop.status().phase == "ready"
    assert process.status() != psutil.STATUS_STOPPED
    assert "created" in _write(observer, "after-the-pause")


def test_a_full_etcd_takes_no_write_and_nothing_is_left_of_it(shop: Lab, observer: Observer) -> None:
    with shop.fault("etcd-no-space", for_=120) as fault:
        assert _alarms(shop) == ["NOSPACE"]
        assert "database space exceeded" in _write(observer, "too-much")
        observer.kubectl("delete", "configmap", "settings", "-n", "shop")  # which etcd does take
    assert _alarms(shop) == []
    assert "created" in _write(observer, "again")
    assert fault.id not in observer.kubectl("get", "configmaps", "-n", "default", "-o", "name")
    shop.wait_until(
        lambda: observer.kubectl("get", "configmap", "settings", "-n", "shop", "-o", "name", "--ignore-not-found"),
        what="Flux writes again",
        timeout_seconds=90,
    )


def test_a_full_etcd_gets_room_although_its_healing_was_cut_off_before(shop: Lab, observer: Observer) -> None:
    with shop.fault("etcd-no-space", for_=120):
        revision = _ask_etcd(shop, "/v3/maintenance/status", {})["header"]["revision"]
        _ask_etcd(shop, "/v3/kv/compaction", {"revision": revision})
    assert _alarms(shop) == []
    assert "created" in _write(observer, "after-a-healing-that-was-cut-off")


@pytest.mark.parametrize(
    ("fault", "words"), [("etcd-no-space", "database space exceeded"), ("etcd-pause", "code = Unavailable")]
)
def test_a_pod_that_could_not_be_written_meanwhile_runs_after_healing(
    shop: Lab, observer: Observer, fault: str, words: str
) -> None:
    give_up_a_pod(shop, observer, shop.fault(fault, for_=120), words)
    observer.kubectl("rollout", "status", "deployment/late", "-n", "default", "--timeout=55s")
    observer.kubectl("delete", "deployment", "late", "-n", "default")
    assert not shop.status().broken()


def test_a_lab_starts_although_its_etcd_had_raised_an_alarm(shop: Lab, observer: Observer) -> None:
    shop.faults.inject("etcd-no-space", cluster="flux-playground")
    supervisor = shop.status().supervisor_pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    restart_supervisor(shop)
    assert shop.faults.active() == []
    assert _alarms(shop) == []
    assert "created" in _write(observer, "after-the-start")


def test_a_restored_etcd_forgets_what_was_done_by_hand_and_flux_brings_back_what_is_in_git(
    shop: Lab, observer: Observer
) -> None:
    def places() -> dict[str, str]:
        items = observer.get("configmaps", "-n", "default")["items"]
        return {item["metadata"]["name"]: item["metadata"]["creationTimestamp"] for item in items}

    def revision() -> int:
        listing = json.loads(observer.kubectl("get", "--raw", "/api/v1/namespaces/default/configmaps"))
        return int(listing["metadata"]["resourceVersion"])

    before, etcd, head = revision(), process_of(shop, "etcd"), shop.repository.head()
    versions = {one["metadata"]["uid"] for one in observer.get("deployments", "-n", "shop")["items"]}
    with shop.fault("etcd-restore", skipped_revisions=5_000_000, for_=300) as fault:
        assert ended(etcd)
        assert revision() > before + 5_000_000
        assert f"{fault.id}-by-hand" not in places()
        assert shop.repository.head() != head
        shop.wait_until(lambda: fault.id in places(), what="Flux applies the newer commit again", timeout_seconds=90)
    assert fault.id not in places()
    assert not (Path(shop.folder.scratch) / fault.id).exists()
    assert fault.id not in shop.repository.text(shop.repository.head(), "clusters")
    assert {one["metadata"]["uid"] for one in observer.get("deployments", "-n", "shop")["items"]} == versions
    shop.converge()
    assert not shop.status().broken()
