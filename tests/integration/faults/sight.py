"""What tests of faults look at: processes by psutil, addresses and conditions by kubectl."""

from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import yaml
from tests.integration.conftest import Observer

from fluxlab.lab import Lab


def process_of(lab: Lab, name: str) -> psutil.Process:
    pids = {part.name.rpartition("/")[2]: part.pid for cluster in lab.status().clusters for part in cluster.components}
    return psutil.Process(pids[name])


def broken(lab: Lab) -> list[str]:
    """The programs that the supervisor says are dead: it hears of a death a moment later."""
    return [part.name.rpartition("/")[2] for part in lab.status().broken()]


def log_of(lab: Lab, name: str) -> Path:
    parts = [part for cluster in lab.status().clusters for part in cluster.components]
    return next(Path(part.log) for part in parts if part.name.endswith(f"/{name}"))


def give_up_a_pod(lab: Lab, observer: Observer, fault: AbstractContextManager[object], words: str) -> None:
    """Have KWOK find the pod of Deployment `late` only while a fault is in, which ends when KWOK says `words` of it."""

    def pods() -> list[str]:
        found = observer.get("pods", "-l", "app=late", "-n", "default")["items"]
        return [pod["metadata"]["name"] for pod in found if pod["spec"].get("nodeName")]

    kwok, log = process_of(lab, "kwok"), log_of(lab, "kwok")
    kwok.suspend()
    try:
        observer.kubectl("create", "deployment", "late", "--image=registry.example/none", "-n", "default")
        lab.wait_until(pods, what="its pod has a node")
        (pod,), said = pods(), log.stat().st_size

        def given_up() -> bool:
            lines = log.read_bytes()[said:].decode().splitlines()
            return any(pod in line and words in line for line in lines)

        with fault:
            kwok.resume()
            lab.wait_until(given_up, what="KWOK could not write the pod", timeout_seconds=90)
    finally:
        if kwok.is_running():
            kwok.resume()


def address_of(observer: Observer) -> tuple[str, int]:
    """Where the API server listens."""
    server = urlsplit(yaml.safe_load(observer.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])
    assert server.hostname
    assert server.port
    return server.hostname, server.port


def condition(observer: Observer, kind: str, name: str, type_: str) -> str:
    """A condition of an object in flux-system: `False ReconciliationFailed: ...`; empty when it has none."""
    found = observer.get(kind, name, "-n", "flux-system").get("status", {}).get("conditions", [])
    return next((f"{one['status']} {one['reason']}: {one['message']}" for one in found if one["type"] == type_), "")


def restart_supervisor(lab: Lab) -> None:
    """As `fluxlab up` does after the supervisor was killed."""
    Lab.up(lab.spec, lifeline=True).close()


def suspend(observer: Observer, kind: str, name: str, value: str) -> None:
    """As `flux suspend` does: what kubectl itself writes, kustomize-controller takes away again."""
    patch = f'{{"spec": {{"suspend": {value}}}}}'
    words = ("-n", "flux-system", "--type=merge", f"--patch={patch}", "--field-manager=flux")
    observer.kubectl("patch", kind, name, *words)
