"""What edits of a Deployment that git has share: what is remembered of it, and how it becomes git's again."""

import json
import shlex
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, TypeVar

from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, NAMESPACE, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Plan
from fluxlab.faults.means.borrowing import Field
from fluxlab.faults.means.originals import give_back, original
from fluxlab.faults.means.places import uid_of
from fluxlab.faults.means.workloads import find_deployment, managed_deployments, touched
from fluxlab.places import parse_place

from .owners import Owner, disown, managers
from .people import Person, Who

REPLICA_SET = Resource(kind="ReplicaSet", plural="replicasets", group="apps")
W = TypeVar("W", bound=Who)


class EditFault(Fault[W]):
    """Somebody changes a Deployment that git has."""

    layer = Layer.HUMANS
    parameters = Who
    proof_seconds = 100.0
    applied: ClassVar[bool] = False
    """Whether the person applies it: then it is theirs until they give it up; an edit goes with its correction."""
    suspends: ClassVar[bool] = False
    """Whether the person suspends what applies it. Another suspension is somebody else's, and stays."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [place for place in managed_deployments(ground) if self._is_in_reach(ground, place)]

    def _is_in_reach(self, ground: Ground, place: str) -> bool:
        deployment = find_deployment(ground.api, place)
        owner = Owner.of(deployment).find(ground) if deployment else None
        return deployment is not None and owner is not None and not owner.suspended and self.fits(deployment)

    def fits(self, deployment: KubeObject) -> bool:
        """Whether it can be done to a Deployment."""
        return not deployment.deleting

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
        owner = owner_of(injection)
        if (found := owner.find(ground)) and found.suspended:
            self.put_back(ground, injection)
        else:
            owner.reconcile(ground, injection.id)
        deployment = find_deployment(ground.api, injection.target)
        if deployment:
            person, kept = injection.parameters.who, injection.undo["original"]
            if self._is_owner(injection, deployment):
                disown(ground, deployment, person)
            colleagues = _strangers(injection, deployment) - {person}
            give_back(ground.api, DEPLOYMENT, kept if isinstance(kept, Mapping) else {}, besides=colleagues)

    def let_go(self, ground: Ground, injection: Injection[W]) -> None:
        """Before Flux is asked."""

    def put_back(self, ground: Ground, injection: Injection[W]) -> None:
        """Undo, where Flux does not look, what does not go with the fields that are taken from the person."""

    def healed(self, ground: Ground, injection: Injection[W]) -> str:
        owner = owner_of(injection).find(ground)
        deployment = find_deployment(ground.api, injection.target)
        if owner is None:
            return "what applied the Deployment is not there any more"
        if deployment is None or (owner.suspended and self.suspends):
            return ""
        if self._is_owner(injection, deployment) or self.is_edited(injection, deployment):
            return ""
        if owner.suspended:
            return f"{owner} is suspended by somebody, and {deployment} is as it was"
        return f"{owner} has looked, and {deployment} is as git wants it"

    def _is_owner(self, injection: Injection[W], deployment: KubeObject) -> bool:
        """Whether the person has fields of a Deployment, and had none before."""
        return self.applied and injection.parameters.who in _strangers(injection, deployment)

    @abstractmethod
    def is_edited(self, injection: Injection[W], deployment: KubeObject) -> bool:
        """Whether a Deployment is as the person has it."""

    def by_hand(self, ground: Ground, injection: Injection[W]) -> Sequence[str]:
        # Flux comes last: it does not look at all that was edited, but whatever it owns is its own again then.
        verb = "resume" if self.suspends else "reconcile"
        return [*self.edited_back(ground, injection), owner_of(injection).by_hand(ground, verb)]

    def edited_back(self, ground: Ground, injection: Injection[W]) -> Sequence[str]:
        """The commands by which a person edits the Deployment back, whether Flux looks at it or not."""
        del ground, injection
        return ()


def owner_of(injection: Injection[Any]) -> Owner:
    """What applies the Deployment."""
    return Owner.noted(injection.undo["owner"])


def named(injection: Injection[Any]) -> tuple[str, str]:
    """The Deployment, as kubectl is told of it."""
    namespace, name = parse_place(injection.target)
    return f"--namespace={namespace}", f"deployment/{name}"


def apply(ground: Ground, injection: Injection[Any], spec: JsonObject) -> None:
    """Have a person apply something to the Deployment, by a manager of their own."""
    manifest: Json = {**_manifest(injection), "spec": spec}
    person = Person.of(ground, injection)
    words = ("apply", "--server-side", "--force-conflicts", f"--field-manager={person.name}", "-f", "-")
    person.kubectl(*words, stdin=json.dumps(manifest))


def disown_by_hand(ground: Ground, injection: Injection[Any]) -> str:
    """The command that takes away what the person has applied to the Deployment and nobody else wants."""
    nothing = shlex.quote(json.dumps(_manifest(injection)))
    manager = f"--field-manager={injection.parameters.who}"
    return f"echo {nothing} | {ground.typed('kubectl', 'apply', '--server-side', manager, '-f', '-')}"


def _manifest(injection: Injection[Any]) -> JsonObject:
    namespace, name = parse_place(injection.target)
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "metadata": metadata}


def put_field_back(ground: Ground, field: Field, kept: Json, *, edited: bool) -> None:
    """Give a field back as it was remembered, which nobody is to correct; unless it is edited, only whose it was."""
    if isinstance(kept, Mapping):
        if edited:
            field.set(ground.api, kept["value"])
        field.give_back(ground.api, kept)


def replica_sets(ground: Ground, injection: Injection[Any]) -> Iterator[KubeObject]:
    """Those of the Deployment as it was, whoever deletes it meanwhile."""
    namespace, _ = parse_place(injection.target)
    for one in ground.api.list(REPLICA_SET, namespace=namespace):
        owners = items_at(one.raw, "metadata", "ownerReferences")
        if any(dig(reference, "uid") == injection.undo["uid"] for reference in owners):
            yield one


def _strangers(injection: Injection[Any], deployment: KubeObject) -> frozenset[str]:
    """Who has fields of a Deployment and had none before."""
    return frozenset(managers(deployment)).difference(items_at(injection.undo, "managers"))
