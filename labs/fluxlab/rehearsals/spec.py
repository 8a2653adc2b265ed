"""A rehearsal as a file: what should hold, what is broken, what must be said then, and what must not."""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from fluxlab.clusters.secret import check_key, parse_place
from fluxlab.drift.records import DriftClass
from fluxlab.errors import UsageError

When = Literal["before", "during", "after"]
_EVERYWHERE: tuple[When, ...] = ("before", "during", "after")


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Many = BeforeValidator(_as_tuple)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _OneOf(_Model):
    """Exactly one of some fields says what is meant."""

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The fields of which there is exactly one."""
        raise NotImplementedError

    def way(self) -> str:
        """The one that is there."""
        return next(name for name in self.ways() if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [name for name in self.ways() if getattr(self, name) is not None]
        if len(given) != 1:
            known = ", ".join(name.rstrip("_") for name in self.ways())
            raise ValueError(f"exactly one of {known} has to be there, not {', '.join(given) or 'none'}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the same to editors."""
        schema = handler(core)
        handler.resolve_ref_schema(schema)["oneOf"] = [{"required": [name]} for name in cls.ways()]
        return schema


# -- what a cluster says ---------------------------------------------------------------------------------------------


class ConditionSpec(_Model):
    """A condition of an object's current generation."""

    kind: str
    place: str = Field(description="NAMESPACE/NAME, or NAME for what is in no namespace")
    type: str = "Ready"
    status: Literal["True", "False", "Unknown"] = "True"
    reason: str = ""
    message: str = Field(default="", description="a part of it")


class EventSpec(_Model):
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


class LogSpec(_Model):
    """A line in the log of a component."""

    component: str
    pattern: Annotated[str, AfterValidator(_regular)] = Field(description="a regular expression")


class AlertSpec(_Model):
    """An alert that reached one of the lab's sinks: a signal is at least one of these."""

    object: str = Field(default="", description="such as Kustomization flux-system/shop")
    provider: str = Field(default="", description="slack, generic, generic-hmac, github, or the host")
    severity: Literal["", "info", "error"] = ""
    reason: str = Field(default="", description="only generic webhooks are told")
    message: str = Field(default="", description="a part of it")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any((self.object, self.provider, self.severity, self.reason, self.message)):
            raise ValueError("says nothing of the alert that is meant")
        return self


class DriftSpec(_Model):
    """A difference between git and the cluster."""

    object: str = Field(description="such as Deployment shop/frontend, or a pattern (*)")
    class_: DriftClass | None = Field(default=None, alias="class")


class MetricSpec(_Model):
    """A number among a component's metrics."""

    component: str
    name: str
    labels: dict[str, str] = Field(default_factory=dict)
    above: float


class PodsSpec(_Model):
    """What a container of a workload's pods says it waits for."""

    namespace: str
    labels: dict[str, str] = Field(default_factory=dict)
    waiting: str = Field(description="the reason, such as CrashLoopBackOff, or a part of it")


class PendingSpec(_Model):
    """That the newest commit has not arrived: what has not, and why, all the time for a while."""

    object: str = Field(description="such as Kustomization flux-system/shop")
    why: str = Field(default="", description="a part of the reason")
    for_seconds: float = Field(default=3.0, ge=0)


class SignalSpec(_OneOf):
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


# -- what should hold ------------------------------------------------------------------------------------------------


class FieldSpec(_Model):
    """The value of a field of an object, as text."""

    kind: str
    place: str
    path: str = Field(description="such as data.currency or spec.replicas")
    equals: str


