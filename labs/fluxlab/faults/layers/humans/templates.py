"""Edits of what a Deployment makes its pods from."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection, Plan
from fluxlab.faults.means.borrowing import image_of
from fluxlab.faults.means.workloads import find_deployment, with_tag
from fluxlab.places import parse_place

from .edits import EditFault, apply, disown_by_hand, named, owner_of, put_field_back, replica_sets
from .people import Person, Who


class ImageFault(EditFault[Who]):
    """Another image, which shows in a ReplicaSet: its controller keeps it, also when Flux has corrected the edit."""

    def plan(self, ground: Ground, target: str, parameters: Who, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        kept = image_of(*parse_place(target), str(plan.undo["container"])).remembered(ground.api, plan.undo["image"])
        return replace(plan, undo={**plan.undo, "kept": kept})

    def put_back(self, ground: Ground, injection: Injection[Who]) -> None:
        if deployment := find_deployment(ground.api, injection.target):
            field = image_of(deployment.namespace, deployment.name, injection.text("container"))
            put_field_back(ground, field, injection.undo["kept"], edited=self.is_edited(injection, deployment))

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        for one in replica_sets(ground, injection):
            if _image(injection) in Workload(one.raw).images:
                return f"its controller has made {one} with {_image(injection)}"
        return ""

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        return _image(injection) in Workload(deployment.raw).images

    def edited_back(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        container = f"{injection.text('container')}={injection.text('image')}"
        return [ground.typed("kubectl", "set", "image", *named(injection), container)]


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
    suspends = True

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        owner = owner_of(injection)
        kind = owner.resource.kind.lower()
        Person.of(ground, injection).flux("suspend", kind, owner.name, f"--namespace={owner.namespace}")
        _set_image(ground, injection)

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        owner, seen = owner_of(injection).find(ground), super().injected(ground, injection)
        return f"{owner} is suspended; {seen}" if owner and owner.suspended and seen else ""

    def let_go(self, ground: Ground, injection: Injection[Who]) -> None:
        owner_of(injection).merge(ground, {"spec": {"suspend": None}})


class AddsField(EditFault[Who]):
    """A variable, applied by a manager of one's own."""

    name = "human-adds-field"
    summary = "somebody adds a variable to a Deployment that git has (server-side apply by a manager of their own)"
    expect = (
        "Flux keeps it and says nothing: what git does not have it removes only where kubectl itself owns it; the pods "
        "are rolled out with it"
    )
    applied = True

    def inject(self, ground: Ground, injection: Injection[Who]) -> None:
        variable = {"name": "HOTFIX", "value": injection.id}
        container: JsonObject = {"name": injection.text("container"), "env": [variable]}
        apply(ground, injection, {"template": {"spec": {"containers": [container]}}})

    def injected(self, ground: Ground, injection: Injection[Who]) -> str:
        for one in replica_sets(ground, injection):
            if self.is_edited(injection, one):
                return f"its controller has made {one} with HOTFIX"
        return ""

    def is_edited(self, injection: Injection[Who], deployment: KubeObject) -> bool:
        containers = items_at(deployment.raw, "spec", "template", "spec", "containers")
        variables = (variable for one in containers for variable in items_at(one, "env"))
        return any(text_at(variable, "value") == injection.id for variable in variables)

    def edited_back(self, ground: Ground, injection: Injection[Who]) -> Sequence[str]:
        return [disown_by_hand(ground, injection)]


def _set_image(ground: Ground, injection: Injection[Who]) -> None:
    container = f"{injection.text('container')}={_image(injection)}"
    Person.of(ground, injection).kubectl("set", "image", *named(injection), container)


def _image(injection: Injection[Any]) -> str:
    """The same image with a tag that is this injection's."""
    return with_tag(injection.text("image"), injection.id)
