"""A prune that is cut off: kustomize-controller is killed while it deletes what a commit has removed."""

import signal
from collections.abc import Sequence
from random import Random

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.resources import CONFIG_MAP
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Parameters, Plan
from fluxlab.faults.means.deliveries import deliver, delivered, held_back, revert_by_hand, take_back, taken_back
from fluxlab.faults.means.programs import (
    dead,
    find_process,
    kill_at_work,
    recalled,
    remembered,
    running,
    send,
    serving,
    start,
    stopped,
)
from fluxlab.waiting import wait_until

KUSTOMIZE_CONTROLLER = "kustomize-controller"
TITLE = "Add what is removed again"
PLACE = "default"
LABEL = "fluxlab.dev/pruned"
APPLIED_SECONDS = 60.0


class Pruned(Parameters):
    """How much there is to prune."""

    objects: int = Field(
        100, ge=20, le=500, description="how many ConfigMaps are made to be pruned: with more, the moment is longer"
    )


class ControllerKilledMidPrune(Fault[Pruned]):
    """SIGKILL of kustomize-controller at the moment at which some of what it prunes are gone, and others are not.

    What is pruned is the fault's own: it adds ConfigMaps to git, and removes them.
    """

    name = "controller-killed-mid-prune"
    layer = Layer.CONTROLLERS
    summary = (
        "a commit removes ConfigMaps that another one has added, and kustomize-controller is killed (SIGKILL) in the "
        "middle of pruning them"
    )
    expect = (
        "what it did not get to stays, and nobody says so: the Kustomization goes on to say `Reconciliation in "
        "progress`; healing starts kustomize-controller, which prunes the rest, because its inventory has all of "
        "them still"
    )
    parameters = Pruned
    needs = frozenset({Capability.PROCESSES})
    proof_seconds = 90.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        root = ground.cluster.kustomization()
        pruning = dig(root.raw, "spec", "prune") is True and root.ready and not root.suspended
        return [f"{root.namespace}/{root.name}"] if pruning else []

    def plan(self, ground: Ground, target: str, parameters: Pruned, random: Random) -> Plan:
        del parameters, random
        touches = {
            f"process:{KUSTOMIZE_CONTROLLER}",
            f"object:Kustomization {target}",
            f"branch:{ground.repository.branch}",
        }
        undo = {"head": ground.repository.head(), **remembered(running(ground)[KUSTOMIZE_CONTROLLER])}
        return Plan(touches=frozenset(touches), undo=undo)

    def inject(self, ground: Ground, injection: Injection[Pruned]) -> None:
        file, wanted = f"{ground.state().path}/{injection.id}.yaml", _config_maps(injection)
        deliver(ground, injection, TITLE, lambda repository: repository.write(file, wanted))
        wait_until(
            lambda: len(_left(ground, injection)) == len(wanted),
            what=f"Flux applies {len(wanted)} ConfigMaps in {PLACE}",
            timeout_seconds=APPLIED_SECONDS,
            interval_seconds=0.1,
        )
        take_back(ground, injection, TITLE)

        def at_work() -> bool:
            left = len(_left(ground, injection))
            if not left:  # healing has it go on
                raise FluxlabError(f"{KUSTOMIZE_CONTROLLER} has pruned all {len(wanted)} at once")
            return left < len(wanted)

        kill_at_work(recalled(injection), at_work, what=f"{KUSTOMIZE_CONTROLLER} prunes what was removed")

    def injected(self, ground: Ground, injection: Injection[Pruned]) -> str:
        left, removed = len(_left(ground, injection)), taken_back(ground, injection)
        killed = dead(ground, KUSTOMIZE_CONTROLLER, recalled(injection))
        if not (killed and removed and 0 < left < injection.parameters.objects):
            return ""
        return f"{left} of {injection.parameters.objects} ConfigMaps are left that git does not have; {killed}"

    def heal(self, ground: Ground, injection: Injection[Pruned]) -> None:
        send(recalled(injection), signal.SIGCONT)  # should it have been left between two steps
        take_back(ground, injection, TITLE)
        start(ground, KUSTOMIZE_CONTROLLER)

    def healed(self, ground: Ground, injection: Injection[Pruned]) -> str:
        on_purpose = stopped(ground, KUSTOMIZE_CONTROLLER)
        works = on_purpose or serving(find_process(ground, KUSTOMIZE_CONTROLLER))
        if not works or (delivered(ground, injection) and not taken_back(ground, injection)):
            return ""
        left = _left(ground, injection)
        if left and (held := on_purpose or held_back(ground, ground.cluster.kustomization())):
            return held
        return "" if left else f"nothing is left of what was to be pruned; {works}"

    def by_hand(self, ground: Ground, injection: Injection[Pruned]) -> Sequence[str]:
        starting = f"fluxlab up --name {ground.folder.name}"
        return [*revert_by_hand(ground, injection), starting, *super().by_hand(ground, injection)]


def _config_maps(injection: Injection[Pruned]) -> Sequence[JsonObject]:
    labels = {LABEL: injection.id}
    return [
        {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {"name": f"{injection.id}-{number}", "namespace": PLACE, "labels": labels},
        }
        for number in range(injection.parameters.objects)
    ]


def _left(ground: Ground, injection: Injection[Pruned]) -> Sequence[KubeObject]:
    """What of the ConfigMaps is there."""
    return ground.api.list(CONFIG_MAP, namespace=PLACE, query={"labelSelector": f"{LABEL}={injection.id}"})
