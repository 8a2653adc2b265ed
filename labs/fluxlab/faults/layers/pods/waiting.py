"""Pods that do not come up: they crash, cannot be pulled, stay Pending, or take their time."""

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.faults.base import Ground, Injection, NoParameters, Parameters
from fluxlab.faults.means.fates import IMAGE_PULL, NOWHERE, Fate, fate_of
from fluxlab.faults.means.workloads import condition_of, delete_pod, phase, restarts, waiting_reasons
from fluxlab.places import parse_place

from .fated import PodFault

START_DELAY = "fluxlab.dev/start-delay"


class PodCrashLoop(PodFault[NoParameters]):
    """CrashLoopBackOff."""

    name = "pod-crash-loop"
    summary = "the containers of a Deployment's pods end with an error as soon as they start (CrashLoopBackOff)"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look; a HelmRelease stays "
        "Ready and says nothing, unless it upgrades meanwhile; after healing the next look finds all well"
    )

    def seen(self, pod: KubeObject) -> str:
        times = restarts(pod)
        crashing = set(waiting_reasons(pod)) == {"CrashLoopBackOff"} and times
        return f"wait in CrashLoopBackOff, the first after {times} restarts" if crashing else ""


class PodImagePull(PodFault[NoParameters]):
    """ImagePullBackOff."""

    name = IMAGE_PULL
    summary = "the pods of a Deployment are deleted, and the image of the new ones cannot be pulled (ImagePullBackOff)"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look, without naming the "
        "pods' state; a HelmRelease stays Ready and says nothing; after healing the same pods start"
    )
    replaces = True

    def seen(self, pod: KubeObject) -> str:
        if set(waiting_reasons(pod)) != {"ImagePullBackOff"} or phase(pod) != "Pending":
            return ""
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
        namespace, _ = parse_place(injection.target)
        return replace(fate_of(injection, namespace), node_selector={NOWHERE: self.name})

    def spare(self, ground: Ground, pod: KubeObject, fate: Fate) -> None:
        if fate.meets(pod):
            delete_pod(ground.api, pod)

    def seen(self, pod: KubeObject) -> str:
        told = condition_of(pod, "PodScheduled")
        unschedulable = phase(pod) == "Pending" and told.get("reason") == "Unschedulable"
        return f"are Unschedulable: {told.get('message')}" if unschedulable else ""


class PodNeverReady(PodFault[NoParameters]):
    """Readiness fails."""

    name = "pod-never-ready"
    summary = "the pods of a Deployment run, and none of them is Ready"
    expect = (
        "a Kustomization with `wait` says HealthCheckFailed after its timeout, at its next look; a HelmRelease stays "
        "Ready and says nothing, unless it upgrades meanwhile"
    )

    def seen(self, pod: KubeObject) -> str:
        ready = condition_of(pod, "Ready")  # a pod that became Ready may keep the reason why it was not
        unready = (ready.get("status"), ready.get("reason")) == ("False", "ContainersNotReady")
        return f"run and are not Ready: {ready.get('message')}" if unready and phase(pod) == "Running" else ""


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

    def seen(self, pod: KubeObject) -> str:
        return "wait in ContainerCreating" if set(waiting_reasons(pod)) == {"ContainerCreating"} else ""
