"""Faults of controllers that only those in pods can have: a Lease that is stolen, and memory that runs out."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from pydantic import Field as Bounded

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.flux_controllers import CONTROLLERS
from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, POD, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.borrowing import Field

LEASE = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
CONTAINER = "manager"
"""The name of a Flux controller's container."""
LONG_SECONDS = 3600
"""For how long a stolen Lease is said to hold; healing ends it sooner."""


class _InPods(Fault[P]):
    """Something that happens to the pod of a Flux controller."""

    layer = Layer.CONTROLLERS
    proof_seconds = 120.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(one.name for one in ground.api.list(DEPLOYMENT, namespace=FLUX_SYSTEM) if one.name in CONTROLLERS)


def _containers(ground: Ground, controller: str) -> Sequence[Json]:
    """What is told of the controller's containers."""
    pods = ground.api.list(POD, namespace=FLUX_SYSTEM, query={"labelSelector": f"app={controller}"})
    return [status for pod in pods for status in items_at(pod.raw, "status", "containerStatuses")]


def _ready(ground: Ground, controller: str) -> bool:
    told = _containers(ground, controller)
    return bool(told) and all(dig(status, "ready") is True for status in told)


class ControllerLeaseStolen(_InPods[NoParameters]):
    """Somebody else holds the Lease of a controller, as after a network that was cut in two."""

    name = "controller-lease-stolen"
    summary = "somebody else holds the Lease of a Flux controller, which therefore ends and cannot begin again"
    expect = (
        "after its deadline of half a minute the controller logs `leader election lost`, exits, is started again by "
        "the kubelet, and waits for the Lease; healing deletes the Lease, and the controller makes a new one"
    )
    needs = frozenset({Capability.LEADER_ELECTION})

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        restarts = sum(number_at(status, "restartCount") for status in _containers(ground, target))
        touches = frozenset({f"object:Lease {FLUX_SYSTEM}/{_lease(target)}", f"process:{target}"})
        return Plan(touches=touches, undo={"restarts": restarts})

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        stolen: JsonObject = {
            "holderIdentity": injection.id,
            "leaseDurationSeconds": LONG_SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }
        ground.api.merge(LEASE, _lease(injection.target), {"spec": stolen}, namespace=FLUX_SYSTEM)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        restarts = sum(number_at(status, "restartCount") for status in _containers(ground, injection.target))
        more = restarts - int(injection.text("restarts"))
        return f"the kubelet has restarted {injection.target} {more} times since" if more > 0 else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        if self._holder(ground, injection) == injection.id:
            ground.api.delete(LEASE, _lease(injection.target), namespace=FLUX_SYSTEM)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        holder = self._holder(ground, injection)
        working = holder not in {"", injection.id} and _ready(ground, injection.target)
        return f"{holder} holds the Lease" if working else ""

    @staticmethod
    def _holder(ground: Ground, injection: Injection[NoParameters]) -> str:
        lease = ground.api.find(LEASE, _lease(injection.target), namespace=FLUX_SYSTEM)
        return text_at(lease.raw, "spec", "holderIdentity") if lease else ""


def _lease(controller: str) -> str:
    return f"{controller}-leader-election"


class Limit(Parameters):
    """How little memory is left."""

    memory_mebibytes: int = Bounded(24, ge=8, le=1024, description="the controller's new limit, in MiB")


class ControllerOom(_InPods[Limit]):
    """A controller whose limit of memory is too low."""

    name = "controller-oom"
    summary = "the memory limit of a Flux controller is too low, and it is killed whenever it reaches it (OOM)"
    expect = (
        "its pod is OOMKilled and restarted in a loop, and what it was at is begun again each time; Flux gives the "
        "limit back when it next applies its own manifests, healing at once"
    )
    parameters = Limit
    needs = frozenset({Capability.MEMORY_LIMITS})

    def plan(self, ground: Ground, target: str, parameters: Limit, random: Random) -> Plan:
        del parameters, random
        before = _limit_of(ground.api.get(DEPLOYMENT, target, namespace=FLUX_SYSTEM))
        return Plan(
            touches=frozenset({f"object:Deployment {FLUX_SYSTEM}/{target}", f"process:{target}"}),
            undo=_memory(target).remembered(ground.api, before),
        )

    def inject(self, ground: Ground, injection: Injection[Limit]) -> None:
        _memory(injection.target).set(ground.api, f"{injection.parameters.memory_mebibytes}Mi")

    def injected(self, ground: Ground, injection: Injection[Limit]) -> str:
        return f"{injection.target} was OOMKilled" if _was_killed(ground, injection.target) else ""

    def heal(self, ground: Ground, injection: Injection[Limit]) -> None:
        _memory(injection.target).give_back(ground.api, injection.undo)

    def healed(self, ground: Ground, injection: Injection[Limit]) -> str:
        well = _ready(ground, injection.target) and not _was_killed(ground, injection.target)
        return f"{injection.target} is Ready in a pod that was never killed" if well else ""


def _memory(controller: str) -> Field:
    return Field(
        resource=DEPLOYMENT,
        namespace=FLUX_SYSTEM,
        name=controller,
        steps=(
            *("f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{CONTAINER}"}}'),
            *("f:resources", "f:limits", "f:memory"),
        ),
        manifest=_limited,
    )


def _limited(value: Json) -> JsonObject:
    limits: JsonObject = {"resources": {"limits": {"memory": value}}} if value else {}
    return {"spec": {"template": {"spec": {"containers": [{"name": CONTAINER, **limits}]}}}}


def _limit_of(deployment: KubeObject) -> Json:
    containers = items_at(deployment.raw, "spec", "template", "spec", "containers")
    ours = next((one for one in containers if text_at(one, "name") == CONTAINER), None)
    return dig(ours, "resources", "limits", "memory")


def _was_killed(ground: Ground, controller: str) -> bool:
    ends = [dig(status, state, "terminated") for status in _containers(ground, controller) for state in _STATES]
    return any(text_at(end, "reason") == "OOMKilled" for end in ends)


_STATES = ("state", "lastState")
