"""Faults of pods: they crash, cannot be pulled, stay Pending, or take their time."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import POD
from fluxlab.clusters.secret import parse_place
from fluxlab.documents import Json
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Parameters, Plan
from fluxlab.faults.means.fates import FAULT, NOWHERE, Fate, begin, end, mark, marked
from fluxlab.faults.means.workloads import (
    condition_of,
    delete_pod,
    find_deployment,
    is_ready,
    managed_deployments,
    pods_of,
)
from fluxlab.flux.rollout import rollout

START_DELAY = "fluxlab.dev/start-delay"
RUN_TIME = "fluxlab.dev/run-time"
P = TypeVar("P", bound=Parameters)


def touched(place: str) -> str:
    """How faults name a Deployment that they change, or whose pods."""
    return f"object:Deployment {place}"


def waiting_reasons(pod: KubeObject) -> Sequence[str]:
    """For what each container of a pod waits; empty texts for those that do not."""
    statuses = items_at(pod.raw, "status", "containerStatuses")
    return [text_at(one, "state", "waiting", "reason") for one in statuses]


def restarts(pod: KubeObject) -> int:
    """How often the containers of a pod were started again."""
    return sum(number_at(one, "restartCount") for one in items_at(pod.raw, "status", "containerStatuses"))


def phase(pod: KubeObject) -> str:
    """Pending, Running, Succeeded or Failed."""
    return text_at(pod.raw, "status", "phase")


class PodFault(Fault[P]):
    """Pods of one Deployment, present and future, do not do what they should."""

    layer = Layer.PODS
    needs = frozenset({Capability.STAGES})
    replaces: ClassVar[bool] = False
    """Whether the pods that are there are deleted first: it only happens to those that start."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return managed_deployments(ground)

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: P, random: Random) -> Plan:
        del parameters, random
        (place,) = targets
        namespace, name = parse_place(place)
        spec = ground.cluster.get("Deployment", f"{namespace}/{name}").raw["spec"]
        undo = {"selector": dig(spec, "selector"), "labels": dig(spec, "template", "metadata", "labels")}
        return Plan(targets=targets, touches=frozenset({touched(place)}), undo=undo)

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        fate = self.fate(injection)
        begin(ground.api, fate)
        for pod in _pods(ground, injection):
            if self.replaces and not fate.meets(pod):
                delete_pod(ground.api, pod)
            elif fate.annotations:
                mark(ground.api, POD, pod, fate.annotations)

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        deployment = find_deployment(ground.api, injection.target)
        pods = pods_of(ground.api, deployment) if deployment else ()
        available = number_at(deployment.raw, "status", "availableReplicas") if deployment else 0
        if available or not pods or not all(map(self.shows, pods)):
            return ""
        return f"all {len(pods)} pods {self.told(pods[0])}; the Deployment has no available replicas"

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        fate = self.fate(injection)
        end(ground.api, fate)
        for pod in _pods(ground, injection):
            self.spare(ground, pod, fate)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        deployment, fate = find_deployment(ground.api, injection.target), self.fate(injection)
        if deployment is None:
            return "the Deployment is not there any more"
        pods = pods_of(ground.api, deployment)
        ready = [pod for pod in pods if is_ready(pod)]
        wanted = number_at(deployment.raw, "spec", "replicas")
        if any(fate.meets(pod) or self.shows(pod) for pod in pods) or (wanted and not ready):
            return ""
        return f"{len(ready)} of {len(pods)} pods are Ready"

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        fate = self.fate(injection)
        kubectl = f"fluxlab kubectl --lab {ground.folder.name} --"
        return [
            f"{kubectl} delete mutatingadmissionpolicybinding,mutatingadmissionpolicy {fate.name} --ignore-not-found",
            f"{kubectl} rollout restart -n {fate.namespace} deployment/{parse_place(injection.target)[1]}",
        ]

    def fate(self, injection: Injection[P]) -> Fate:
        """What new pods get."""
        return Fate(
            name=f"fluxlab-{injection.id}",
            namespace=parse_place(injection.target)[0],
            selector=injection.undo["selector"],
            labels=injection.undo["labels"],
            annotations={FAULT: self.name, **self.details(injection.parameters)},
        )

    def details(self, parameters: P) -> Mapping[str, str]:
        """What the Stage has to know besides."""
        del parameters
        return {}

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        """Take the fault from a pod that may have it."""
        if marked(pod, FAULT) == self.name:
            mark(ground.api, POD, pod, dict.fromkeys(fate.annotations))

    @abstractmethod
    def shows(self, pod: KubeObject) -> bool:
        """Whether a pod is as the fault has it."""

    @abstractmethod
    def told(self, pod: KubeObject) -> str:
        """The same in words, after `2 pods`."""


class PodCrashLoop(PodFault[NoParameters]):
    """CrashLoopBackOff."""

    name = "pod-crash-loop"
    summary = "the containers of a Deployment's pods end with an error as soon as they start (CrashLoopBackOff)"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look; a HelmRelease stays "
        "Ready and says nothing, unless it upgrades meanwhile; after healing the next look finds all well"
    )

    def shows(self, pod: KubeObject) -> bool:
        return set(waiting_reasons(pod)) == {"CrashLoopBackOff"} and restarts(pod) > 0

    def told(self, pod: KubeObject) -> str:
        return f"wait in CrashLoopBackOff, the first after {restarts(pod)} restarts"


