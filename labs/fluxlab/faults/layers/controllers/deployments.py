"""Deployments of Flux's controllers that ask for the wrong thing: no replicas, or too little memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from pydantic import Field as Bounded

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import KubeObject, dig, having, items_at, number_at, text_at
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Ground, Injection, NoParameters, Parameters, Plan
from fluxlab.faults.means.borrowing import Field, replicas_of
from fluxlab.faults.means.places import uid_of
from fluxlab.faults.means.programs import find_process, serving

from .borrowing import BorrowedField, controllers
from .flux_pods import container_statuses, flux_pods, is_up

CONTAINER = "manager"
"""The name of a Flux controller's container."""


class ControllerScaledDown(BorrowedField[NoParameters]):
    """A Deployment of Flux's at 0 replicas: what a person does to stop it, and forgets."""

    name = "controller-scaled-down"
    summary = "the Deployment of a Flux controller is scaled to 0 by hand"
    expect = (
        "nothing is done by it, and nobody says so; without source- or kustomize-controller it stays so, the other two "
        "come back when Flux next applies its own manifests, with the next commit or within ten minutes; healing gives "
        "the old number back, and the field to whom it belonged"
    )
    needs = frozenset({Capability.RESTART})
    proof_seconds = 60.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(one.name for one in controllers(ground) if self.value(one))

    def field(self, controller: str) -> Field:
        return replicas_of(FLUX_SYSTEM, controller)

    def value(self, deployment: KubeObject) -> int:
        return number_at(deployment.raw, "spec", "replicas")

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        self.field(injection.target).set(ground.api, 0)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if _instances(ground, injection.target) else f"{injection.target} does not run any more"

    def recovered(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return next((working for working in _instances(ground, injection.target).values() if working), "")

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        number = f"--replicas={injection.text('value')}"
        scale = ground.typed("kubectl", "scale", "deployment", injection.target, "-n", FLUX_SYSTEM, number)
        return [scale, *super().by_hand(ground, injection)]


def _instances(ground: Ground, controller: str) -> dict[str, str]:
    """What runs of a controller, and how it is seen that it works (empty: not yet)."""
    if not ground.cluster.lacks(Capability.PROCESSES):
        process = find_process(ground, controller)
        return {f"process {process.pid}": serving(process)} if process else {}
    return {str(pod): f"{pod} is Ready" if pod.ready else "" for pod in flux_pods(ground, controller)}


class Limit(Parameters):
    """How little memory is left."""

    memory_mebibytes: int = Bounded(24, ge=8, le=1024, description="the controller's new limit, in MiB")


class ControllerOom(BorrowedField[Limit]):
    """A controller whose limit of memory is too low."""

    name = "controller-oom"
    summary = "the memory limit of a Flux controller is too low, and it is killed whenever it reaches it (OOM)"
    expect = (
        "its pod is OOMKilled and restarted in a loop, and what it was at is begun again each time; Flux gives the "
        "limit back when it next applies its own manifests, healing at once"
    )
    parameters = Limit
    needs = frozenset({Capability.MEMORY_LIMITS})
    proof_seconds = 120.0

    def field(self, controller: str) -> Field:
        container = ("f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{CONTAINER}"}}')
        return Field(
            namespace=FLUX_SYSTEM, name=controller, steps=(*container, "f:resources"), manifest=_having_resources
        )

    def value(self, deployment: KubeObject) -> Json:
        containers = items_at(deployment.raw, "spec", "template", "spec", "containers")
        ours = next((one for one in containers if text_at(one, "name") == CONTAINER), None)
        return dig(ours, "resources")

    def inject(self, ground: Ground, injection: Injection[Limit]) -> None:
        given, memory = injection.undo["value"], f"{injection.parameters.memory_mebibytes}Mi"
        for part in ("limits", "requests"):  # nobody may request more than the limit is
            given = having(given, (part, "memory"), memory)
        self.field(injection.target).set(ground.api, given)

    def plan(self, ground: Ground, target: str, parameters: Limit, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        before = [uid_of(pod) for pod in flux_pods(ground, target)]  # another limit makes other pods
        return replace(plan, undo={**plan.undo, "pods": before})

    def injected(self, ground: Ground, injection: Injection[Limit]) -> str:
        return f"{injection.target} was OOMKilled" if _was_killed(ground, injection) else ""

    def recovered(self, ground: Ground, injection: Injection[Limit]) -> str:
        well = is_up(ground, injection.target) and not _was_killed(ground, injection)
        return f"{injection.target} is Ready in a pod that was never killed since" if well else ""

    def by_hand(self, ground: Ground, injection: Injection[Limit]) -> Sequence[str]:
        before = injection.undo["value"]
        # All of it, and no more: what was not limited before is not to be limited afterwards.
        resources = {"$patch": "replace", **(before if isinstance(before, Mapping) else {})}
        patch = json.dumps(_having_resources(resources))
        words = ("patch", "deployment", injection.target, "-n", FLUX_SYSTEM, f"--patch={patch}")
        return [ground.typed("kubectl", *words), *super().by_hand(ground, injection)]


def _having_resources(value: Json) -> JsonObject:
    resources: JsonObject = {"resources": value} if value else {}
    return {"spec": {"template": {"spec": {"containers": [{"name": CONTAINER, **resources}]}}}}


def _was_killed(ground: Ground, injection: Injection[Limit]) -> bool:
    """Whether a pod was, that was not there before."""
    ends = [
        dig(status, state, "terminated")
        for status in container_statuses(ground, injection.target, but=items_at(injection.undo, "pods"))
        for state in ("state", "lastState")
    ]
    return any(text_at(end, "reason") == "OOMKilled" for end in ends)
