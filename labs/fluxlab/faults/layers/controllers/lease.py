"""The Lease by which a controller in a pod is the only one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import number_at, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan

from .borrowing import controllers
from .flux_pods import container_statuses, is_up

LEASE = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
LONG_SECONDS = 3600
"""For how long a stolen Lease is said to hold; healing ends it sooner."""


class ControllerLeaseStolen(Fault[NoParameters]):
    """Somebody else holds the Lease of a controller, as after a network that was cut in two."""

    name = "controller-lease-stolen"
    layer = Layer.CONTROLLERS
    summary = "somebody else holds the Lease of a Flux controller, which therefore ends and cannot begin again"
    expect = (
        "after its deadline of half a minute the controller logs `leader election lost`, exits, is started again by "
        "the kubelet, and waits for the Lease; healing deletes the Lease, and the controller makes a new one"
    )
    needs = frozenset({Capability.LEADER_ELECTION})
    proof_seconds = 120.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(one.name for one in controllers(ground))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        restarts = sum(number_at(status, "restartCount") for status in container_statuses(ground, target))
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
        restarts = sum(number_at(status, "restartCount") for status in container_statuses(ground, injection.target))
        more = restarts - int(injection.text("restarts"))
        return f"the kubelet has restarted {injection.target} {more} times since" if more > 0 else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        if self._holder(ground, injection) == injection.id:
            ground.api.delete(LEASE, _lease(injection.target), namespace=FLUX_SYSTEM)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        holder = self._holder(ground, injection)
        working = holder not in {"", injection.id} and is_up(ground, injection.target)
        return f"{holder} holds the Lease" if working else ""

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        delete = ground.typed("kubectl", "delete", "lease", _lease(injection.target), "-n", FLUX_SYSTEM)
        return [delete, *super().by_hand(ground, injection)]

    @staticmethod
    def _holder(ground: Ground, injection: Injection[NoParameters]) -> str:
        lease = ground.api.find(LEASE, _lease(injection.target), namespace=FLUX_SYSTEM)
        return text_at(lease.raw, "spec", "holderIdentity") if lease else ""


def _lease(controller: str) -> str:
    return f"{controller}-leader-election"
