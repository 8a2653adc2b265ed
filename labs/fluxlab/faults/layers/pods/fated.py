"""What faults of pods share: all pods of one Deployment, present and future, meet the same fate."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import ClassVar

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, number_at
from fluxlab.clusters.resources import POD
from fluxlab.faults.base import Fault, Ground, Injection, Layer, P, Plan
from fluxlab.faults.means.fates import FAULT, Fate, begin, end, fate_of, is_fixed, mark, marked, selected_by
from fluxlab.faults.means.workloads import (
    delete_pod,
    find_deployment,
    managed_deployments,
    pods_at,
    touched,
)
from fluxlab.places import parse_place


class PodFault(Fault[P]):
    """Pods of one Deployment, present and future, do not do what they should."""

    layer = Layer.PODS
    needs = frozenset({Capability.STAGES})
    replaces: ClassVar[bool] = False
    """Whether the pods that are there are deleted first: it only happens to those that start."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return managed_deployments(ground)

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del parameters, random
        undo = selected_by(ground.cluster.deployment(target))
        return Plan(touches=frozenset({touched(target)}), undo=undo)

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        fate = self.fate(injection)
        begin(ground.api, fate)
        for pod in pods_at(ground.api, injection.target):
            if self.replaces and not fate.meets(pod):
                delete_pod(ground.api, pod)
            elif fate.annotations:
                mark(ground.api, POD, pod, fate.annotations)

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        deployment = find_deployment(ground.api, injection.target)
        seen = [self.seen(pod) for pod in self.pods(ground, injection)]
        available = number_at(deployment.raw, "status", "availableReplicas") if deployment else 0
        if available or not seen or not all(seen):
            return ""
        return f"all {len(seen)} pods {seen[0]}; the Deployment has no available replicas"

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        fate = self.fate(injection)
        end(ground.api, fate)
        for pod in pods_at(ground.api, injection.target):
            self.spare(ground, pod, fate)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        deployment, fate = find_deployment(ground.api, injection.target), self.fate(injection)
        if is_fixed(ground.api, fate):  # although there may be no pods now
            return ""
        if deployment is None:
            return "the Deployment is not there any more"
        pods = self.pods(ground, injection)
        ready = [pod for pod in pods if pod.ready]
        wanted = number_at(deployment.raw, "spec", "replicas")
        if any(fate.meets(pod) or self.seen(pod) for pod in pods) or (wanted and not ready):
            return ""
        return f"{len(ready)} of {len(pods)} pods are Ready"

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        fate = self.fate(injection)
        kinds, deployment = "mutatingadmissionpolicybinding,mutatingadmissionpolicy", parse_place(injection.target)[1]
        return [
            ground.typed("kubectl", "delete", kinds, fate.name, "--ignore-not-found"),
            ground.typed("kubectl", "rollout", "restart", "-n", fate.namespace, f"deployment/{deployment}"),
        ]

    def pods(self, ground: Ground, injection: Injection[P]) -> Sequence[KubeObject]:
        """Those that the proofs are about."""
        return pods_at(ground.api, injection.target)

    def fate(self, injection: Injection[P]) -> Fate:
        """What new pods get."""
        namespace, _ = parse_place(injection.target)
        annotations = {FAULT: self.name, **self.details(injection.parameters)}
        return replace(fate_of(injection, namespace), annotations=annotations)

    def details(self, parameters: P) -> Mapping[str, str]:
        """What the Stage has to know besides."""
        del parameters
        return {}

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        """Take the fault from a pod that may have it."""
        if marked(pod, FAULT) == self.name:
            mark(ground.api, POD, pod, dict.fromkeys(fate.annotations))

    @abstractmethod
    def seen(self, pod: KubeObject) -> str:
        """What is wrong with a pod, after `2 pods`; nothing when it is not as the fault has it."""
