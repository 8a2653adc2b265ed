"""Run a rehearsal on a lab: the hypothesis holds, something is broken, signals come, it heals, the hypothesis holds."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.resources import Resource
from fluxlab.commands import run
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.injecting import StuckError
from fluxlab.host import ended_by_exception
from fluxlab.lab import Lab
from fluxlab.moments import Commit, Moment
from fluxlab.processes import Identity
from fluxlab.spec import LabSpec
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

from .checks import Answer, ask
from .footprint import Footprint
from .history import History
from .judging import judge
from .results import CheckResult, FaultResult, Finding, Outcome, RunResult, SignalResult, StepResult
from .sampling import Sampler
from .sensing import Seen, Senses
from .spec import Check, CommitSpec, ExpectedSignal, FaultSpec, ForbiddenSignal, HumanSpec, Rehearsal, SignalSpec, Step
from .telling import tell

BEFORE_SECONDS = 60.0
RESIDUE_SECONDS = 10.0
QUIET_SECONDS = 15.0
"""For how long a control run waits for signals that must not come."""
LOOK_SECONDS = 0.2
Progress = Callable[[str], None]


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
        self.steps: list[StepResult] = []
        self.faults: dict[str, FaultResult] = {}
        self.signals: dict[int, SignalResult] = {}
        self.residue: list[str] = []
        self.first_fault: Moment | None = None
        self.healed: datetime | None = None
        self.recovered: datetime | None = None
        self.head = ""
        self.history = History(lab.cluster)
        self._progress = progress
        self._lock = threading.Lock()
        self._senses = Senses(lab, self.history)
        self._moments: dict[str, Moment] = {}
        self._records: dict[str, FaultRecord] = {}
        self._commits: dict[str, Commit] = {}
        self._sampler = Sampler(lab, rehearsal.hypothesis, look=self._looking)

    def execute(self) -> RunResult:
        """Do all of it. Whatever ends it, all faults are out afterwards, or a finding says which are not."""
        with ended_by_exception():
            try:
                self._rehearse()
            except FluxlabError as error:
                self._find("step", "the run", Outcome.INCONCLUSIVE, str(error))
            finally:
                self._sampler.stop()
                self.history.stop()
        return tell(self)

    def _rehearse(self) -> None:
        with self._healing():
            self._before()
            before = Footprint.of(self.lab)
            self.first_fault = None
            for step in self.rehearsal.steps:
                if not self._take(step):
                    break
            self._await_signals()
        self._after()
        self._sense(self._senses)
        self._look_for_residue(before)
        judge(self)

    # -- before --------------------------------------------------------------------------------------------------

    def _before(self) -> None:
        self._progress("the hypothesis holds before")
        self.lab.converge()
        self.head = self.lab.repository.head()
        self.history.start(*self._kinds())
        for state in self.rehearsal.hypothesis:
            if "before" in state.when:
                answer = self._await_check(state, BEFORE_SECONDS)
                self._answer(state.what, "before", answer)
                if not answer.holds:
                    raise FluxlabError(f"before anything was done it did not hold: {state.what}", facts=[answer.words])

    def _kinds(self) -> Iterator[Resource]:
        """The resources that signals are about, besides those that are watched in any case."""
        kinds = Kinds(self.lab.cluster.api)
        for signal in self._all_signals():
            for spec in (signal.condition, signal.event):
                if spec:
                    yield kinds.find(spec.kind)

    def _all_signals(self) -> Iterator[SignalSpec]:
        yield from self.rehearsal.expect
        yield from self.rehearsal.forbid
        yield from (step.wait for step in self.rehearsal.steps if step.wait)

    def _await_check(self, check: Check, seconds: float) -> Answer:
        """The first answer that it holds, or the last one."""
        last = Answer(holds=None, words="not asked")

        def holds() -> bool:
            nonlocal last
            last = ask(check, self.lab)
            return bool(last.holds)

        try:
            wait_until(holds, what="a check", timeout_seconds=self.lab.patience(seconds), interval_seconds=LOOK_SECONDS)
        except WaitTimeoutError:
            return last
        return last

    def _answer(self, what: str, when: str, answer: Answer, *, for_seconds: float = 0.0) -> None:
        self.checks.append(
            CheckResult(
                what=what,
                when=when,
                holds=answer.holds,
                words=answer.words,
                at=datetime.now(UTC),
                for_seconds=round(for_seconds, 3),
            )
        )

    # -- steps ---------------------------------------------------------------------------------------------------

    def _take(self, step: Step) -> bool:
        """Take one step; returns whether the next makes sense."""
        began, clock = datetime.now(UTC), time.monotonic()
        skipped = self.control and (step.fault is not None or step.heal is not None or step.wait is not None)
        what = _describe(step)
        self._progress(f"{'skipping' if skipped else 'doing'}: {what}")
        words, failed = "", ""
        if step.fault:
            self._begin_faults(step)
        try:
            words = "" if skipped else self._do(step)
        except FluxlabError as error:
            failed = str(error)
        self.steps.append(
            StepResult(
                name=step.name,
                what=what,
                began=began,
                seconds=round(time.monotonic() - clock, 3),
                words=words or failed,
                skipped=skipped,
            )
        )
        if failed:
            self._find("step", what, Outcome.INCONCLUSIVE, failed)
        return not failed

    def _begin_faults(self, step: Step) -> None:
        """From here on signals count, in a control run as well."""
        moment = self.lab.moment()
        self._moments[step.name or (step.fault.fault if step.fault else "")] = moment
        if self.first_fault is None:
            self.first_fault = moment
            self._sampler.start()

    def _do(self, step: Step) -> str:
        if step.fault:
            return self._inject(step.name or step.fault.fault, step.fault)
        if step.heal is not None:
            return self._heal(step.heal)
        if step.name:
            self._moments[step.name] = self.lab.moment()
        if step.commit:
            return self._commit(step.name, step.commit)
        if step.human:
            return self._by_hand(step.human)
        if step.wait:
            return self._await_signal(step.wait, step.within_seconds)
        if step.until:
            answer = self._await_check(step.until, step.within_seconds)
            if not answer.holds:
                raise FluxlabError(f"not within {step.within_seconds:g} s", facts=[answer.words])
            return answer.words
        raise AssertionError("of the kinds of steps there is one")

    def _inject(self, name: str, spec: FaultSpec) -> str:
        began = datetime.now(UTC)
        record = self.lab.faults.inject(
            spec.fault,
            cluster=self.lab.cluster.name,
            target=spec.target,
            parameters=spec.set,
            for_seconds=self.lab.patience(spec.for_seconds),
            seed=self.seed,
            owner=Identity.of(os.getpid()),
        )
        self._records[name] = record
        self.faults[name] = FaultResult(
            name=name,
            fault=record.fault,
            id=record.id,
            targets=record.targets,
            parameters=record.parameters,
            began=began,
            proven=datetime.now(UTC),
            proof=record.proof,
        )
        return record.proof

    def _heal(self, name: str) -> str:
        record = self._records.pop(name)
        try:
            self.lab.faults.heal(record.id)
        except StuckError as error:
            self.faults[name] = self.faults[name].model_copy(update={"trouble": str(error)})
            raise
        finally:
            self.healed = datetime.now(UTC)
        self.faults[name] = self.faults[name].model_copy(update={"healed": self.healed})
        return "out"

    def _commit(self, name: str, spec: CommitSpec) -> str:
        repository = self.lab.repository
        if spec.revert:
            commit = repository.revert(self._commits[spec.revert], message=spec.message)
        else:
            for path, text in spec.write.items():
                if text is None:
                    repository.delete(path)
                else:
                    repository.write(path, text)
            for patch in spec.patch:
                repository.patch(patch.path, patch.change, kind=patch.kind, name=patch.name)
            commit = repository.commit(spec.message)
        self._commits[name] = commit
        return commit.sha

    def _by_hand(self, spec: HumanSpec) -> str:
        cluster = self.lab.cluster
        words = [f"--kubeconfig={cluster.kubeconfig}", f"--as={spec.who}", "--as-group=system:masters", *spec.kubectl]
        done = run([find().binary("kubectl"), *words], stdin=spec.stdin or None, timeout_seconds=self.lab.patience(30))
        return done.stdout.strip()

    def _await_signal(self, signal: SignalSpec, within_seconds: float) -> str:
        after = self.first_fault or Moment(time=self.began)
        seen = wait_until(
            lambda: self._senses.find(signal, after=after),
            what=describe_signal(signal),
            timeout_seconds=self.lab.patience(within_seconds),
            interval_seconds=LOOK_SECONDS,
        )
        return seen.words

    # -- signals -------------------------------------------------------------------------------------------------

    def _looking(self, own: Lab) -> Callable[[], None]:
        """What the sampler does in each round."""
        senses = Senses(own, self.history)
        return lambda: self._sense(senses)

    def _sense(self, senses: Senses) -> None:
        """Look for each signal that has not been seen yet. From any thread, with senses of its own."""
        for number, signal in enumerate(self.rehearsal.signals):
            known = self.signals.get(number)
            if known and known.seen:
                continue
            after = self._moment_of(signal)
            if after is None:
                continue
            try:
                seen, unknown = senses.find(signal, after=after), ""
            except FluxlabError as error:
                seen, unknown = None, str(error)
            with self._lock:
                known = self.signals.get(number)
                if not (known and known.seen):  # the other thread may have been the first
                    self.signals[number] = self._signal(signal, after, seen, unknown)

    def _moment_of(self, signal: ExpectedSignal | ForbiddenSignal) -> Moment | None:
        if isinstance(signal, ExpectedSignal) and signal.after:
            return self._moments.get(signal.after)
        return self.first_fault

    def _signal(
        self, signal: ExpectedSignal | ForbiddenSignal, after: Moment, seen: Seen | None, unknown: str
    ) -> SignalResult:
        way = next(name for name in signal.ways() if getattr(signal, name) is not None)
        return SignalResult(
            what=signal.what,
            signal=signal.model_dump(mode="json", by_alias=True, include={way}),
            forbidden=isinstance(signal, ForbiddenSignal),
            within_seconds=signal.within_seconds if isinstance(signal, ExpectedSignal) else None,
            after=after.time,
            seen=seen.time if seen else None,
            after_seconds=round((seen.time - after.time).total_seconds(), 3) if seen else None,
            words=seen.words if seen else "",
            unknown=unknown,
        )

    def _await_signals(self) -> None:
        """Until each expected signal has come, or its time is over; a control run waits for none for a while."""
        if self.first_fault is None:
            return
        self._progress("waiting for signals")
        deadlines = [self._deadline(one) for one in self.rehearsal.expect]

        def over() -> bool:
            self._sense(self._senses)
            now = datetime.now(UTC).timestamp()
            return all(
                (self.signals.get(number) and self.signals[number].seen and not self.control) or now >= deadline
                for number, deadline in enumerate(deadlines)
            )

        longest = max(deadlines) - datetime.now(UTC).timestamp()
        wait_until(over, what="signals", timeout_seconds=max(longest, 0) + 60, interval_seconds=LOOK_SECONDS)

    def _deadline(self, signal: ExpectedSignal) -> float:
        if self.control:
            return datetime.now(UTC).timestamp() + min(self.lab.patience(signal.within_seconds), QUIET_SECONDS)
        after = self._moment_of(signal)
        return after.time.timestamp() + self.lab.patience(signal.within_seconds) if after else 0.0

    # -- after ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Whatever ends the block: nothing that this run has broken stays so."""
        try:
            yield
        finally:
            for name in reversed(list(self._records)):
                self._progress(f"healing {name}")
                try:
                    self._heal(name)
                except FluxlabError as error:
                    self._find("fault", f"{name} is out again", Outcome.INCONCLUSIVE, str(error))
            self._sampler.stop()

    def _after(self) -> None:
        self._progress("the hypothesis holds after")
        began = time.monotonic()
        left = self.rehearsal.recovery_seconds
        for state in self.rehearsal.hypothesis:
            if "after" in state.when:
                answer = self._await_check(state, max(0.0, left - (time.monotonic() - began)))
                self._answer(state.what, "after", answer)
        if all(one.holds for one in self.checks if one.when == "after"):
            self.recovered = datetime.now(UTC)

    def _look_for_residue(self, before: Footprint) -> None:
        """What is left once everything has had a moment to go."""
        self._progress("looking for residue")

        def none_left() -> bool:
            self.residue = list(Footprint.of(self.lab).residue(before))
            return not self.residue

        try:
            wait_until(
                none_left,
                what="nothing is left",
                timeout_seconds=self.lab.patience(RESIDUE_SECONDS),
                interval_seconds=LOOK_SECONDS,
            )
        except WaitTimeoutError:
            return  # what is left is told

    def _find(self, part: str, what: str, outcome: Outcome, why: str = "") -> None:
        self.findings.append(Finding(part=part, what=what, outcome=outcome, why=why))

    @property
    def sampler(self) -> Sampler:
        """What was asked while something was broken."""
        return self._sampler


