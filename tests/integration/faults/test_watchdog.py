"""The watchdog of a running lab: what nobody can want any more is taken out, although nobody asks for it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import process_of

from fluxlab.lab import Lab
from fluxlab.processes import Identity

pytestmark = pytest.mark.integration

HELM, API_SERVER = "helm-controller", "kube-apiserver"
SHORT_SECONDS = 8.0
"""Longer than it takes to see it in, also on a busy machine."""
HEALED_SECONDS = 60.0


def await_end(shop: Lab, process: psutil.Process) -> None:
    """Until the paused process goes on, and nothing is on record: seen without any command of fluxlab."""
    records = shop.folder.root / "faults"
    shop.wait_until(
        lambda: process.status() != psutil.STATUS_STOPPED, what="the process goes on", timeout_seconds=HEALED_SECONDS
    )
    shop.wait_until(lambda: not list(records.glob("*.json")), what="no record is left", timeout_seconds=HEALED_SECONDS)


def test_a_fault_ends_with_its_time(shop: Lab) -> None:
    process = process_of(shop, HELM)
    shop.faults.inject("controller-pause", cluster="flux-playground", target=HELM, for_seconds=SHORT_SECONDS)
    assert process.status() == psutil.STATUS_STOPPED
    await_end(shop, process)


def test_what_is_chosen_on_the_command_line_happens_and_ends_with_its_time(shop: Lab, observer: Observer) -> None:
    def replicas() -> int:
        return int(observer.kubectl("get", "deployment/frontend", "-n", "shop", "-o", "jsonpath={.spec.replicas}"))

    before, wanted = replicas(), 7
    words = ("human-scale", "--target=shop/frontend", "--set", f"replicas={wanted}", "--for", f"{SHORT_SECONDS:g}s")
    done = subprocess.run(
        [sys.executable, "-m", "fluxlab", "inject", *words, f"--lab={shop.name}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert replicas() == wanted != before
    shop.wait_until(lambda: replicas() == before, what="it is as before", timeout_seconds=HEALED_SECONDS)
    records = shop.folder.root / "faults"
    shop.wait_until(lambda: not list(records.glob("*.json")), what="no record is left", timeout_seconds=HEALED_SECONDS)


def test_a_fault_ends_with_whoever_wanted_it(shop: Lab) -> None:
    process = process_of(shop, HELM)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as wanting:
        owner = Identity.of(wanting.pid)
        shop.faults.inject("controller-pause", cluster="flux-playground", target=HELM, owner=owner)
        assert process.status() == psutil.STATUS_STOPPED
    await_end(shop, process)


@contextmanager
def restart_that_does_not_end(lab: Lab) -> Iterator[Future[None]]:
    """The supervisor waits a minute for an API server that it started, and that does not answer within the block."""
    before = process_of(lab, API_SERVER)

    def started() -> psutil.Process | None:
        pids = (part.pid for cluster in lab.status().clusters for part in cluster.components if API_SERVER in part.name)
        return next((psutil.Process(pid) for pid in pids if pid and pid != before.pid), None)

    with ThreadPoolExecutor(1) as pool:
        restarting = pool.submit(lab.control.restart, f"flux-playground/{API_SERVER}")
        process = lab.wait_until(started, what="another API server runs")
        process.suspend()
        try:
            yield restarting
        finally:
            if process.is_running():
                process.resume()


def test_a_fault_ends_with_whoever_wanted_it_although_the_supervisor_waits(shop: Lab) -> None:
    process = process_of(shop, HELM)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as wanting:
        owner = Identity.of(wanting.pid)
        shop.faults.inject("controller-pause", cluster="flux-playground", target=HELM, owner=owner)
        with restart_that_does_not_end(shop) as restarting:
            wanting.kill()
            shop.wait_until(
                lambda: process.status() != psutil.STATUS_STOPPED,
                what="the process goes on",
                timeout_seconds=HEALED_SECONDS,
            )
            assert not restarting.done(), "the supervisor waits for the API server"
    restarting.result()
    records = shop.folder.root / "faults"
    shop.wait_until(lambda: not list(records.glob("*.json")), what="no record is left", timeout_seconds=HEALED_SECONDS)


@pytest.mark.verify
def test_a_fault_that_another_one_keeps_in_ends_after_it(shop: Lab) -> None:
    records = shop.folder.root / "faults"
    # Long enough for the other one to be in before it is overdue: the inject itself would take it out.
    shop.faults.inject("human-scale", cluster="flux-playground", for_seconds=20)
    shop.faults.inject("api-kill", cluster="flux-playground", for_seconds=4 * SHORT_SECONDS)
    shop.wait_until(
        lambda: any("cannot be taken out while api-kill" in line for line in _told(records)),
        what="the healer has tried in vain",
        timeout_seconds=HEALED_SECONDS,
    )
    shop.wait_until(lambda: not list(records.glob("*.json")), what="no record is left", timeout_seconds=120)


def _told(records: Path) -> Sequence[str]:
    log = records / "healer.log"  # there since the first healer
    return log.read_text().splitlines() if log.exists() else []


def test_a_record_that_cannot_be_read_keeps_no_fault_in(shop: Lab) -> None:
    process, broken = process_of(shop, HELM), shop.folder.root / "faults" / "broken.record.json"
    shop.faults.inject("controller-pause", cluster="flux-playground", target=HELM, for_seconds=SHORT_SECONDS)
    broken.write_text("{")
    try:
        shop.wait_until(
            lambda: process.status() != psutil.STATUS_STOPPED,
            what="the process goes on",
            timeout_seconds=HEALED_SECONDS,
        )
    finally:
        broken.unlink()
    await_end(shop, process)
