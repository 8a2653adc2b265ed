"""Faults of people: what somebody does by hand, behind git's back."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, TypeVar

from pydantic import Field

from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, NAMESPACE, POD, Resource
from fluxlab.clusters.secret import parse_place
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Plan
from fluxlab.faults.means.originals import give_back, original
from fluxlab.faults.means.people import Owner, Who, disown, events_since, kubectl, managers
from fluxlab.faults.means.workloads import (
    find_deployment,
    ignore_missing,
    managed_deployments,
    touched,
    uid_of,
    with_tag,
)

REPLICA_SET = Resource(kind="ReplicaSet", plural="replicasets", group="apps")
W = TypeVar("W", bound=Who)


class EditFault(Fault[W]):
    """Somebody changes a Deployment that git has."""

    layer = Layer.HUMANS
    parameters = Who
    proof_seconds = 100.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [place for place in managed_deployments(ground) if _is_followed(ground, place)]

    def plan(self, ground: Ground, target: str, parameters: W, random: Random) -> Plan:
        del parameters, random
        deployment = ground.cluster.deployment(target)
        owner = Owner.of(deployment)
        container = items_at(deployment.raw, "spec", "template", "spec", "containers")[0]
        undo: dict[str, Json] = {
            "uid": uid_of(deployment),
            "original": original(deployment),
            "owner": owner.note(),
            "managers": managers(deployment),
            "replicas": deployment.replicas,
            "container": text_at(container, "name"),
            "image": text_at(container, "image"),
            "version": ground.api.listing(NAMESPACE, query={"limit": "1"}).resource_version,
        }
        suspended = f"object:{owner.resource.kind} {owner.namespace}/{owner.name}"
        return Plan(touches=frozenset({touched(target), suspended}), undo=undo)

    def heal(self, ground: Ground, injection: Injection[W]) -> None:
        self.let_go(ground, injection)
        Owner.noted(injection.undo["owner"]).reconcile(ground, injection.id)
        deployment = find_deployment(ground.api, injection.target)
        if deployment:
            for manager in _strangers(injection, deployment):
                disown(ground, deployment, manager)
            kept = injection.undo["original"]
            give_back(ground.api, DEPLOYMENT, kept if isinstance(kept, Mapping) else {})

    def let_go(self, ground: Ground, injection: Injection[W]) -> None:
        """Before Flux is asked."""

    def healed(self, ground: Ground, injection: Injection[W]) -> str:
        owner = Owner.noted(injection.undo["owner"]).find(ground)
        deployment = find_deployment(ground.api, injection.target)
        if owner is None:
            return "what applied the Deployment is not there any more"
        if deployment is None or owner.suspended or _strangers(injection, deployment):
            return ""
        return "" if self.is_edited(injection, deployment) else f"{owner} has made {deployment} as git wants it"

    @abstractmethod
    def is_edited(self, injection: Injection[W], deployment: KubeObject) -> bool:
        """Whether a Deployment is as the person has it."""

    def by_hand(self, ground: Ground, injection: Injection[W]) -> Sequence[str]:
        owner = Owner.noted(injection.undo["owner"])
        kind = owner.resource.kind.lower()
        return [f"fluxlab flux --lab {ground.folder.name} -- resume {kind} -n {owner.namespace} {owner.name}"]


class ImageFault(EditFault[Who]):
    """Another image, which shows in a ReplicaSet: its controller keeps it, also when Flux has corrected the edit."""

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        for one in _replica_sets(ground, injection):
            if _image(injection) in Workload(one.raw).images:
                return f"its controller has made {one} with {_image(injection)}"
        return ""

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        return _image(injection) in Workload(deployment.raw).images


class HumanEdit(ImageFault):
    """`kubectl set image`."""

    name = "human-edit"
    summary = "somebody changes the image of a Deployment that git has (kubectl set image)"
    expect = (
        "a Kustomization, and a HelmRelease with driftDetection enabled, correct it at their next look and say so only "
        "in an event; others keep it and say nothing"
    )

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        _set_image(ground, injection)


class SuspendsAndEdits(ImageFault):
    """`flux suspend`, then `kubectl set image`."""

    name = "human-suspends-and-edits"
    summary = "somebody suspends what applies a Deployment, changes its image, and forgets about it"
    expect = "nothing corrects it and nothing says so: Ready stays as it was; what is committed does not arrive either"

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        owner, who = Owner.noted(injection.undo["owner"]), injection.parameters.who
        access = (f"--as={who}", "--as-group=system:masters")
        ground.cluster.flux(
            "suspend", owner.resource.kind.lower(), owner.name, f"--namespace={owner.namespace}", *access
        )
        _set_image(ground, injection)

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        owner, seen = Owner.noted(injection.undo["owner"]).find(ground), super().injected(ground, injection)
        return f"{owner} is suspended; {seen}" if owner and owner.suspended and seen else ""

    def let_go(self, ground: Ground, injection: Injection[Who]) -> None:
        Owner.noted(injection.undo["owner"]).merge(ground, {"spec": {"suspend": None}})


class AddsField(EditFault[Who]):
    """A variable, applied by a manager of one's own."""

    name = "human-adds-field"
    summary = "somebody adds a variable to a Deployment that git has (server-side apply by a manager of their own)"
    expect = (
        "Flux keeps it and says nothing: what git does not have it removes only where kubectl itself owns it; the pods "
        "are rolled out with it"
    )

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        variable = {"name": "HOTFIX", "value": injection.id}
        container: JsonObject = {"name": injection.text("container"), "env": [variable]}
        _apply(ground, injection, {"template": {"spec": {"containers": [container]}}})

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        for one in _replica_sets(ground, injection):
            if self.is_edited(injection, one):
                return f"its controller has made {one} with HOTFIX"
        return ""

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        containers = items_at(deployment.raw, "spec", "template", "spec", "containers")
        variables = (variable for one in containers for variable in items_at(one, "env"))
        return any(text_at(variable, "value") == injection.id for variable in variables)