def describe_signal(signal: SignalSpec) -> str:
    """A signal in a few words."""
    way = next(name for name in signal.ways() if getattr(signal, name) is not None)
    told = getattr(signal, way).model_dump(by_alias=True, exclude_defaults=True)
    return f"{way} {', '.join(f'{key} {value}' for key, value in told.items())}"


def _describe(step: Step) -> str:
    if step.fault:
        chosen = " ".join(f"{key}={value}" for key, value in step.fault.set.items())
        return " ".join(filter(None, ["break", step.fault.fault, step.fault.target, chosen]))
    if step.heal is not None:
        return f"heal {step.heal}"
    if step.commit:
        return f"commit {step.commit.message!r}"
    if step.human:
        return f"{step.human.who}: kubectl {shlex.join(step.human.kubectl)}"
    if step.wait:
        return f"wait for {describe_signal(step.wait)}"
    return f"wait until {next(name for name in Step.ways() if getattr(step, name) is not None)}"


def rehearse(
    rehearsal: Rehearsal,
    *,
    file: Path,
    seed: int,
    control: bool = False,
    name: str,
    progress: Progress = lambda _: None,
    timeout_factor: float = 1.0,
) -> RunResult:
    """Run a rehearsal on a lab of its own, which is gone afterwards. Raises what `Lab.up` raises."""
    needs = rehearsal.lab
    spec = LabSpec(name=name, links=needs.links, scenarios=list(needs.scenarios))
    nodes = [cluster.model_copy(update={"nodes": needs.nodes}) for cluster in spec.clusters]
    lab = Lab.up(spec.model_copy(update={"clusters": nodes}), progress=progress, lifeline=True)
    lab.timeout_factor = timeout_factor
    try:
        return Run(rehearsal, lab, file=file, seed=seed, control=control, progress=progress).execute()
    finally:
        lab.down()
