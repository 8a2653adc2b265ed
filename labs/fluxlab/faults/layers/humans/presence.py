"""Deployments that somebody deletes, or adds to those of git."""

from collections.abc import Mapping, Sequence
from random import Random

from fluxlab.clusters.objects import KubeObject, items_at
from fluxlab.clusters.resources import DEPLOYMENT, POD
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Plan
from fluxlab.faults.means.originals import recreate
from fluxlab.faults.means.places import remove, uid_of
from fluxlab.faults.means.workloads import find_deployment, managed_deployments
from fluxlab.places import parse_place

from .edits import EditFault, named, replica_sets
from .people import Person, Who

REVISION = "deployment.kubernetes.io/revision"
"""What a Deployment's controller writes into it, with the status: it would count as that of whoever makes it anew."""


class HumanDelete(EditFault[Who]):
    """`kubectl delete`."""

    name = "human-delete"
    summary = "somebody deletes a Deployment that git has (kubectl delete)"
    expect = (
        "a Kustomization, and a HelmRelease with driftDetection enabled, make it anew at their next look; other "
        "HelmReleases stay Ready=True without it"
    )

    def fits(self, deployment: KubeObject) -> bool:
        # One with a finalizer stays for as long as somebody likes, and nothing keeps it then.
        return super().fits(deployment) and not items_at(deployment.raw, "metadata", "finalizers")

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        Person.of(ground, injection).kubectl("delete", *named(injection))

    def put_back(self, ground: Ground, injection: Injection[Who]) -> None:
        kept = injection.undo["original"]
        if isinstance(kept, Mapping):
            recreate(ground.api, DEPLOYMENT, kept, besides=REVISION)

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        deployment = find_deployment(ground.api, injection.target)
        same = deployment is not None and uid_of(deployment) == injection.text("uid")
        if same or list(replica_sets(ground, injection)):
            return ""
        return "the Deployment is gone, and the garbage collector has removed its ReplicaSets"

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        del injection
        return deployment.deleting  # another one that is there was not deleted, or is made anew


class NewObject(Fault[Who]):
    """`kubectl create`."""

    name = "human-new-object"
    layer = Layer.HUMANS
    parameters = Who
    summary = "somebody creates a Deployment beside those that git has (kubectl create)"
    expect = "Flux does not touch it and says nothing, for as long as it is there"

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted({parse_place(place)[0] for place in managed_deployments(ground)})

    def plan(self, ground: Ground, target: str, parameters: Who, random: Random) -> Plan:
        del parameters, random
        place = next(place for place in managed_deployments(ground) if parse_place(place)[0] == target)
        image = ground.cluster.deployment(place).images[0]
        return Plan(touches=frozenset({f"object:Namespace {target}"}), undo={"image": image})

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        words = ("create", "deployment", injection.id, f"--namespace={injection.target}")
        Person.of(ground, injection).kubectl(*words, f"--image={injection.text('image')}")

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        pods = self._pods(ground, injection)
        return f"{pods[0]} was made for it" if pods else ""

    def heal(self, ground: Ground, injection: Injection[Who]) -> None:
        remove(ground.api, DEPLOYMENT, injection.id, namespace=injection.target)

    def healed(self, ground: Ground, injection: Injection[Who]) -> str:
        place = f"{injection.target}/{injection.id}"
        if find_deployment(ground.api, place) or self._pods(ground, injection):
            return ""
        return "neither the Deployment nor pods of it are there"

    @staticmethod
    def _pods(ground: Ground, injection: Injection[Who]) -> Sequence[KubeObject]:
        return ground.api.list(POD, namespace=injection.target, query={"labelSelector": f"app={injection.id}"})

    def by_hand(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        return [ground.typed("kubectl", "delete", "-n", injection.target, "deployment", injection.id)]
