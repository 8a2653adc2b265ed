"""Commits with which a rollout hangs: the manifests are fine, and what they ask for is not there."""

from abc import abstractmethod
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from fluxlab import manifests
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.inventory import inventory
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.resources import DEPLOYMENT
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection, NoParameters, Plan
from fluxlab.faults.means.deliveries import Manifest
from fluxlab.faults.means.fates import FAULT, IMAGE_PULL, NOWHERE, Fate, begin, end, fate_of, is_fixed, selected_by
from fluxlab.faults.means.workloads import (
    condition_of,
    find_deployment,
    images,
    pods_at,
    touched,
    waiting_reasons,
    with_tag,
)
from fluxlab.manifests import Manifest as Editable
from fluxlab.repository import Repository
from fluxlab.waiting import wait_until

from .commits import KustomizationFault, find_kustomization, first_deployment, patch

MISSING_TAG = "0.0.0-missing"


class WorkloadFault(KustomizationFault):
    """A Deployment, and what becomes of it."""

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        del kustomization
        return first_deployment(known)

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        kustomization, name = find_kustomization(ground, target), str(plan.undo["name"])
        entries = inventory(kustomization) if kustomization else ()
        namespace = next(one.namespace for one in entries if (one.kind, one.name) == (DEPLOYMENT.kind, name))
        undo = {**plan.undo, "namespace": namespace}
        return replace(plan, touches=plan.touches | {touched(f"{namespace}/{name}")}, undo=undo)

    def recovered(self, ground: Ground, injection: Injection[NoParameters], commit: str) -> str:
        deployment = self.deployment(ground, injection)  # without `wait` its Kustomization is Ready, whatever it wants
        if deployment and self.asks(injection, deployment):
            return ""
        return super().recovered(ground, injection, commit)

    @abstractmethod
    def asks(self, injection: Injection[NoParameters], deployment: KubeObject) -> bool:
        """Whether a Deployment is still as the commit wants it."""

    def deployment(self, ground: Ground, injection: Injection[NoParameters]) -> KubeObject | None:
        """The Deployment in the cluster."""
        return find_deployment(ground.api, _place(injection))

    def pods(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[KubeObject]:
        """Its pods."""
        return pods_at(ground.api, _place(injection))


class BadImage(WorkloadFault):
    """A tag that nobody has pushed."""

    name = "manifest-bad-image"
    summary = "a commit names an image tag that does not exist, so that the rollout hangs"
    expect = (
        "the new pods wait in ImagePullBackOff while the old ones go on; a Kustomization with `wait` says "
        "HealthCheckFailed after its timeout, without naming the image; what heals it waits for a health check that "
        "runs. Simulated pods are told that the image is missing: no registry is asked"
    )
    title = "Update the image"

    def lacks(self, ground: Ground) -> str:
        # Pods that somebody else simulates run with any image.
        real = "" if not ground.cluster.lacks(Capability.STAGES) else ground.cluster.lacks(Capability.CONTAINERS)
        return super().lacks(ground) or real

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        return super().chosen(kustomization, [one for one in known if _containers(one.content.raw)])

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        if not ground.cluster.lacks(Capability.STAGES):
            begin(ground.api, self._fate(injection))
        _edit(repository, injection, lambda manifest: _containers(manifest)[0].update(image=injection.text("image")))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        place = f"{plan.undo['namespace']}/{plan.undo['name']}"
        deployment = ground.cluster.deployment(place)
        image = with_tag(deployment.images[0], MISSING_TAG)
        return replace(plan, undo={**plan.undo, "image": image, **selected_by(deployment)})

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del kustomization
        pods = [pod for pod in self.pods(ground, injection) if injection.text("image") in images(pod)]
        hang = [pod for pod in pods if {"ImagePullBackOff", "ErrImagePull"} & set(waiting_reasons(pod))]
        return f"{hang[0]} waits in {waiting_reasons(hang[0])[0]} for {injection.text('image')}" if hang else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        super().heal(ground, injection)
        # Not before nobody makes pods with that image any more: they would run.
        wait_until(
            lambda: self.held_back(ground, injection) or not self._is_wanted(ground, injection),
            what=f"{injection.target} applies the commit without {injection.text('image')}",
            timeout_seconds=self.proof_seconds,
            interval_seconds=0.2,
        )
        end(ground.api, self._fate(injection))

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        return "" if is_fixed(ground.api, self._fate(injection)) else super().healed(ground, injection)

    def _is_wanted(self, ground: Ground, injection: Injection[NoParameters]) -> bool:
        deployment = self.deployment(ground, injection)
        return deployment is not None and self.asks(injection, deployment)

    def asks(self, injection: Injection[NoParameters], deployment: KubeObject) -> bool:
        return injection.text("image") in Workload(deployment.raw).images

    def _fate(self, injection: Injection[NoParameters]) -> Fate:
        fate = fate_of(injection, injection.text("namespace"))
        return replace(fate, annotations={FAULT: IMAGE_PULL}, image=injection.text("image"))


class Unhealthy(WorkloadFault):
    """Nowhere to run."""

    name = "manifest-unhealthy"
    summary = "a commit asks for a node that is not there, so that the rollout hangs"
    expect = (
        "the new pods are Unschedulable while the old ones go on; a Kustomization with `wait` says HealthCheckFailed "
        "after its timeout, without naming why; what heals it waits for a health check that runs"
    )
    title = "Run on faster nodes"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        selector = {"nodeSelector": {NOWHERE: "true"}}
        patch(repository, injection, {"spec": {"template": {"spec": selector}}})

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del kustomization
        asking = [pod for pod in self.pods(ground, injection) if dig(pod.raw, "spec", "nodeSelector", NOWHERE)]
        told = (condition_of(pod, "PodScheduled") for pod in asking)
        stuck = [one.get("message") for one in told if one.get("reason") == "Unschedulable"]
        return f"a pod of {injection.text('name')} is Unschedulable: {stuck[0]}" if stuck else ""

    def asks(self, injection: Injection[NoParameters], deployment: KubeObject) -> bool:
        del injection
        return dig(deployment.raw, "spec", "template", "spec", "nodeSelector", NOWHERE) is not None


def _place(injection: Injection[NoParameters]) -> str:
    return f"{injection.text('namespace')}/{injection.text('name')}"


def _edit(repository: Repository, injection: Injection[Any], edit: Callable[[Editable], object]) -> None:
    file, kind, name = (injection.text(key) for key in ("file", "kind", "name"))
    repository.write(file, manifests.edited(repository.read(file), edit, path=file, kind=kind, name=name))


def _containers(manifest: JsonObject) -> Sequence[Editable]:
    found = items_at(manifest, "spec", "template", "spec", "containers")
    return [one for one in found if isinstance(one, MutableMapping)]
