"""Run a rehearsal on a lab: the hypothesis holds, something is broken, signals come, it heals, the hypothesis holds."""

import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.host import ended_by_exception
from fluxlab.lab import Lab
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Entry
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.query import Query, ask
from fluxlab.waiting import wait_until

from .checks import LOOK_SECONDS, Answer, await_check, await_checks
from .footprint import Footprint
from .grounds import Grounds, Progress
from .history import History
from .judging import judge
from .lookout import Lookout
from .observed import Observed
from .results import CheckResult, Finding, Outcome, Part, RunResult
from .sampling import Sampler
from .spec import Rehearsal, SteadyState
from .steps import Steps, describe
from .telling import blast_radius, tell

WAITING = frozenset({"wait", "until"})
"""Steps that change nothing: also while one is in vain, all goes as the rehearsal has it."""
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
        self._rehearsal = rehearsal
        self._lab = lab
        self._file = file
        self._seed = seed
        self._control = control
        self._progress = progress
        self._began = datetime.now(UTC)
        self._clock_ahead_seconds = clock_ahead_seconds()
        self._begun = False
        self._commit = ""
        self._unreal: Sequence[str] = ()
        self._troubles: list[Finding] = []
        self._cut_short_at: datetime | None = None
        self._checks: list[CheckResult] = []
        self._recovered: datetime | None = None
        self._unheard = "the run did not come to its last look"
        self._residue: Sequence[str] = ()
        self._residue_unknown = "the run did not come to where it would have been looked for"
        self._history = History(lab.cluster)
        self._lookout = Lookout(rehearsal, lab, self._history, control=control)
        self._steps = Steps(lab, self._lookout, seed=seed, control=control)
        self._sampler = Sampler(lab, rehearsal.hypothesis, look=self._lookout.looking)

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
                self._sampler.stop()
                self._history.stop()
        observed = self._observed()
        # What was seen counts, also of a run that did not come to its end.
        findings = judge(observed) if self._begun else observed.troubles
        return tell(observed, findings, redactor=self._history.redactor)

    def _observed(self) -> Observed:
        """All that was seen, as it is now: threads that cannot be stopped change nothing of it."""
        first_fault = self._lookout.first_fault
        return Observed(
            rehearsal=self._rehearsal,
            file=self._file,
            seed=self._seed,
            control=self._control,
            lab=self._lab.name,
            timeout_factor=self._lab.timeout_factor,
            recovery_within_seconds=self._lab.patience(self._rehearsal.recovery_seconds),
            clock_set_seconds=clock_ahead_seconds() - self._clock_ahead_seconds,
            began=self._began,
            first_fault=first_fault.time if first_fault else None,
            healed=self._steps.healed,
            recovered=self._recovered,
            troubles=tuple(self._troubles),
            cut_short_at=self._cut_short_at,
            unheard=self._unheard,
            checks=tuple(self._checks),
            courses=tuple(course.between(None, None) for course in self._sampler.courses),
            sampling_trouble=self._sampler.trouble,
            steps=tuple(self._steps.taken),
            faults=dict(self._steps.faults),
            signals=dict(self._lookout.results),
            residue=tuple(self._residue),
            residue_unknown=self._residue_unknown,
            blast_radius=blast_radius(self._history, first_fault) if first_fault else (),
            entries=self._entries(),
            unreal=tuple(self._unreal),
            commit=self._commit,
            ended=datetime.now(UTC),
        )

    def _entries(self) -> Sequence[Entry]:
        """The timeline since the begin."""
        return ask(TimelineFolder(self._lab.folder), Query(since=self._began), masks=self._masks)

    def _masks(self) -> Redactor:
        """What masks all that Secrets had meanwhile, and all that the lab's folder knows to be secret by now."""
        TimelineFolder(self._lab.folder).teach(self._history.redactor)
        return self._history.redactor

    def _rehearse(self) -> None:
        self._before()
        before = Footprint.of(self._lab)
        self._lookout.begin()
        self._begun = True
        with self._healing():
            self._take_steps()
            if self._cut_short_at is None:
                self._await_signals()
        self._after()
        self._look_last()
        self._look_for_residue(before)

    def _before(self) -> None:
        self._unreal = self._lab.unreal()
        self._progress("the hypothesis holds before")
        self._lab.converge()
        self._commit = self._lab.repository.head()
        self._history.start(*self._lookout.kinds())
        for state in self._hypothesis("before"):
            answer = await_check(state, self._lab, BEFORE_SECONDS)
            self._answer(state.what, "before", answer)
            if not answer.holds:
                raise FluxlabError(f"before anything was done it did not hold: {state.what}", facts=[answer.words])

    def _hypothesis(self, when: str) -> Iterator[SteadyState]:
        return (state for state in self._rehearsal.hypothesis if when in state.when)

    def _take_steps(self) -> None:
        last = max(number for number, step in enumerate(self._rehearsal.steps) if step.fault)
        for number, step in enumerate(self._rehearsal.steps):
            if step.fault and self._lookout.first_fault is None:
                self._sampler.start()
            self._progress(describe(step))
            self._await_answers([step.heal] if step.heal else [])
            began = datetime.now(UTC)
            if trouble := self._steps.take(step):
                self._cut_short_at = datetime.now(UTC) if step.way() in WAITING else began
                self._find(Part.STEP, describe(step), trouble)
                return
            if self._steps.healed and number > last and not self._steps.left:
                self._sampler.recover()

    def _await_signals(self) -> None:
        self._progress("waiting for signals")
        if not self._control:
            self._lookout.await_expected()
            self._await_answers(self._steps.left)
            return
        try:
            self._lookout.await_quiet()
        except FluxlabError as error:
            self._find(Part.CONTROL, "all that comes without any fault was seen", str(error))

    def _await_answers(self, leaving: Sequence[str]) -> None:
        """Before faults go: until somebody has asked what holds while all of them are in, however short that is."""
        proven = [self._steps.faults[name].proven for name in leaving if name in self._steps.faults]
        if proven:
            self._sampler.await_answers(max(proven))

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
            self._sampler.stop()

    def _after(self) -> None:
        self._progress("the hypothesis holds after")
        early = self._sampler.recovered  # what was done since may need time of its own to arrive
        began = self._steps.healed if self._steps.healed and not early else datetime.now(UTC)
        took = max(0.0, (datetime.now(UTC) - began).total_seconds())  # less only where the clock was set back
        left = max(0.0, self._rehearsal.recovery_seconds - took / self._lab.patience(1))
        states = tuple(self._hypothesis("after"))
        found = await_checks(states, self._lab, left)
        if states and found.held:
            self._recovered = early or found.held
        for state, answer in zip(states, found.answers, strict=True):
            self._answer(state.what, "after", answer)

    def _look_last(self) -> None:
        """What nobody has heard of yet may be what must not come."""
        try:
            self._history.catch_up()
        except FluxlabError as error:
            self._unheard = str(error)
            self._find(Part.SIGNAL, "all that came was seen", self._unheard)
        else:
            self._unheard = ""
        self._lookout.look()

    def _look_for_residue(self, before: Footprint) -> None:
        """What is left once everything has had a moment to go."""
        self._progress("looking for residue")

        def none_left() -> bool:
            try:
                self._residue = tuple(Footprint.of(self._lab).residue(before, masks=self._masks))
            except FluxlabError as error:
                self._residue, self._residue_unknown = (), str(error)
                return False
            self._residue_unknown = ""
            return not self._residue

        with suppress(WaitTimeoutError):  # what is left is told
            wait_until(
                none_left,
                what="nothing is left",
                timeout_seconds=self._lab.patience(RESIDUE_SECONDS),
                interval_seconds=LOOK_SECONDS,
            )

    def _answer(self, what: str, when: str, answer: Answer) -> None:
        now = datetime.now(UTC)
        self._checks.append(CheckResult(what=what, when=when, holds=answer.holds, words=answer.words, at=now))

    def _find(self, part: Part, what: str, why: str) -> None:
        self._troubles.append(Finding(part=part, what=what, outcome=Outcome.INCONCLUSIVE, why=why))


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