class PodImagePull(PodFault[NoParameters]):
    """ImagePullBackOff."""

    name = "pod-image-pull"
    summary = "the pods of a Deployment are deleted, and the image of the new ones cannot be pulled (ImagePullBackOff)"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look, without naming the "
        "pods' state; a HelmRelease stays Ready and says nothing; after healing the same pods start"
    )
    replaces = True

    def shows(self, pod: KubeObject) -> bool:
        return set(waiting_reasons(pod)) == {"ImagePullBackOff"} and phase(pod) == "Pending"

    def told(self, pod: KubeObject) -> str:
        message = text_at(items_at(pod.raw, "status", "containerStatuses")[0], "state", "waiting", "message")
        return f"wait in ImagePullBackOff: {message}"


class PodPending(PodFault[NoParameters]):
    """Nowhere to run."""

    name = "pod-pending"
    summary = "the pods of a Deployment are deleted, and the scheduler finds no node for the new ones"
    expect = (
        "the pods say PodScheduled=False; a Kustomization with `wait` says HealthCheckFailed after its timeout, at its "
        "next look; a HelmRelease stays Ready and says nothing; after healing new pods are made once more"
    )
    replaces = True

    def fate(self, injection: Injection[NoParameters]) -> Fate:
        return Fate(
            name=f"fluxlab-{injection.id}",
            namespace=parse_place(injection.target)[0],
            selector=injection.undo["selector"],
            labels=injection.undo["labels"],
            node_selector={NOWHERE: self.name},
        )

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        if fate.meets(pod):
            delete_pod(ground.api, pod)

    def shows(self, pod: KubeObject) -> bool:
        return phase(pod) == "Pending" and condition_of(pod, "PodScheduled").get("reason") == "Unschedulable"

    def told(self, pod: KubeObject) -> str:
        return f"are Unschedulable: {condition_of(pod, 'PodScheduled').get('message')}"


class PodNeverReady(PodFault[NoParameters]):
    """Readiness fails."""

    name = "pod-never-ready"
    summary = "the pods of a Deployment run, and none of them is Ready"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look; a HelmRelease stays "
        "Ready and says nothing, unless it upgrades meanwhile"
    )

    def shows(self, pod: KubeObject) -> bool:
        ready = condition_of(pod, "Ready")  # a pod that became Ready may keep the reason why it was not
        told = ready.get("status") == "False" and ready.get("reason") == "ContainersNotReady"
        return phase(pod) == "Running" and told

    def told(self, pod: KubeObject) -> str:
        return f"run and are not Ready: {condition_of(pod, 'Ready').get('message')}"


class SlowStart(Parameters):
    """How slow."""

    delay_seconds: int = Field(default=20, ge=5, le=600, description="how long a container takes to start")


class PodSlowStart(PodFault[SlowStart]):
    """ContainerCreating for long."""

    name = "pod-slow-start"
    summary = "the pods of a Deployment are deleted, and each new one takes a while to start"
    expect = (
        "a Kustomization with `wait` that looks meanwhile is Reconciling until they are Ready, and fails only if its "
        "timeout is shorter than that; a HelmRelease says nothing unless it upgrades meanwhile"
    )
    parameters = SlowStart
    replaces = True

    def details(self, parameters: SlowStart) -> Mapping[str, str]:
        return {START_DELAY: f"{parameters.delay_seconds}s"}

    def shows(self, pod: KubeObject) -> bool:
        return set(waiting_reasons(pod)) == {"ContainerCreating"}

    def told(self, pod: KubeObject) -> str:
        return f"wait in {waiting_reasons(pod)[0]}"


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

    def injected(self, ground: Ground, injection: Injection[Failing]) -> str:
        pods = _pods(ground, injection)
        failed = [pod for pod in pods if self.shows(pod)]
        others = len(pods) - len(failed)
        return f"{len(failed)} pods {self.told(failed[0])}, {others} others were made" if failed and others else ""

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        del fate
        if marked(pod, FAULT) == self.name:  # of one that runs the end is fixed already
            delete_pod(ground.api, pod)

    def shows(self, pod: KubeObject) -> bool:
        return phase(pod) == "Failed"

    def told(self, pod: KubeObject) -> str:
        return f"are {phase(pod)}: {text_at(pod.raw, 'status', 'reason')}"


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

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        (place,) = targets
        deployment = find_deployment(ground.api, place)
        pods = pods_of(ground.api, deployment) if deployment else ()
        return Plan(targets=targets, touches=frozenset({touched(place)}), undo={"pods": [_uid(pod) for pod in pods]})

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        for pod in _pods(ground, injection):
            if _uid(pod) in items_at(injection.undo, "pods"):
                delete_pod(ground.api, pod)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        before, now = items_at(injection.undo, "pods"), [_uid(pod) for pod in _pods(ground, injection)]
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


def _pods(ground: Ground, injection: Injection[Any]) -> Sequence[KubeObject]:
    deployment = find_deployment(ground.api, injection.target)
    return pods_of(ground.api, deployment) if deployment else ()


def _uid(pod: KubeObject) -> Json:
    return text_at(pod.raw, "metadata", "uid")


FAULTS: Sequence[type[Fault[Any]]] = (
    PodCrashLoop,
    PodImagePull,
    PodPending,
    PodNeverReady,
    PodSlowStart,
    PodFailed,
    PodDeleted,
)
