"""The pods in which Flux's controllers run, where they do."""

from collections.abc import Sequence

from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.resources import POD
from fluxlab.documents import Json
from fluxlab.faults.base import Ground
from fluxlab.faults.means.places import uid_of
from fluxlab.faults.means.workloads import phase


def flux_pods(ground: Ground, controller: str) -> Sequence[KubeObject]:
    """The pods of a controller, but for those that have ended (evicted, say) and stay for long."""
    found = ground.api.list(POD, namespace=FLUX_SYSTEM, query={"labelSelector": f"app={controller}"})
    return [pod for pod in found if phase(pod) not in {"Succeeded", "Failed"}]


def container_statuses(ground: Ground, controller: str, *, but: Sequence[Json] = ()) -> Sequence[Json]:
    """What is told of the controller's containers, but for pods with these UIDs."""
    pods = [pod for pod in flux_pods(ground, controller) if uid_of(pod) not in but]
    return [status for pod in pods for status in items_at(pod.raw, "status", "containerStatuses")]


def is_up(ground: Ground, controller: str) -> bool:
    """Whether a controller has containers, and all of them are ready."""
    told = container_statuses(ground, controller)
    return bool(told) and all(dig(status, "ready") is True for status in told)
