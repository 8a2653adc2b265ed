"""Signals in a rehearsal's file: what can be seen once something is broken, what must come, and what must not."""

import re
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from fluxlab.alerts import WITHOUT_COMMIT
from fluxlab.clusters.objects import Condition, KubeObject
from fluxlab.clusters.resources import (
    GIT_REPOSITORY,
    HELM_RELEASE,
    HELM_REPOSITORY,
    KUSTOMIZATION,
    OCI_REPOSITORY,
    WORKLOADS,
)
from fluxlab.drift.aspects import DriftClass
from fluxlab.logs import matches_anything
from fluxlab.servers.sinks import SINKS
from fluxlab.servers.sinks.sink import KINDS

from .models import Model, OneOf


class ConditionSpec(Model):
    """A condition of an object's current generation."""

    kind: str
    place: str = Field(description="NAMESPACE/NAME, or NAME for what is in no namespace")
    type: str = "Ready"
    status: Literal["True", "False", "Unknown"] = "True"
    reason: str = ""
    message: str = Field(default="", description="a part of it")

    def fits(self, condition: Condition, subject: KubeObject) -> bool:
        """Whether a condition that an object has of this type is the one."""
        return (
            self.is_current(condition, subject)
            and condition.status == self.status
            and self.reason in {"", condition.reason}
            and self.message in condition.message
        )

    @staticmethod
    def is_current(condition: Condition, subject: KubeObject) -> bool:
        """Whether a condition speaks of what the object is now, as far as it says so."""
        # Kubernetes' own kinds say only once for all conditions which generation they speak of, or never.
        spoken_of = condition.observed_generation or subject.observed_generation
        return spoken_of in {0, subject.generation}


class EventSpec(Model):
    """A Kubernetes Event about an object."""

    kind: str
    place: str
    reason: str = ""
    type: Literal["", "Normal", "Warning"] = ""
    message: str = Field(default="", description="a part of it")


def _regular(pattern: str) -> str:
    try:
        anything = matches_anything(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    if anything:
        raise ValueError(f"{pattern!r} matches every line")
    return pattern


class LogSpec(Model):
    """A line in the log of a component."""

    component: str
    pattern: Annotated[str, AfterValidator(_regular)] = Field(description="a regular expression")


_PENDING = frozenset(
    resource.kind
    for resource in (GIT_REPOSITORY, HELM_REPOSITORY, OCI_REPOSITORY, KUSTOMIZATION, HELM_RELEASE, *WORKLOADS)
)
"""What a look at a commit judges, besides the cluster as a whole."""
_THE_CLUSTER = "the cluster"
"""Pending where no GitRepository follows the branch."""
_WILD = re.compile(r"[*?[]")
"""In the names of objects: a pattern (`fnmatch`)."""
_UNREASONED = frozenset({"slack", "github"})
_ABOUT = frozenset(KINDS.values())
DIFFERENCES = [class_ for class_ in DriftClass if class_ is not DriftClass.UNKNOWN]


def _place(text: str) -> str:
    """The kind of an object in a namespace; what names none never comes, and would pass as forbidden."""
    kind, _, place = text.partition(" ")
    if not all(place.partition("/")):
        raise ValueError(f"{text!r} names no object; it is KIND NAMESPACE/NAME")
    return kind


def _pending(text: str) -> str:
    if text != _THE_CLUSTER and (kind := _place(text)) not in _PENDING:
        raise ValueError(f"{kind!r} is never pending; there are {', '.join(sorted(_PENDING))}")
    return text


def _told(text: str) -> str:
    if text and (kind := _place(text)) not in _ABOUT:
        raise ValueError(f"there are no alerts about {kind!r}; there are {', '.join(sorted(_ABOUT))}")
    return text


def _provider(name: str) -> str:
    known = sorted(SINKS)
    if name and name not in known and "." not in name:
        raise ValueError(f"there is no provider {name!r}; there are {', '.join(known)}, and hosts")
    return name


def _difference(class_: DriftClass) -> DriftClass:
    if class_ not in DIFFERENCES:
        raise ValueError("what could not be compared is no signal: nobody knows whether it differs")
    return class_


def _drifting(text: str) -> str:
    kind, _, place = text.partition(" ")
    if kind[:1].islower():
        raise ValueError(f"{kind!r} is no kind: it begins with a capital letter")
    if not place and "*" not in kind:
        raise ValueError(f"{text!r} names no object; it is KIND NAMESPACE/NAME, or a pattern (*)")
    return text


class AlertSpec(Model):
    """An alert that reached one of the lab's sinks: a signal is at least one of these."""

    object: Annotated[str, AfterValidator(_told)] = Field(
        default="", description="such as Kustomization flux-system/shop"
    )
    provider: Annotated[str, AfterValidator(_provider)] = Field(
        default="", description="slack, generic, generic-hmac, github, or the host"
    )
    severity: Literal["", "info", "error"] = ""
    reason: str = Field(default="", description="only generic webhooks are told")
    message: str = Field(default="", description="a part of it")
    commit: str = Field(default="", description="the name of the commit step that it is about")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.object, self.provider, self.severity, self.reason, self.message, self.commit)):
            raise ValueError("says nothing of the alert that is meant")
        if self.reason and self.provider in _UNREASONED:
            raise ValueError(f"{self.provider} is told no reason; generic webhooks are")
        of_statuses = self.provider in {"", "github"} or "." in self.provider  # what is at a host, only the lab knows
        if self.commit and self.object.partition(" ")[0] in WITHOUT_COMMIT and not of_statuses:
            raise ValueError(f"alerts about {self.object} name no commit; statuses (provider github) do")
        return self


Difference: TypeAlias = Annotated[
    DriftClass, AfterValidator(_difference), WithJsonSchema({"type": "string", "enum": DIFFERENCES})
]


class DriftSpec(Model):
    """A difference between git and the cluster."""

    object: Annotated[str, AfterValidator(_drifting)] = Field(
        description="such as Deployment shop/frontend, or a pattern (*)"
    )
    class_: Difference | None = Field(default=None, alias="class")


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

    def chooses(self, pod: KubeObject) -> bool:
        """Whether a pod of the namespace is one of those that are meant."""
        return self.labels.items() <= pod.labels.items()


class PendingSpec(Model):
    """That the newest commit has not arrived: what has not, and why, all the time for a while."""

    object: Annotated[str, AfterValidator(_pending)] = Field(description="such as Kustomization flux-system/shop")
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

    def subject(self) -> tuple[str, str] | None:
        """Kind and place of the object that it is about, where it names one."""
        if about := self.condition or self.event:
            return about.kind, about.place
        named = self.alert or self.drift or self.pending
        if named is None or named.object in {"", _THE_CLUSTER} or _WILD.search(named.object):
            return None
        kind, _, place = named.object.partition(" ")
        return kind, place


class ExpectedSignal(SignalSpec):
    """A signal that must come in time."""

    what: str = Field(description="in words, for people")
    after: str = Field(default="", description="the name of the fault, or of the step; default: the first fault")
    within_seconds: float = Field(default=30.0, gt=0, le=600)


class ForbiddenSignal(SignalSpec):
    """A signal that must not come, from the first fault to the end of the run, or while one fault is in."""

    what: str
    during: str = Field(default="", description="the name of a fault: what comes once that is taken out is allowed")