class Scaling(Who):
    """How many."""

    replicas: int = Field(default=5, ge=0, le=100, description="to how many")


class ScaleFault(EditFault[Scaling]):
    """Another number of replicas, of which an event of its controller tells."""

    def injected(self, ground: Ground, injection: Injection[Scaling]) -> str:
        wanted = f"to {injection.parameters.replicas}"
        said = (text for text in events_since(ground, injection, uid=injection.text("uid")) if text.endswith(wanted))
        return next((f"its controller says: {text}" for text in said), "")

    def is_edited(self, injection: Injection[Scaling], deployment: KubeObject) -> bool:
        there = number_at(deployment.raw, "spec", "replicas")
        return there == injection.parameters.replicas != injection.undo["replicas"]


class HumanScale(ScaleFault):
    """`kubectl scale`."""

    name = "human-scale"
    summary = "somebody scales a Deployment (kubectl scale)"
    expect = (
        "where git says how many, a Kustomization, and a HelmRelease with driftDetection enabled, correct it at their "
        "next look and say so only in an event; else it stays"
    )
    parameters = Scaling

    def inject(self, ground: Ground, injection: Injection[Scaling]) -> None:
        namespace, name = parse_place(injection.target)
        words = ("scale", f"--namespace={namespace}", f"deployment/{name}")
        kubectl(ground, injection.parameters.who, *words, f"--replicas={injection.parameters.replicas}")


class TakesOver(ScaleFault):
    """`kubectl apply --server-side --force-conflicts`."""

    name = "human-takes-over"
    summary = "somebody takes the number of replicas over from Flux (server-side apply with force, by another manager)"
    expect = (
        "Flux forces, too: a Kustomization takes the field back at its next look, a HelmRelease with driftDetection "
        "enabled patches it; the only word of it is an event"
    )
    parameters = Scaling

    def inject(self, ground: Ground, injection: Injection[Scaling]) -> None:
        _apply(ground, injection, {"replicas": injection.parameters.replicas})


