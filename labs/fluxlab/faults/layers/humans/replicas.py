"""Edits of how many pods a Deployment has."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from pydantic import Field

from fluxlab.clusters.objects import KubeObject, items_at, number_at, text_at
from fluxlab.clusters.resources import EVENT
from fluxlab.documents import Json
from fluxlab.errors import UsageError
from fluxlab.faults.base import Ground, Injection, Plan
from fluxlab.faults.means.borrowing import replicas_of
from fluxlab.faults.means.workloads import find_deployment
from fluxlab.places import parse_place
from fluxlab.timeline.attribution import APPLIERS

from .edits import EditFault, apply, named, put_field_back, replica_sets
from .people import Person, Who


class Scaling(Who):
    """How many."""

    replicas: int = Field(default=5, ge=0, le=100, description="to how many")


class ScaleFault(EditFault[Scaling]):
    """Another number of replicas, of which its controller tells in an event, and by what it has its ReplicaSets do."""

    parameters = Scaling

    def plan(self, ground: Ground, target: str, parameters: Scaling, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        if parameters.replicas == plan.undo["replicas"]:
            hint = "--set replicas=N    # another number"
            raise UsageError(f"{self.name}: {target} has {parameters.replicas} replicas already", hint=hint)
        number = replicas_of(*parse_place(target)).remembered(ground.api, plan.undo["replicas"])
        return replace(plan, undo={**plan.undo, "number": number})

    def let_go(self, ground: Ground, injection: Injection[Scaling]) -> None:
        """Where git does not say how many, Flux would leave it as it is: the number that was there is given back."""
        if not _is_declared(injection.undo["number"]):
            self.put_back(ground, injection)

    def put_back(self, ground: Ground, injection: Injection[Scaling]) -> None:
        if deployment := find_deployment(ground.api, injection.target):
            field, edited = replicas_of(deployment.namespace, deployment.name), self.is_edited(injection, deployment)
            put_field_back(ground, field, injection.undo["number"], edited=edited)

    def injected(self, ground: Ground, injection: Injection[Scaling]) -> str:
        wanted = f"to {injection.parameters.replicas}"
        said = (text for text in _events_since(ground, injection, uid=injection.text("uid")) if text.endswith(wanted))
        if text := next(said, ""):
            return f"its controller says: {text}"
        deployment = find_deployment(ground.api, injection.target)
        if deployment is None or not self.is_edited(injection, deployment):
            return ""
        # Of one object it tells 25 times, then once in five minutes (client-go, tools/record/events_cache.go).
        told = [number_at(one.raw, "spec", "replicas") for one in replica_sets(ground, injection)]
        return (
            f"its controller has its ReplicaSets keep {sum(told)} pods"
            if told and sum(told) == injection.parameters.replicas
            else ""
        )

    def is_edited(self, injection: Injection[Scaling], deployment: KubeObject) -> bool:
        there = number_at(deployment.raw, "spec", "replicas")
        return there == injection.parameters.replicas != injection.undo["replicas"]

    def edited_back(self, ground: Ground, injection: Injection[Scaling]) -> Sequence[str]:
        return [ground.typed("kubectl", "scale", *named(injection), f"--replicas={injection.text('replicas')}")]


class HumanScale(ScaleFault):
    """`kubectl scale`."""

    name = "human-scale"
    summary = "somebody scales a Deployment (kubectl scale)"
    expect = (
        "where git says how many, a Kustomization, and a HelmRelease with driftDetection enabled, correct it at their "
        "next look and say so only in an event; else it stays, and healing gives back the number that was there"
    )

    def inject(self, ground: Ground, injection: Injection[Scaling]) -> None:
        replicas = f"--replicas={injection.parameters.replicas}"
        Person.of(ground, injection).kubectl("scale", *named(injection), replicas)


class TakesOver(ScaleFault):
    """`kubectl apply --server-side --force-conflicts`."""

    name = "human-takes-over"
    summary = "somebody takes the number of replicas over from Flux (server-side apply with force, by another manager)"
    expect = (
        "Flux forces, too: a Kustomization takes the field back at its next look, a HelmRelease with driftDetection "
        "enabled patches it; the only word of it is an event. Where git does not say how many it stays, and healing "
        "gives back the number that was there, and to whom it belonged"
    )
    applied = True

    def inject(self, ground: Ground, injection: Injection[Scaling]) -> None:
        apply(ground, injection, {"replicas": injection.parameters.replicas})


def _is_declared(number: Json) -> bool:
    """Whether Flux has applied a number, because git has one."""
    return any(text_at(owner, "manager") in APPLIERS for owner in items_at(number, "owners"))


def _events_since(ground: Ground, injection: Injection[Any], *, uid: str) -> Iterator[str]:
    """What events say of an object since the fault was planned."""
    for event in ground.api.list(EVENT, query={"fieldSelector": f"involvedObject.uid={uid}"}):
        if int(event.resource_version) > int(injection.text("version")):
            yield text_at(event.raw, "message")