class Check(_OneOf):
    """Something that can be asked of a lab at any time."""

    arrived: Literal[True] | None = Field(default=None, description="the newest commit is everywhere")
    workloads: str | None = Field(default=None, description="all workloads of a namespace are rolled out")
    drift: Literal["none"] | None = Field(default=None, description="the cluster is as git wants it")
    condition: ConditionSpec | None = None
    field: FieldSpec | None = None
    absent: str | None = Field(default=None, description="an object that is not there: ConfigMap shop/settings")

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The kinds of checks."""
        return ("arrived", "workloads", "drift", "condition", "field", "absent")


class SteadyState(Check):
    """A part of the hypothesis."""

    what: str
    when: Annotated[tuple[When, ...], Many] = _EVERYWHERE
    tolerate_seconds: float = Field(default=0.0, ge=0, description="for how long it may fail while something is broken")


# -- what happens ----------------------------------------------------------------------------------------------------


class PatchSpec(_Model):
    """A change of one manifest in a file of the repository (RFC 7386: null removes)."""

    path: str
    kind: str = ""
    name: str = ""
    change: dict[str, JsonValue]


class CommitSpec(_Model):
    """A commit to push: files written (null deletes), manifests patched."""

    message: str
    write: dict[str, str | None] = Field(default_factory=dict)
    patch: Annotated[tuple[PatchSpec, ...], Many] = ()
    revert: str = Field(default="", description="the name of an earlier commit step, whose opposite is pushed")


class HumanSpec(_Model):
    """What somebody does by hand."""

    who: str = "alice"
    kubectl: Annotated[tuple[str, ...], Many]
    stdin: str = ""


class FaultSpec(_Model):
    """A fault of the catalogue to put in."""

    fault: str
    target: str = ""
    set: dict[str, JsonValue] = Field(default_factory=dict)
    for_seconds: float = Field(default=300.0, gt=0)


class Step(_OneOf):
    """One thing that is done, or waited for."""

    name: str = ""
    fault: FaultSpec | None = None
    heal: str | None = Field(default=None, description="the name of a fault's step")
    commit: CommitSpec | None = None
    human: HumanSpec | None = None
    wait: SignalSpec | None = Field(default=None, description="until a signal is seen")
    until: Check | None = Field(default=None, description="until a check holds")
    within_seconds: float = Field(default=60.0, gt=0, description="for wait and until")

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The kinds of steps."""
        return ("fault", "heal", "commit", "human", "wait", "until")

    @property
    def called(self) -> str:
        """Its name, or that of its fault."""
        return self.name or (self.fault.fault if self.fault else "")


class Truth(_Model):
    """What really is the cause, and what somebody might take for it."""

    cause: str
    not_: Annotated[tuple[str, ...], Many] = Field(default=(), alias="not")


def _secret_need(text: str) -> str:
    place, _, key = text.partition(" ")
    try:
        parse_place(place)
        check_key(key)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


SecretNeed = Annotated[str, AfterValidator(_secret_need)]


class LabNeeds(_Model):
    """The lab that a rehearsal needs."""

    scenarios: Annotated[tuple[str, ...], Many] = ("shop",)
    links: bool = False
    nodes: int = Field(default=1, ge=1, le=20)
    secrets: Annotated[tuple[SecretNeed, ...], Many] = Field(
        default=(), description="NAMESPACE/NAME KEY of values that are not in git; each gets one by chance"
    )


class Rehearsal(_Model):
    """A chaos experiment."""

    title: str
    story: str = ""
    lab: LabNeeds = LabNeeds()
    hypothesis: Annotated[tuple[SteadyState, ...], Many] = Field(min_length=1)
    steps: Annotated[tuple[Step, ...], Many] = Field(min_length=1)
    expect: Annotated[tuple[ExpectedSignal, ...], Many] = Field(min_length=1)
    forbid: Annotated[tuple[ForbiddenSignal, ...], Many] = ()
    truth: Truth
    recovery_seconds: float = Field(default=60.0, gt=0, description="from healing until the hypothesis holds again")

    @property
    def signals(self) -> tuple[ExpectedSignal | ForbiddenSignal, ...]:
        """All signals that are looked for, in the order in which results have them."""
        return (*self.expect, *self.forbid)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        _refuse_doubles("two steps are named", [step.name for step in self.steps if step.name])
        _refuse_doubles("two signals are told in the same words:", [one.what for one in self.signals])
        if not any(step.fault for step in self.steps):
            raise ValueError("steps: none of them is a fault")
        known = [step.called for step in self.steps if step.called]
        for one in self.expect:
            _refuse_unknown(f"expect: after {one.after}", one.after, known, what="step")
        faults = [step.called for step in self.steps if step.fault]
        for other in self.forbid:
            _refuse_unknown(f"forbid: during {other.during}", other.during, faults, what="fault")
        in_: list[str] = []
        commits: list[str] = []
        for step in self.steps:
            if step.fault:
                in_.append(step.called)
            if step.heal is not None:
                _refuse_unknown(f"steps: heal {step.heal}", step.heal, in_, what="fault that is in")
                in_.remove(step.heal)
            if step.commit:
                _refuse_unknown(f"steps: revert {step.commit.revert}", step.commit.revert, commits, what="commit")
                commits.append(step.name)
        return self


def _refuse_doubles(what: str, names: Sequence[str]) -> None:
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{what} {min(twice)}")


def _refuse_unknown(place: str, name: str, known: Sequence[str], *, what: str) -> None:
    if name and name not in known:
        named = ", ".join(sorted(filter(None, known))) or "none"
        raise ValueError(f"{place}: no {what} is named so; there are {named}")
