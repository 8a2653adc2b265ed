"""What came of a run: verdict, reasons, and everything by which somebody else can check them."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fluxlab.redaction import Redactor

from .spec import Truth


class Outcome(StrEnum):
    """Of a run, or of one thing in it."""

    PASS = "pass"  # noqa: S105 # no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """True, false, could not tell."""
        return list(Outcome).index(self)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Part(StrEnum):
    """What of a run was judged."""

    HYPOTHESIS = "hypothesis"
    STEP = "step"
    FAULT = "fault"
    """That it is out again."""
    SIGNAL = "signal"
    FORBIDDEN = "forbidden"
    CONTROL = "control"
    """What comes without any fault: signals, and alerts of errors."""
    RECOVERY = "recovery"
    RESIDUE = "residue"
    CLOCK = "clock"
    """That nobody set it, by which all but what is left was judged."""


class Finding(_Model):
    """One thing that was judged."""

    part: Part
    what: str
    outcome: Outcome
    why: str = ""


class CheckResult(_Model):
    """One answer to one part of the hypothesis."""

    what: str
    when: str
    holds: bool | None
    words: str
    at: datetime
    for_seconds: float = 0.0
    """During a fault: for how long it did not hold, or could not be told."""
    tolerated_seconds: float = 0.0
    """During a fault: for how long that is allowed."""
    ever_held: bool = True
    """During a fault: whether it held at any time; else nobody knows for how long it would not have."""

    @property
    def outcome(self) -> Outcome:
        """What it means for the run."""
        tolerated = self.for_seconds <= self.tolerated_seconds > 0
        if self.holds or (tolerated and self.ever_held):
            return Outcome.PASS
        return Outcome.INCONCLUSIVE if self.holds is None or tolerated else Outcome.FAIL


class StepResult(_Model):
    """One step that was taken."""

    name: str
    what: str
    began: datetime
    seconds: float
    words: str = ""
    skipped: bool = False
    """In a control run: it was the fault, or waits for it."""


class FaultResult(_Model):
    """One fault that was in."""

    name: str
    fault: str
    id: str
    targets: tuple[str, ...]
    parameters: dict[str, JsonValue]
    began: datetime
    proven: datetime
    proof: str
    healing: datetime | None = None
    """When it began to be taken out."""
    healed: datetime | None = None
    """When it was proven to be gone."""
    trouble: str = ""


class SignalResult(_Model):
    """One signal that was looked for."""

    what: str
    signal: dict[str, JsonValue]
    forbidden: bool = False
    within_seconds: float | None = None
    """How long it may take on this machine, timeout factor included; of what is expected only."""
    after: datetime | None = None
    seen: datetime | None = None
    after_seconds: float | None = None
    words: str = ""
    unknown: str = ""
    """Why it could not be looked for."""


class Times(_Model):
    """In seconds; None: it did not come to that."""

    first_signal_seconds: float | None = None
    """From the first fault to the first expected signal."""
    all_signals_seconds: float | None = None
    """From the first fault to the last expected signal: how long it took to be detected in full."""
    alert_seconds: float | None = None
    """From the first fault to the first alert that was expected."""
    recovery_seconds: float | None = None
    """From healing until the hypothesis held again."""


class HistoryEntry(_Model):
    """One thing that happened, for the lanes of the drawn timeline."""

    time: datetime
    lane: str
    text: str
    level: str
    object: str = ""
    commit: str = ""
    actor: str = ""


class RunResult(_Model):
    """One run of one rehearsal."""

    title: str
    story: str = ""
    file: str
    seed: int
    control: bool
    lab: str
    outcome: Outcome
    findings: tuple[Finding, ...]
    truth: Truth
    began: datetime
    first_fault: datetime | None = None
    """From here on signals count; in a control run: when the fault would have gone in."""
    healed: datetime | None = None
    """When the last fault was out."""
    recovered: datetime | None = None
    """When the hypothesis held again."""
    ended: datetime
    recovery_within_seconds: float = 0.0
    """How long that may have taken."""
    checks: tuple[CheckResult, ...] = ()
    steps: tuple[StepResult, ...] = ()
    faults: tuple[FaultResult, ...] = ()
    signals: tuple[SignalResult, ...] = ()
    times: Times = Times()
    blast_radius: tuple[str, ...] = ()
    """Objects that said of themselves that they were not well, from the first fault to the end."""
    residue: tuple[str, ...] = ()
    history: tuple[HistoryEntry, ...] = ()
    untold: int = 0
    """How many things happened besides, which mattered least and are left out of the history."""
    evidence: tuple[str, ...] = ()
    """The last things that went wrong, from the first fault on."""
    unreal: tuple[str, ...] = ()
    """What only stood in for something: simulated pods, stand-in charts."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of the programs that ran."""
    commit: str = ""
    """The newest commit when the run began."""
    replay: str
    """The command that does the same once more."""

    @property
    def seconds(self) -> float:
        """How long it took by the clock, and never less than nothing: the clock may have been set back meanwhile."""
        return max(0.0, (self.ended - self.began).total_seconds())

    @property
    def reasons(self) -> tuple[Finding, ...]:
        """The findings that made the outcome what it is."""
        return tuple(one for one in self.findings if one.outcome is self.outcome and one.outcome is not Outcome.PASS)

    def with_finding(self, finding: Finding) -> Self:
        """A copy in which one more thing was judged."""
        findings = (*self.findings, finding)
        return self.model_copy(update={"findings": findings, "outcome": verdict(findings)})

    def with_control(self, control: Self) -> Self:
        """The run where its rehearsal has this control run.

        Where that has failed, a copy that proves nothing: what comes without any fault may be what was seen. Where it
        is inconclusive, one that cannot pass; what has failed has.
        """
        if control.outcome is Outcome.PASS:
            return self
        told = next((f": {one.what}: {one.why}" for one in control.reasons), "")
        failed = control.outcome is Outcome.FAIL
        why = "invalid: its control run has failed" if failed else "not known: its control run is inconclusive"
        valid = Finding(
            part=Part.CONTROL, what="the rehearsal is valid", outcome=Outcome.INCONCLUSIVE, why=f"{why}{told}"
        )
        findings = (valid, *self.findings)
        outcome = valid.outcome if failed else verdict(findings)
        changes = {"findings": findings, "outcome": outcome}
        return self.model_copy(update={**changes, "replay": f"{self.replay} --control"})

    def as_json(self) -> str:
        """For programs, as the published schema has it, and for `RunResult.model_validate_json`."""
        return self.model_dump_json(by_alias=True, indent=2)

    def masked(self, redactor: Redactor) -> Self:
        """A copy in which no text holds a secret value: before it is printed, written or sent."""
        return self.model_validate(_masked(self.model_dump(by_alias=True), redactor))


def _masked(value: object, redactor: Redactor) -> object:
    if isinstance(value, StrEnum):
        return value
    if isinstance(value, str):
        return redactor.redact(value)
    if isinstance(value, dict):
        return {key: _masked(one, redactor) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(_masked(one, redactor) for one in value)
    return value


def verdict(judged: Iterable[Finding | RunResult]) -> Outcome:
    """A failure is one whatever else is unknown; without one, what is unknown outranks everything that passed.

    Nothing that was judged proves nothing.
    """
    outcomes = {one.outcome for one in judged}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if Outcome.INCONCLUSIVE in outcomes or not outcomes else Outcome.PASS
