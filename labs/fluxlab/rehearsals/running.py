"""Run a rehearsal on a lab: the hypothesis holds, something is broken, signals come, it heals, the hypothesis holds."""

import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.host import ended_by_exception
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.waiting import wait_until

from .checks import LOOK_SECONDS, Answer, await_check
from .footprint import Footprint
from .grounds import Grounds, Progress
from .history import History
from .judging import judge
from .lookout import Lookout
from .results import CheckResult, FaultResult, Finding, Outcome, Part, RunResult, SignalResult, StepResult
from .sampling import Sampler
from .spec import Rehearsal, SteadyState
from .steps import Steps, describe
from .telling import tell

BEFORE_SECONDS = 60.0
RESIDUE_SECONDS = 10.0


class Run:
    """One run of one rehearsal on one lab. What goes wrong in it is a finding, never an exception."""

    def __init__(
        self,
        rehearsal: Rehearsal,
        lab: Lab,
        *,
        file: Path,
        seed: int,
        control: bool,
        progress: Progress = lambda _: None,
    ) -> None:
        self.rehearsal = rehearsal
        self.lab = lab
        self.file = file
        self.seed = seed
        self.control = control
        self.began = datetime.now(UTC)
        self.findings: list[Finding] = []
        self.checks: list[CheckResult] = []
        self.residue: list[str] = []
        self.residue_unknown = "the run did not come to where it would have been looked for"
        """Why nobody knows what is left; nothing when that is known."""
        self.recovered: datetime | None = None
        self.clock_set_seconds = 0.0
        """By how much the clock was set meanwhile, once the run has ended."""
        self.head = ""
        self._clock_ahead_seconds = clock_ahead_seconds()
        self._begun = False
        self.history = History(lab.cluster)
        self._progress = progress
        self._lookout = Lookout(rehearsal, lab, self.history, control=control)
        self._steps = Steps(lab, self._lookout, seed=seed, control=control)
        self.sampler = Sampler(lab, rehearsal.hypothesis, look=self._lookout.looking)

    @property
    def steps(self) -> Sequence[StepResult]:
        """What came of each step."""
        return self._steps.taken

    @property
    def faults(self) -> Mapping[str, FaultResult]:
        """What became of each fault, by its name in the rehearsal."""
        return self._steps.faults

    @property
    def signals(self) -> Mapping[int, SignalResult]:
        """What was found, by the signal's place in the rehearsal."""
        return self._lookout.results

    @property
    def first_fault(self) -> Moment | None:
        """The moment before the first fault."""
        return self._lookout.first_fault

    @property
    def healed(self) -> datetime | None:
        """When the last fault was taken out."""
        return self._steps.healed

    @property
    def during(self) -> tuple[datetime | None, datetime | None]:
        """From the first proof that a fault was in until the last was out: what came before says nothing of faults."""
        return min((one.proven for one in self.faults.values()), default=None), self.healed

    @property
    def cut_short(self) -> bool:
        """Whether a step could not be taken."""
        return any(one.part is Part.STEP for one in self.findings)

    def execute(self) -> RunResult:
        """Do all of it. Whatever ends it, all faults are out afterwards, or a finding says which are not."""
        with ended_by_exception():
            try:
                self._rehearse()
            except FluxlabError as error:
                self._find(Part.STEP, "the run", str(error))
            except Exception as error:  # noqa: BLE001 # whatever has crashed, the run has proven nothing, and is told
                self._find(Part.STEP, "the run", "".join(traceback.format_exception(error)[-3:]))
            finally:
                self.sampler.stop()
                self.history.stop()
        self.clock_set_seconds = clock_ahead_seconds() - self._clock_ahead_seconds
        if self._begun:  # what was seen counts, also of a run that did not come to its end
            judge(self)
        return tell(self)

    def _rehearse(self) -> None:
        self._before()
        before = Footprint.of(self.lab)
        self._lookout.begin()
        self._begun = True
        with self._healing():
            self._take_steps()
            if not self.cut_short:
                self._progress("waiting for signals")
                self._lookout.await_expected()
                self._await_answers(self._steps.left)
        self._after()
        self._look_last()
        self._look_for_residue(before)

    def _before(self) -> None:
        self._progress("the hypothesis holds before")
        self.lab.converge()
        self.head = self.lab.repository.head()
        self.history.start(*self._lookout.kinds())
        for state in self._hypothesis("before"):
            answer = await_check(state, self.lab, BEFORE_SECONDS)
            self._answer(state.what, "before", answer)
            if not answer.holds:
                raise FluxlabError(f"before anything was done it did not hold: {state.what}", facts=[answer.words])

    def _hypothesis(self, when: str) -> Iterator[SteadyState]:
        return (state for state in self.rehearsal.hypothesis if when in state.when)

    def _take_steps(self) -> None:
        last = max(number for number, step in enumerate(self.rehearsal.steps) if step.fault)
        for number, step in enumerate(self.rehearsal.steps):
            if step.fault and self.first_fault is None:
                self.sampler.start()
            self._progress(describe(step))
            self._await_answers([step.heal] if step.heal else [])
            if trouble := self._steps.take(step):
                self._find(Part.STEP, describe(step), trouble)
                return
            if self.healed and number > last and not self._steps.left:
                self.sampler.recover()

    def _await_answers(self, leaving: Sequence[str]) -> None:
        """Before faults go: until somebody has asked what holds while all of them are in, however short that is."""
        proven = [self.faults[name].proven for name in leaving if name in self.faults]
        if proven:
            self.sampler.await_answers(max(proven))

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Whatever ends the block: nothing that this run has broken stays so."""
        try:
            yield
        finally:
            self._progress("healing")
            for name, error in self._steps.heal_all():
                if error:
                    self._find(Part.FAULT, f"{name} is out again", str(error))
            self.sampler.stop()

    def _after(self) -> None:
        self._progress("the hypothesis holds after")
        early = self.sampler.recovered  # what was done since may need time of its own to arrive
        began = self.healed if self.healed and not early else datetime.now(UTC)
        for state in self._hypothesis("after"):
            took = max(0.0, (datetime.now(UTC) - began).total_seconds())  # less only where the clock was set back
            left = self.rehearsal.recovery_seconds - took / self.lab.patience(1)
            self._answer(state.what, "after", await_check(state, self.lab, max(0.0, left)))
        after = [one.holds for one in self.checks if one.when == "after"]
        if after and all(after):
            self.recovered = early or datetime.now(UTC)

    def _look_last(self) -> None:
        """What nobody has heard of yet may be what must not come."""
        try:
            self.history.catch_up()
        except FluxlabError as error:
            self._find(Part.SIGNAL, "all that came was seen", str(error))
        self._lookout.look()

    def _look_for_residue(self, before: Footprint) -> None:
        """What is left once everything has had a moment to go."""
        self._progress("looking for residue")

        def none_left() -> bool:
            try:
                self.residue = list(Footprint.of(self.lab).residue(before))
            except FluxlabError as error:
                self.residue, self.residue_unknown = [], str(error)
                return False
            self.residue_unknown = ""
            return not self.residue

        with suppress(WaitTimeoutError):  # what is left is told
            wait_until(
                none_left,
                what="nothing is left",
                timeout_seconds=self.lab.patience(RESIDUE_SECONDS),
                interval_seconds=LOOK_SECONDS,
            )

    def _answer(self, what: str, when: str, answer: Answer) -> None:
        now = datetime.now(UTC)
        self.checks.append(CheckResult(what=what, when=when, holds=answer.holds, words=answer.words, at=now))

    def _find(self, part: Part, what: str, why: str) -> None:
        self.findings.append(Finding(part=part, what=what, outcome=Outcome.INCONCLUSIVE, why=why))


def clock_ahead_seconds() -> float:
    """How far the clock that others set is ahead of one that nobody does; also what a machine slept is between them."""
    return time.time() - time.monotonic()


def rehearse(
    rehearsal: Rehearsal,
    *,
    file: Path,
    seed: int,
    grounds: Grounds,
    control: bool = False,
    progress: Progress = lambda _: None,
    timeout_factor: float = 1.0,
) -> RunResult:
    """Run a rehearsal on a lab of its own, which is gone afterwards. Raises what `Grounds.lab` raises at its start."""
    result: RunResult | None = None
    try:
        with grounds.lab(rehearsal.lab, progress=progress, timeout_factor=timeout_factor) as lab:
            result = Run(rehearsal, lab, file=file, seed=seed, control=control, progress=progress).execute()
    except FluxlabError as error:
        if result is None:
            raise
        left = Finding(part=Part.RESIDUE, what="the lab is gone", outcome=Outcome.INCONCLUSIVE, why=str(error))
        return result.with_finding(left)
    return result
