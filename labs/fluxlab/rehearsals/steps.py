"""The steps of a rehearsal: what is broken, healed, pushed, done by hand or waited for, and what came of each."""

import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.commands import run
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.healing import StuckError
from fluxlab.lab import Lab
from fluxlab.moments import Commit
from fluxlab.processes import Identity
from fluxlab.servers.chart_packaging import with_version
from fluxlab.toolchain import find

from .checks import await_check
from .lookout import Lookout, describe_signal
from .results import FaultResult, StepResult
from .spec import CommitSpec, FaultSpec, HumanSpec, PublishSpec, Step

HAND_SECONDS = 30.0


class Steps:
    """Takes steps, one after the other, and remembers what is in."""

    def __init__(self, lab: Lab, lookout: Lookout, *, seed: int, control: bool) -> None:
        self._lab = lab
        self._lookout = lookout
        self._seed = seed
        self._control = control
        self._in: dict[str, FaultRecord] = {}
        self._commits: dict[str, Commit] = {}
        self._faults: dict[str, FaultResult] = {}
        self._taken: list[StepResult] = []
        self.healed: datetime | None = None
        """When the last fault was taken out."""

    @property
    def taken(self) -> Sequence[StepResult]:
        """What came of each step so far."""
        return self._taken

    @property
    def faults(self) -> Mapping[str, FaultResult]:
        """What became of each fault, by its name in the rehearsal."""
        return self._faults

    @property
    def left(self) -> Sequence[str]:
        """The names of the faults that are in, the newest first."""
        return tuple(reversed(self._in))

    def take(self, step: Step) -> str:
        """Take one; returns why the next makes no sense, or nothing."""
        began, clock = datetime.now(UTC), time.monotonic()
        skipped = self._control and step.way() in {"fault", "heal", "wait"}
        words, trouble = "", ""
        if step.called:  # in a control run signals count from here on as well
            self._lookout.mark(step.called, fault=step.fault is not None)
        try:
            words = "" if skipped else self._do(step)
        except FluxlabError as error:
            trouble = str(error)
        self._taken.append(
            StepResult(
                name=step.name,
                what=describe(step),
                began=began,
                seconds=round(time.monotonic() - clock, 3),
                words=words or trouble,
                skipped=skipped,
            )
        )
        return trouble

    def _do(self, step: Step) -> str:
        if step.fault:
            return self._inject(step.called, step.fault)
        if step.heal is not None:
            return self.heal(step.heal)
        if step.commit:
            return self._commit(step.name, step.commit)
        if step.human:
            return self._by_hand(step.human)
        if step.publish:
            return self._publish(step.publish)
        return self._await(step)

    def _await(self, step: Step) -> str:
        if step.wait:
            return self._lookout.await_one(step.wait, step.within_seconds)
        if step.until:
            answer = await_check(step.until, self._lab, step.within_seconds)
            if not answer.holds:
                raise FluxlabError(f"not within {step.within_seconds:g} s", facts=[answer.words])
            return answer.words
        raise AssertionError("of the kinds of steps there is one")

    def _inject(self, name: str, spec: FaultSpec) -> str:
        began = datetime.now(UTC)
        record = self._lab.faults.inject(
            spec.fault,
            cluster=self._lab.cluster.name,
            target=spec.target,
            parameters=spec.set,
            for_seconds=self._lab.patience(spec.for_seconds),
            seed=self._seed,
            owner=Identity.of(os.getpid()),
        )
        self._in[name] = record
        self._faults[name] = FaultResult(
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

    def heal(self, name: str) -> str:
        """Take a fault out; returns what was seen then.

        Raises FluxlabError: what may be in still, and is not stuck, is tried again by `heal_all`.
        """
        record = self._in[name]
        self._faults[name] = self._faults[name].model_copy(update={"healing": datetime.now(UTC)})
        try:
            self._lab.faults.heal(record.id)
        except StuckError as error:
            del self._in[name]
            self._faults[name] = self._faults[name].model_copy(update={"trouble": str(error)})
            raise
        except UsageError:  # its time was over: there is no such fault any more
            del self._in[name]
            raise
        del self._in[name]
        self.healed = datetime.now(UTC)
        self._faults[name] = self._faults[name].model_copy(update={"healed": self.healed})
        return "out"

    def heal_all(self) -> Iterator[tuple[str, FluxlabError | None]]:
        """Take out all that is in, the newest first; for each its name, and why it could not be taken out."""
        for name in self.left:
            try:
                self.heal(name)
            except FluxlabError as error:
                yield name, error
            else:
                yield name, None

    def _commit(self, name: str, spec: CommitSpec) -> str:
        repository = self._lab.repository
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
        self._lookout.pushed(name, commit.sha)
        return commit.sha

    def _by_hand(self, spec: HumanSpec) -> str:
        cluster = self._lab.cluster
        words = [f"--kubeconfig={cluster.kubeconfig}", f"--as={spec.who}", "--as-group=system:masters", *spec.kubectl]
        timeout_seconds = self._lab.patience(HAND_SECONDS)
        done = run([find().binary("kubectl"), *words], stdin=spec.stdin or None, timeout_seconds=timeout_seconds)
        return done.stdout.strip()

    def _publish(self, spec: PublishSpec) -> str:
        charts = self._lab.charts(spec.repository)
        newest = next((one for one in charts.charts() if one.name == spec.chart), None)
        if newest is None:
            raise FluxlabError(f"{spec.repository} has no chart {spec.chart}")
        with tempfile.TemporaryDirectory(dir=self._lab.folder.scratch) as scratch:
            charts.add(with_version(charts.folder / newest.file_name, spec.version, Path(scratch)))
        return f"{spec.chart} {spec.version} is what {newest.version} was"


def describe(step: Step) -> str:
    """A step in a few words."""
    if step.fault:
        chosen = " ".join(f"{key}={value}" for key, value in step.fault.set.items())
        return " ".join(filter(None, ["break", step.fault.fault, step.fault.target, chosen]))
    if step.heal is not None:
        return f"heal {step.heal}"
    if step.commit:
        return f"commit {step.commit.message!r}"
    if step.human:
        return f"{step.human.who}: kubectl {shlex.join(step.human.kubectl)}"
    if step.publish:
        return f"publish {step.publish.chart} {step.publish.version}"
    return _describe_waiting(step)


def _describe_waiting(step: Step) -> str:
    if step.wait:
        return f"wait for {describe_signal(step.wait)}"
    return f"wait until {step.until.way()}" if step.until else ""
