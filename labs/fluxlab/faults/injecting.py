"""The faults of one lab: put in with a proof, taken out with a proof, whatever happens to whom in between."""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from random import Random
from typing import Any, TypeAlias

from pydantic import ValidationError

from fluxlab.clusters.capabilities import Footing, UnsupportedError
from fluxlab.clusters.consent import is_given
from fluxlab.errors import FluxlabError, UnknownError, UsageError, WaitTimeoutError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, pair
from fluxlab.host import ended_by_exception
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase
from fluxlab.supervisor.control import Control, SupervisorGoneError
from fluxlab.timeline.entries import Detail, Entry, Level, Source
from fluxlab.timeline.folder import FAULTS, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.waiting import wait_until

from .base import Ground, Injection
from .catalogue import AnyFault, find_fault
from .descriptions import describe

Progress: TypeAlias = Callable[[str], None]
TIME_LIMIT_SECONDS = 300.0
HEALING_ATTEMPTS = 3
LOOK_SECONDS = 0.1
QUOTED_CANDIDATES = 30
_OF_THE_LAB = ("host:", "branch:")
"""What is touched by these names is the same thing for all clusters of a lab."""


class NotProvenError(UnknownError):
    """A fault whose injection nobody could see: it is out again, and a run with it has proven nothing."""


class StuckError(FluxlabError):
    """A fault that could not be taken out."""


