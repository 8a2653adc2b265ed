"""Signals in a rehearsal's file: what can be seen once something is broken, what must come, and what must not."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fluxlab.drift.records import DriftClass

from .models import Model, OneOf


class ConditionSpec(Model):
    """A condition of an object's current generation."""

    kind: str
    place: str = Field(description="NAMESPACE/NAME, or NAME for what is in no namespace")
    type: str = "Ready"
    status: Literal["True", "False", "Unknown"] = "True"
    reason: str = ""
    message: str = Field(default="", description="a part of it")


class EventSpec(Model):
    """A Kubernetes Event about an object."""

    kind: str
    place: str
    reason: str = ""
    type: Literal["", "Normal", "Warning"] = ""
    message: str = Field(default="", description="a part of it")


def _regular(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


class LogSpec(Model):
    """A line in the log of a component."""

    component: str
    pattern: Annotated[str, AfterValidator(_regular)] = Field(description="a regular expression")


class AlertSpec(Model):
    """An alert that reached one of the lab's sinks: a signal is at least one of these."""

    object: str = Field(default="", description="such as Kustomization flux-system/shop")
    provider: str = Field(default="", description="slack, generic, generic-hmac, github, or the host")
    severity: Literal["", "info", "error"] = ""
    reason: str = Field(default="", description="only generic webhooks are told")
    message: str = Field(default="", description="a part of it")
    commit: str = Field(default="", description="the name of the commit step that it is about")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.object, self.provider, self.severity, self.reason, self.message, self.commit)):
            raise ValueError("says nothing of the alert that is meant")
        return self


class DriftSpec(Model):
    """A difference between git and the cluster."""

    object: str = Field(description="such as Deployment shop/frontend, or a pattern (*)")
    class_: DriftClass | None = Field(default=None, alias="class")


class MetricSpec(Model):
    """A number among a component's metrics."""

    component: str
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    above: float


class PodsSpec(Model):
    """What a container of a workload's pods says it waits for."""

    namespace: str
    labels: dict[str, str] = Field(default_factory=dict)
    waiting: str = Field(description="the reason, such as CrashLoopBackOff, or a part of it")


class PendingSpec(Model):
    """That the newest commit has not arrived: what has not, and why, all the time for a while."""

    object: str = Field(description="such as Kustomization flux-system/shop")
    why: str = Field(default="", description="a part of the reason")
    for_seconds: float = Field(default=3.0, ge=0)


class SignalSpec(OneOf):
    """Something that can be seen once something is broken."""

    condition: ConditionSpec | None = None
    event: EventSpec | None = None
    log: LogSpec | None = None
    alert: AlertSpec | None = None
    drift: DriftSpec | None = None
    metric: MetricSpec | None = None
    pods: PodsSpec | None = None
    pending: PendingSpec | None = None

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The kinds of signals."""
        return ("condition", "event", "log", "alert", "drift", "metric", "pods", "pending")


class ExpectedSignal(SignalSpec):
    """A signal that must come in time."""

    what: str = Field(description="in words, for people")
    after: str = Field(default="", description="the name of the fault, or of the step; default: the first fault")
    within_seconds: float = Field(default=30.0, gt=0, le=600)


class ForbiddenSignal(SignalSpec):
    """A signal that must not come, from the first fault to the end of the run, or while one fault is in."""

    what: str
    during: str = Field(default="", description="the name of a fault: what comes once that is taken out is allowed")
