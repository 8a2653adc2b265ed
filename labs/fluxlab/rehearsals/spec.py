"""A rehearsal as a file: what should hold, what is broken, what must be said then, and what must not."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from fluxlab.durations import LONGEST_SECONDS
from fluxlab.errors import UsageError
from fluxlab.places import check_key, parse_place
from fluxlab.servers.chart_metadata import VERSION

from .models import Many, Model, OneOf
from .signals import ConditionSpec, ExpectedSignal, ForbiddenSignal, SignalSpec

When = Literal["before", "during", "after"]
_EVERYWHERE: tuple[When, ...] = ("before", "during", "after")


# -- what should hold ------------------------------------------------------------------------------------------------


class FieldSpec(Model):
    """The value of a field of an object, as text."""

    kind: str
    place: str
    path: str = Field(description="such as data.currency or spec.replicas")
    equals: str = Field(description="a text as it is, anything else as JSON: true, 3")


def _object(text: str) -> str:
    """What names nothing is never there, and would always hold."""
    kind, _, place = text.partition(" ")
    if not kind or not all(place.split("/")) or place.count("/") > 1:
        raise ValueError(f"{text!r} names no object; it is KIND NAME or KIND NAMESPACE/NAME")
    return text


class Check(OneOf):
    """Something that can be asked of a lab at any time."""

    arrived: Literal[True] | None = Field(default=None, description="the newest commit is everywhere")
    workloads: str | None = Field(default=None, description="all workloads of a namespace are rolled out")
    drift: Literal["none"] | None = Field(default=None, description="the cluster is as git wants it")
    condition: ConditionSpec | None = None
    field: FieldSpec | None = None
    absent: Annotated[str, AfterValidator(_object)] | None = Field(
        default=None, description="an object that is not there: ConfigMap shop/settings"
    )

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


class PatchSpec(Model):
    """A change of one manifest in a file of the repository (RFC 7386: null removes)."""

    path: str
    kind: str = ""
    name: str = ""
    change: dict[str, JsonValue]


class CommitSpec(Model):
    """A commit to push: files written (null deletes), manifests patched."""

    message: str
    write: dict[str, str | None] = Field(default_factory=dict)
    patch: Annotated[tuple[PatchSpec, ...], Many] = ()
    revert: str = Field(default="", description="the name of an earlier commit step, whose opposite is pushed")


class HumanSpec(Model):
    """What somebody does by hand."""

    who: str = "alice"
    kubectl: Annotated[tuple[str, ...], Many]
    stdin: str = ""


def _version(text: str) -> str:
    if not VERSION.fullmatch(text):
        raise ValueError(f"{text!r} is no version; it is like 1.1.0")
    return text


class PublishSpec(Model):
    """A version of a chart to publish: the newest one that is there, under another number."""

    chart: str
    version: Annotated[str, AfterValidator(_version)]
    repository: str = Field(description="the public URL of the chart repository")


class FaultSpec(Model):
    """A fault of the catalogue to put in."""

    fault: str
    target: str = ""
    set: dict[str, JsonValue] = Field(default_factory=dict)
    for_seconds: float = Field(default=300.0, gt=0, le=LONGEST_SECONDS)


class Step(OneOf):
    """One thing that is done, or waited for."""

    name: str = ""
    fault: FaultSpec | None = None
    heal: str | None = Field(default=None, description="the name of a fault's step")
    commit: CommitSpec | None = None
    human: HumanSpec | None = None
    publish: PublishSpec | None = None
    wait: SignalSpec | None = Field(default=None, description="until a signal is seen")
    until: Check | None = Field(default=None, description="until a check holds")
    within_seconds: float = Field(default=60.0, gt=0, description="for wait and until")

    @classmethod
    def ways(cls) -> tuple[str, ...]:
        """The kinds of steps."""
        return ("fault", "heal", "commit", "human", "publish", "wait", "until")

    @property
    def called(self) -> str:
        """Its name, or that of its fault."""
        return self.name or (self.fault.fault if self.fault else "")


class Truth(Model):
    """What really is the cause, and what somebody might take for it."""

    cause: str
    not_: Annotated[tuple[str, ...], Many] = Field(default=(), alias="not")


def _secret_need(text: str) -> str:
    place, _, key = text.partition(" ")
    try:
        parse_place(place, kind="Secret")
        check_key(key)
    except UsageError as error:
        raise ValueError(str(error)) from None
    return text


SecretNeed = Annotated[str, AfterValidator(_secret_need)]


class LabNeeds(Model):
    """The lab that a rehearsal needs."""

    scenarios: Annotated[tuple[str, ...], Many] = ("shop",)
    links: bool = False
    nodes: int = Field(default=1, ge=1, le=20)
    secrets: Annotated[tuple[SecretNeed, ...], Many] = Field(
        default=(), description="NAMESPACE/NAME KEY of values that are not in git; each gets one by chance"
    )


class Rehearsal(Model):
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
        if twice := _doubles([step.called for step in self.steps if step.called]):
            raise ValueError(f"two steps are called {twice}; a name tells them apart")
        if twice := _doubles([one.what for one in self.signals]):
            raise ValueError(f"two signals are told in the same words: {twice}")
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

    @model_validator(mode="after")
    def _commits_of_alerts_fit(self) -> Self:
        commits = [step.name for step in self.steps if step.commit]
        for signal in (*self.signals, *(step.wait for step in self.steps if step.wait)):
            if signal.alert:
                _refuse_unknown(f"alert: commit {signal.alert.commit}", signal.alert.commit, commits, what="commit")
        return self


def _doubles(names: Sequence[str]) -> str:
    """A name that is there more than once, or nothing."""
    return min((name for name in names if names.count(name) > 1), default="")


def _refuse_unknown(place: str, name: str, known: Sequence[str], *, what: str) -> None:
    if name and name not in known:
        named = ", ".join(sorted(filter(None, known))) or "none"
        raise ValueError(f"{place}: no {what} is named so; there are {named}")
