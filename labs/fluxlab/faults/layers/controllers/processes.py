"""Faults of the programs that act: Flux's controllers, Kubernetes' own, KWOK."""

from collections.abc import Sequence
from random import Random

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.flux_controllers import CONTROLLERS
from fluxlab.clusters.flux_controllers import NAMESPACE as FLUX_SYSTEM
from fluxlab.clusters.objects import number_at
from fluxlab.clusters.programs import WORKERS
from fluxlab.clusters.resources import DEPLOYMENT, POD
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.means.borrowing import Field
from fluxlab.faults.means.programs import Kill, Pause, find_process, serving


class ControllerPause(Pause):
    """SIGSTOP of one that acts."""

    name = "controller-pause"
    layer = Layer.CONTROLLERS
    summary = "a controller stands still (SIGSTOP): its process and its connections stay, and nothing is done"
    expect = "no signal but a health check that times out; it catches up within a second of going on"
    programs = (*CONTROLLERS, *WORKERS)


class ControllerKill(Kill):
    """SIGKILL of one that acts."""

    name = "controller-kill"
    layer = Layer.CONTROLLERS
    summary = "a controller is gone (SIGKILL), and stays so until it is started again"
    expect = (
        "what it would have done is not done, and nobody says so: conditions stay as they were; without "
        "notification-controller each event costs the others up to 15 s; healing starts it, and it catches up"
    )
    programs = (*CONTROLLERS, *WORKERS)


class ControllerScaledDown(Fault[NoParameters]):
    """A Deployment of Flux's at 0 replicas: what a person does to stop it, and forgets."""

    name = "controller-scaled-down"
    layer = Layer.CONTROLLERS
    summary = "the Deployment of a Flux controller is scaled to 0 by hand"
    expect = (
        "nothing is done by it, and nobody says so; without source- or kustomize-controller it stays so, the other two "
        "come back when Flux next applies its own manifests, with the next commit or within ten minutes; healing gives "
        "the old number back, and the field to whom it belonged"
    )
    needs = frozenset({Capability.RESTART})
    proof_seconds = 60.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        found = ground.api.list(DEPLOYMENT, namespace=FLUX_SYSTEM)
        return sorted(one.name for one in found if one.name in CONTROLLERS and number_at(one.raw, "spec", "replicas"))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        before = number_at(ground.api.get(DEPLOYMENT, target, namespace=FLUX_SYSTEM).raw, "spec", "replicas")
        return Plan(
            touches=frozenset({f"object:Deployment {FLUX_SYSTEM}/{target}", f"process:{target}"}),
            undo=_replicas(target).remembered(ground.api, before),
        )

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        _replicas(injection.target).set(ground.api, 0)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if _instances(ground, injection.target) else f"{injection.target} does not run any more"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        _replicas(injection.target).give_back(ground.api, injection.undo)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return next((working for working in _instances(ground, injection.target).values() if working), "")

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        scale = f"scale deployment {injection.target} -n {FLUX_SYSTEM} --replicas={injection.text('value')}"
        return [f"fluxlab kubectl --lab {ground.folder.name} {scale}", *super().by_hand(ground, injection)]


def _replicas(name: str) -> Field:
    return Field(
        resource=DEPLOYMENT,
        namespace=FLUX_SYSTEM,
        name=name,
        steps=("f:spec", "f:replicas"),
        manifest=lambda value: {"spec": {"replicas": value}},
    )


def _instances(ground: Ground, controller: str) -> dict[str, str]:
    """What runs of a controller, and how it is seen that it works (empty: not yet)."""
    if not ground.cluster.lacks(Capability.PROCESSES):
        process = find_process(ground, controller)
        return {f"process {process.pid}": serving(process)} if process else {}
    pods = ground.api.list(POD, namespace=FLUX_SYSTEM, query={"labelSelector": f"app={controller}"})
    ready = {str(pod): pod.condition("Ready") for pod in pods}
    return {pod: f"{pod} is Ready" if told and told.status == "True" else "" for pod, told in ready.items()}