class HumanDelete(EditFault[Who]):
    """`kubectl delete`."""

    name = "human-delete"
    summary = "somebody deletes a Deployment that git has (kubectl delete)"
    expect = (
        "a Kustomization, and a HelmRelease with driftDetection enabled, make it anew at their next look; other "
        "HelmReleases stay Ready=True without it"
    )

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        namespace, name = parse_place(injection.target)
        kubectl(ground, injection.parameters.who, "delete", f"--namespace={namespace}", f"deployment/{name}")

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        deployment = find_deployment(ground.api, injection.target)
        same = deployment is not None and uid_of(deployment) == injection.text("uid")
        if same or list(_replica_sets(ground, injection)):
            return ""
        return "the Deployment is gone, and the garbage collector has removed its ReplicaSets"

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        del injection, deployment
        return False  # one that is there was not deleted, or is made anew


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
        kubectl(ground, injection.parameters.who, *words, f"--image={injection.text('image')}")

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        pods = self._pods(ground, injection)
        return f"{pods[0]} was made for it" if pods else ""

    def heal(self, ground: Ground, injection: Injection[Who]) -> None:
        ignore_missing(lambda: ground.api.delete(DEPLOYMENT, injection.id, namespace=injection.target))

    def healed(self, ground: Ground, injection: Injection[Who]) -> str:
        place = f"{injection.target}/{injection.id}"
        if find_deployment(ground.api, place) or self._pods(ground, injection):
            return ""
        return "neither the Deployment nor pods of it are there"

    @staticmethod
    def _pods(ground: Ground, injection: Injection[Who]) -> Sequence[KubeObject]:
        return ground.api.list(POD, namespace=injection.target, query={"labelSelector": f"app={injection.id}"})

    def by_hand(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        return [f"fluxlab kubectl --lab {ground.folder.name} -- delete -n {injection.target} deployment {injection.id}"]


def _is_followed(ground: Ground, place: str) -> bool:
    deployment = find_deployment(ground.api, place)
    owner = Owner.of(deployment).find(ground) if deployment else None
    return owner is not None and not owner.suspended


def _strangers(injection: Injection[Any], deployment: KubeObject | None) -> Sequence[str]:
    """Who has fields of a Deployment and had none before."""
    before = items_at(injection.undo, "managers")
    return [one for one in managers(deployment) if one not in before] if deployment else ()


def _set_image(ground: Ground, injection: Injection[Who]) -> None:
    namespace, name = parse_place(injection.target)
    words = ("set", "image", f"--namespace={namespace}", f"deployment/{name}")
    kubectl(ground, injection.parameters.who, *words, f"{injection.text('container')}={_image(injection)}")


def _apply(ground: Ground, injection: Injection[Any], spec: JsonObject) -> None:
    namespace, name = parse_place(injection.target)
    metadata = {"name": name, "namespace": namespace}
    manifest: Json = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "metadata": metadata, "spec": spec}
    who = injection.parameters.who
    words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={who}", "-f", "-")
    kubectl(ground, who, *words, stdin=json.dumps(manifest))


def _image(injection: Injection[Any]) -> str:
    """The same image with a tag that is this injection's."""
    return with_tag(injection.text("image"), injection.id)


def _replica_sets(ground: Ground, injection: Injection[Any]) -> Iterator[KubeObject]:
    """Those of the Deployment as it was, whoever deletes it meanwhile."""
    namespace, _ = parse_place(injection.target)
    for one in ground.api.list(REPLICA_SET, namespace=namespace):
        owners = items_at(one.raw, "metadata", "ownerReferences")
        if any(dig(reference, "uid") == injection.undo["uid"] for reference in owners):
            yield one
