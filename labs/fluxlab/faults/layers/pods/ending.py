"""Pods that run, and are not there for long: evicted or deleted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from pydantic import Field

from fluxlab.clusters.objects import KubeObject, items_at, number_at, text_at
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Parameters, Plan
from fluxlab.faults.means.fates import FAULT, Fate, marked
from fluxlab.faults.means.places import uid_of
from fluxlab.faults.means.workloads import (
    delete_pod,
    find_deployment,
    managed_deployments,
    phase,
    pods_at,
    touched,
)
from fluxlab.flux.rollout import rollout

from .fated import PodFault

RUN_TIME = "fluxlab.dev/run-time"


class Failing(Parameters):
    """How often."""

    run_seconds: int = Field(default=5, ge=2, le=600, description="how long a pod runs before it is evicted")


class PodFailed(PodFault[Failing]):
    """Evicted, again and again."""

    name = "pod-failed"
    summary = "the pods of a Deployment are evicted (phase Failed) a few seconds after they have begun to run"
    expect = (
        "the ReplicaSet makes a new pod for each, so the Deployment flips between available and not; Flux says "
        "something only where a health check ends in such a gap; the failed pods stay until healing deletes them"
    )
    parameters = Failing

    def details(self, parameters: Failing) -> Mapping[str, str]:
        return {RUN_TIME: f"{parameters.run_seconds}s"}

    def plan(self, ground: Ground, target: str, parameters: Failing, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        ended = [uid_of(pod) for pod in pods_at(ground.api, target) if self.seen(pod)]
        return replace(plan, undo={**plan.undo, "ended": ended})

    def pods(self, ground: Ground, injection: Injection[Failing]) -> Sequence[KubeObject]:
        before = items_at(injection.undo, "ended")  # they stay for long, and prove nothing
        return [pod for pod in super().pods(ground, injection) if uid_of(pod) not in before]

    def injected(self, ground: Ground, injection: Injection[Failing]) -> str:
        pods = self.pods(ground, injection)
        failed = [seen for pod in pods if (seen := self.seen(pod))]
        others = len(pods) - len(failed)
        return f"{len(failed)} pods {failed[0]}, {others} others were made" if failed and others else ""

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        del fate
        if marked(pod, FAULT) == self.name:  # of one that runs the end is fixed already
            delete_pod(ground.api, pod)

    def seen(self, pod: KubeObject) -> str:
        return f"are Failed: {text_at(pod.raw, 'status', 'reason')}" if phase(pod) == "Failed" else ""


class PodDeleted(Fault[NoParameters]):
    """All at once."""

    name = "pod-deleted"
    layer = Layer.PODS
    summary = "all pods of a Deployment are deleted at once"
    expect = (
        "the ReplicaSet makes new ones at once; Flux says nothing, unless it looks in the moment before they are Ready"
    )

    def candidates(self, ground: Ground) -> Sequence[str]:
        return managed_deployments(ground)

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        pods = [uid_of(pod) for pod in pods_at(ground.api, target)]
        return Plan(touches=frozenset({touched(target)}), undo={"pods": pods})

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        for pod in pods_at(ground.api, injection.target):
            if uid_of(pod) in items_at(injection.undo, "pods"):
                delete_pod(ground.api, pod)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        before, now = items_at(injection.undo, "pods"), [uid_of(pod) for pod in pods_at(ground.api, injection.target)]
        if not before or set(before) & set(now):
            return ""
        return f"none of {len(before)} pods is there any more, {len(now)} others are"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        """Nothing: whoever made the pods makes others."""

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        deployment = find_deployment(ground.api, injection.target)
        if deployment is None:
            return "the Deployment is not there any more"
        pending = rollout(deployment)
        return "" if pending else f"{number_at(deployment.raw, 'status', 'availableReplicas')} pods are available"
