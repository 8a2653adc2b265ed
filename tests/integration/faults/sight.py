"""What tests of faults look at: processes by psutil, addresses and conditions by kubectl."""

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