class Faults:
    """The faults of one lab, by name from the catalogue. One process at a time injects or heals."""

    def __init__(
        self,
        folder: LabFolder,
        *,
        ground: Callable[[str], Ground],
        patience: Callable[[float], float] = lambda seconds: seconds,
    ) -> None:
        """`ground` gives what is at the cluster of a name."""
        self._folder = folder
        self._ground = ground
        self._patience = patience
        self._records = FaultRecords(folder)

    def active(self) -> Sequence[FaultRecord]:
        """Those that are in or may be, oldest first."""
        return self._records.all()

    # -- inject --------------------------------------------------------------------------------------------------

    def inject(
        self,
        name: str,
        *,
        cluster: str,
        target: str = "",
        parameters: Mapping[str, object] | None = None,
        for_seconds: float = TIME_LIMIT_SECONDS,
        seed: int | None = None,
        owner: Identity | None = None,
        progress: Progress = lambda _: None,
    ) -> FaultRecord:
        """Put a fault in, prove that it is, and return its record.

        Args:
            name: As in the catalogue.
            cluster: The cluster's name.
            target: A candidate of the fault, or a pattern of them (`*`); default: one that `seed` chooses.
            parameters: The fault's own; defaults for what is left out.
            for_seconds: After which time it is taken out if nobody has done so.
            seed: What the fault does by chance depends on this number only; default: a new one.
            owner: The process whose end ends the fault.
            progress: Is told what is done.

        Raises:
            UsageError: An unknown fault or parameter, no such target, or too many: nothing was touched.
            UnsupportedError: The cluster cannot have this fault.
            NotProvenError: Nobody could see that it was in; it is out again.
            StuckError: A fault, this one or an earlier one, could not be taken out.
        """
        fault = find_fault(name)
        with self._records.alone():
            self._begin(progress)
            ground = self._ground(cluster)
            _check_allowed(fault, ground)
            chosen = chosen_parameters(fault, parameters or {})
            seed = secrets.randbelow(10**6) if seed is None else seed
            random = Random(f"{seed}/{name}/{cluster}")  # noqa: S311 # a plan, no secret
            targets = _targets(fault, fault.candidates(ground), target, random)
            plan = fault.plan(ground, targets, chosen, random)
            self._check_free(fault, cluster, plan.touches)
            now = datetime.now(UTC)
            record = FaultRecord(
                id=f"{name}-{secrets.token_hex(3)}",
                fault=name,
                cluster=cluster,
                targets=plan.targets,
                touches=plan.touches,
                parameters=chosen.model_dump(mode="json"),
                undo={**plan.undo},  # type: ignore[dict-item] # the same JSON by two names
                seed=seed,
                began=now,
                until=now + timedelta(seconds=for_seconds),
                owner=_myself(),
                supervisor=self._supervisor(),
            )
            with ended_by_exception():
                proof = self._put_in(fault, ground, self._records.write(record), progress)
            there = record.changed(state=FaultState.INJECTED, proof=proof, owner=pair(owner) if owner else None)
            return self._records.write(there)

    def _begin(self, progress: Progress) -> None:
        """Take out what nobody can want any more, and refuse to go on beside what could not be taken out."""
        self._heal_overdue(progress)
        self.check()

    def check(self) -> None:
        """Raise StuckError when a fault could not be taken out."""
        if stuck := [one for one in self._records.all() if one.state is FaultState.STUCK]:
            raise _stuck(stuck[0])

    def _supervisor(self) -> tuple[int, float]:
        identity = Control(self._folder).answering()
        if identity is None:
            hint = f"fluxlab up --name {self._folder.name}"
            raise SupervisorGoneError(f"lab {self._folder.name}: its supervisor does not answer", hint=hint)
        return pair(identity)

    def _check_free(self, fault: AnyFault, cluster: str, touches: frozenset[str]) -> None:
        for other in self._records.all():
            shared = other.touches & touches
            if both := sorted(one for one in shared if other.cluster == cluster or one.startswith(_OF_THE_LAB)):
                facts = [f"{other.id} has {', '.join(both)} until {other.until:%H:%M:%S} UTC"]
                raise UsageError(f"{fault.name} excludes {other.fault}", facts=facts, hint=f"fluxlab heal {other.id}")

    def _put_in(self, fault: AnyFault, ground: Ground, record: FaultRecord, progress: Progress) -> str:
        injection = _injection(fault, record)
        what = f"{fault.name} ({', '.join(record.targets)})"
        try:
            progress(f"injecting {what}")
            fault.inject(ground, injection)
            self._note(record, f"{what}: begun")
            progress(f"proving {what}")
            seen = self._await(lambda: fault.injected(ground, injection), fault, what=f"{what} shows")
        except WaitTimeoutError as error:
            self._take_out(record, progress)
            raise NotProvenError(f"{what} could not be proven to be in, and is out again", facts=error.facts) from None
        except BaseException:
            self._take_out(record, progress)
            raise
        self._note(record, f"{what}: in; {seen}", level=Level.WARNING)
        return seen

    def _await(self, probe: Callable[[], str], fault: AnyFault, *, what: str) -> str:
        return wait_until(
            probe, what=what, timeout_seconds=self._patience(fault.proof_seconds), interval_seconds=LOOK_SECONDS
        )

    # -- heal ----------------------------------------------------------------------------------------------------

    def heal(self, *ids: str, progress: Progress = lambda _: None) -> Sequence[FaultRecord]:
        """Take out faults by their ids (default: all), the newest first; returns their records.

        Raises UsageError for an unknown id, and StuckError when one could not be taken out: the others are.
        """
        with self._records.alone(), ended_by_exception():
            records = self._records.all()
            if unknown := set(ids) - {record.id for record in records}:
                facts = [f"there are: {', '.join(record.id for record in records) or 'none'}"]
                raise UsageError(f"there is no fault {min(unknown)!r}", facts=facts)
            return self._take_all_out([one for one in records if not ids or one.id in ids], progress)

    def heal_overdue(self, *, progress: Progress = lambda _: None) -> Sequence[FaultRecord]:
        """Take out what nobody can want any more: its time is over, or whoever wanted it has ended."""
        with self._records.alone(), ended_by_exception():
            return self._heal_overdue(progress)

    def recover(self, *, progress: Progress = lambda _: None) -> None:
        """Before anything else is done with a lab: take out what is overdue. Raises StuckError."""
        if self._records.all():
            self.heal_overdue(progress=progress)
            self.check()

    def _heal_overdue(self, progress: Progress) -> Sequence[FaultRecord]:
        found = self._records.overdue(Control(self._folder).answering())
        return self._take_all_out([one for one in found if one.state is not FaultState.STUCK], progress)

    def give_up(self) -> Sequence[FaultRecord]:
        """Forget the faults that could not be taken out, and leave what they did; returns their records."""
        with self._records.alone():
            stuck = [record for record in self._records.all() if record.state is FaultState.STUCK]
            for record in stuck:
                self._note(record, f"{record.fault}: given up, it may be in still", level=Level.ERROR)
                self._records.forget(record)
            return stuck

    def _take_all_out(self, records: Sequence[FaultRecord], progress: Progress) -> Sequence[FaultRecord]:
        failed: list[StuckError] = []
        for record in reversed(records):
            try:
                self._take_out(record, progress)
            except StuckError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return records

    def _take_out(self, record: FaultRecord, progress: Progress) -> None:
        fault, ground = find_fault(record.fault), self._ground(record.cluster)
        injection = _injection(fault, record)
        what = f"{fault.name} ({', '.join(record.targets)})"
        record = self._records.write(record.changed(state=FaultState.HEALING, owner=_myself()))
        progress(f"healing {what}")
        trouble = FluxlabError(what)
        for _ in range(HEALING_ATTEMPTS):
            self._supervisor()  # without it nothing can be healed: with the next `up` there will be somebody to ask
            try:
                fault.heal(ground, injection)
                seen = self._await(lambda: fault.healed(ground, injection), fault, what=f"{what} is gone")
            except FluxlabError as error:
                trouble = error
            except Exception as error:  # noqa: BLE001 # a heal that crashes is tried again, and told, like any other
                trouble = FluxlabError(f"{type(error).__name__}: {error}")
            else:
                self._note(record, f"{what}: out; {seen}")
                self._records.forget(record)
                return
        self._supervisor()
        if Control(self._folder).status().phase == Phase.STARTING:  # what it takes may not be there yet
            raise UnknownError(
                f"{what} cannot be taken out before lab {self._folder.name} has started", facts=trouble.facts
            )
        by_hand = tuple(fault.by_hand(ground, injection))
        stuck = record.changed(state=FaultState.STUCK, trouble=str(trouble), by_hand=by_hand)
        self._note(self._records.write(stuck), f"{what}: could not be taken out: {trouble.what}", level=Level.ERROR)
        raise _stuck(stuck)

    # -- as a block ----------------------------------------------------------------------------------------------

    @contextmanager
    def during(self, name: str, **options: Any) -> Iterator[FaultRecord]:  # those of `inject`
        """Have a fault in while a block runs; it is out afterwards, however the block ends."""
        record = self.inject(name, **options)
        try:
            with ended_by_exception():
                yield record
        finally:
            with self._records.alone():
                if any(one.id == record.id for one in self._records.all()):  # else its time was over
                    self._take_out(record, options.get("progress", lambda _: None))

    def _note(self, record: FaultRecord, text: str, *, level: Level = Level.INFO) -> None:
        folder = TimelineFolder(self._folder)
        journal = Journal(folder.journal(FAULTS), redactor=folder.redactor())
        entry = Entry(
            time=journal.now(),
            source=Source.FAULT,
            text=text,
            level=level,
            cluster=record.cluster,
            part=record.id,
            details={Detail.FAULT: record.fault},
        )
        journal.append([entry])


