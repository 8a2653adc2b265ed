"""What was seen in a run of a rehearsal: all by which it is judged, and of which is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fluxlab.timeline.entries import Entry

from .results import CheckResult, FaultResult, Finding, Part, SignalResult, StepResult
from .sampling import Course
from .spec import Rehearsal


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A run that has ended, also before its end."""

    rehearsal: Rehearsal
    file: Path
    seed: int
    control: bool
    lab: str
    timeout_factor: float
    recovery_within_seconds: float
    """How long recovery may take on this machine."""
    began: datetime
    ended: datetime
    first_fault: datetime | None
    """From here on signals count."""
    healed: datetime | None
    """When the last fault was out."""
    recovered: datetime | None
    """When all parts of the hypothesis held again, at one time."""
    clock_set_seconds: float
    """By how much the clock was set meanwhile."""
    troubles: Sequence[Finding]
    """What the run could not do."""
    cut_short_at: datetime | None
    """Until when it went as the rehearsal has it, where a step could not be taken."""
    unheard: str
    """Why something may have come that nobody has heard of; nothing when all of it was heard."""
    checks: Sequence[CheckResult]
    """The answers before and after."""
    courses: Sequence[Course]
    """The answers since something was broken, of each part of the hypothesis that is asked for then."""
    sampling_trouble: str
    """Why somebody who should have asked and looked all the time has not."""
    steps: Sequence[StepResult]
    faults: Mapping[str, FaultResult]
    """By the names that the rehearsal has for them."""
    signals: Mapping[int, SignalResult]
    """By their places in the rehearsal; those that were looked for."""
    residue: Sequence[str]
    residue_unknown: str
    """Why nobody knows what is left; nothing when that is known."""
    blast_radius: Sequence[str]
    """Objects that said of themselves that they were not well, since the first fault."""
    entries: Sequence[Entry]
    """The timeline since the begin."""
    unreal: Sequence[str]
    """What takes part, and only stands in for something."""
    commit: str
    """The newest one at the begin."""

    @property
    def cut_short(self) -> bool:
        """Whether a step could not be taken."""
        return any(one.part is Part.STEP for one in self.troubles)

    @property
    def during(self) -> tuple[datetime | None, datetime | None]:
        """From the first proof that a fault was in until the last was out: what came before says nothing of faults."""
        return min((one.proven for one in self.faults.values()), default=None), self.healed