def _myself() -> tuple[int, float]:
    return pair(Identity.of(os.getpid()))


def _check_allowed(fault: AnyFault, ground: Ground) -> None:
    cluster = ground.cluster
    if reason := fault.lacks(ground):
        raise UnsupportedError(
            f"cluster {cluster.name} ({cluster.root.footing}) cannot have {fault.name}", facts=[reason]
        )
    theirs = cluster.root.footing in {Footing.INSTALLED, Footing.GUEST}
    if theirs and not is_given(ground.api):
        hint = "fluxlab consent CONTEXT"
        raise UsageError(f"cluster {cluster.name} is not given to fluxlab (any more)", hint=hint)


def chosen_parameters(fault: AnyFault, given: Mapping[str, object]) -> Any:  # of the fault's own type
    """The parameters of a fault. Raises UsageError that names what is wrong and what there is."""
    try:
        return fault.parameters.model_validate(given)
    except ValidationError as error:
        facts = [f"{'.'.join(map(str, one['loc'])) or 'parameters'}: {one['msg']}" for one in error.errors()]
        known = [f"{name}: {text}" for name, text in describe(fault).parameters.items()] or ["it has none"]
        raise UsageError(f"{fault.name} cannot have these parameters", facts=[*facts, "parameters:", *known]) from None


def _targets(fault: AnyFault, candidates: Sequence[str], target: str, random: Random) -> tuple[str, ...]:
    known = [f"candidates: {', '.join(candidates[:QUOTED_CANDIDATES]) or 'none'}"]
    if not candidates:
        raise UsageError(f"{fault.name}: there is nothing that it could be done to")
    if not target:
        return (random.choice(sorted(candidates)),)
    matching = tuple(one for one in candidates if fnmatchcase(one, target))
    if not matching:
        raise UsageError(f"{fault.name}: no target is {target!r}", facts=known)
    if len(matching) > fault.most:
        facts = [f"it matches {', '.join(matching[:QUOTED_CANDIDATES])}"]
        raise UsageError(f"{fault.name}: {target!r} matches {len(matching)}, at most {fault.most} may", facts=facts)
    return matching


def _injection(fault: AnyFault, record: FaultRecord) -> Injection[Any]:
    parameters = fault.parameters.model_validate(record.parameters)
    return Injection(id=record.id, targets=record.targets, parameters=parameters, undo=record.undo)


def _stuck(record: FaultRecord) -> StuckError:
    facts = [*record.trouble.splitlines(), *(f"by hand: {line}" for line in record.by_hand)]
    hint = "fluxlab heal --all    # or, after mending by hand: fluxlab heal --all --give-up"
    return StuckError(f"{record.fault} ({', '.join(record.targets)}) could not be taken out", facts=facts, hint=hint)
