"""The faults of one lab: put in with a proof, taken out with a proof, whatever happens to whom in between."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fluxlab.durations import LONGEST_SECONDS
from fluxlab.errors import UnknownError, UsageError, WaitTimeoutError
from fluxlab.fault_records import (
    LOCK_SECONDS,
    TIME_LIMIT_SECONDS,
    BusyError,
    FaultRecord,
    FaultRecords,
    FaultState,
    LabGoneError,
    pair,
)
from fluxlab.host import ended_by_exception
from fluxlab.processes import Identity
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Level

from .base import Ground
from .cases import Case, Patience, myself, named, note
from .catalogue import find_fault
from .choosing import Choice, check_free, choose
from .healing import Healer, Progress

INJECTION_SECONDS = 600.0
"""How long it may take at most until a fault is in. Nobody waits for that: it ends sooner, or with whoever does it."""


class NotProvenError(UnknownError):
    """A fault of which nobody could see that it was put in: it is out, and a run with it has proven nothing."""


class Faults:
    """The faults of one lab, by name from the catalogue. One process at a time injects or heals."""

    def __init__(
        self, folder: LabFolder, *, ground: Callable[[str], Ground], patience: Patience = lambda seconds: seconds
    ) -> None:
        """`ground` gives what is at the cluster of a name."""
        self._folder = folder
        self._ground = ground
        self._patience = patience
        self._records = FaultRecords(folder)
        self._healer = Healer(folder, ground=ground, patience=patience)

    def active(self) -> Sequence[FaultRecord]:
        """Those that are in or may be, oldest first. Raises FluxlabError for a record that cannot be read."""
        return self._records.all()

    def _alone(self) -> AbstractContextManager[None]:
        return self._records.alone(timeout_seconds=self._patience(LOCK_SECONDS))

    @contextmanager
    def _alone_for(self, *ids: str) -> Iterator[None]:
        """As `_alone`, to take faults out: those that are in are left to the watchdog where another one is busy."""
        with ExitStack() as held:
            try:
                held.enter_context(self._alone())
            except BusyError as error:
                if left := self._healer.leave(*ids):
                    error.facts += (f"the lab's watchdog takes out {', '.join(one.id for one in left)} after that",)
                raise
            yield

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
            for_seconds: How long, at most a year, it is in once that is proven, if nobody takes it out before.
            seed: What the fault does by chance depends on this number only; default: a new one.
            owner: The process whose end ends the fault.
            progress: Is told what is done.

        Raises:
            UsageError: An unknown fault or parameter, no such target, too many, or no such time: nothing was touched.
            UnsupportedError: The cluster cannot have this fault.
            SupervisorGoneError: Nobody would take it out.
            BusyError: Somebody else puts faults in or takes them out, for long.
            NotProvenError: Nobody could see that it was in, and it is out again; or it showed before anything was done.
            StuckError: A fault, this one or an earlier one, could not be taken out.
            InTheWayError, UnknownError: The same, but it may be possible later.
            FluxlabError, OSError: Whatever else it ran into, such as CommandError and ApiError: it is out again.
        """
        fault = find_fault(name)
        if not 0 < for_seconds <= LONGEST_SECONDS:  # nor is it what is no number
            raise UsageError(f"{name} cannot be in for {for_seconds:g} s", facts=["more than 0, at most a year"])
        with self._alone():
            self._healer.take_overdue_out(progress)
            self.check()
            supervisor = self._healer.supervisor()  # before the cluster, which ended with it, is found to be silent
            seed = secrets.randbelow(10**6) if seed is None else seed
            choice = choose(fault, self._ground(cluster), target=target, parameters=parameters or {}, seed=seed)
            check_free(fault, cluster, choice.plan.touches, self._records.all())
            record = self._record(name, cluster, choice, seed=seed, supervisor=supervisor)
            record = record.lasting(for_seconds + INJECTION_SECONDS)
            with ended_by_exception():
                return self._put_in(self._records.write(record), for_seconds, owner, progress)

    def _record(
        self, name: str, cluster: str, choice: Choice, *, seed: int, supervisor: tuple[int, float]
    ) -> FaultRecord:
        now = datetime.now(UTC)
        return FaultRecord(
            id=f"{name}-{secrets.token_hex(3)}",
            fault=name,
            cluster=cluster,
            targets=(choice.target,),
            touches=choice.plan.touches,
            parameters=choice.parameters.model_dump(mode="json"),
            undo={**choice.plan.undo},  # type: ignore[dict-item] # the same JSON by two names
            seed=seed,
            began=now,
            until=now,
            owner=myself(),
            supervisor=supervisor,
        )

    def _put_in(
        self, record: FaultRecord, for_seconds: float, owner: Identity | None, progress: Progress
    ) -> FaultRecord:
        what = named(record)
        try:
            case = self._healer.case(record)
            if not (coincidence := case.coincidence()):
                with self._healer.acting():
                    proof = self._prove(case, progress)
                wanted_by = pair(owner) if owner else None
                proven = record.changed(state=FaultState.INJECTED, proof=proof, owner=wanted_by)
                return self._records.write(proven.lasting(for_seconds))
        except WaitTimeoutError as error:
            self._healer.take_out(record, progress)
            raise NotProvenError(f"{what} could not be proven to be in, and is out again", facts=error.facts) from None
        except BaseException:
            self._healer.take_out(record, progress)
            raise
        self._records.forget(record)  # and not taken out: what shows is somebody else's
        raise NotProvenError(f"{what} could not be proven: it shows before anything is done", facts=[coincidence])

    def _prove(self, case: Case, progress: Progress) -> str:
        """Put it in; returns what shows it. Raises WaitTimeoutError."""
        progress(f"injecting {case}")
        case.put_in()
        note(self._folder, case.record, f"{case}: begun")
        progress(f"proving {case}")
        seen = case.seen()
        note(self._folder, case.record, f"{case}: in; {seen}", level=Level.WARNING)
        return seen

    @contextmanager
    def during(self, name: str, **options: Any) -> Iterator[FaultRecord]:  # those of `inject`
        """Have a fault in while a block runs; it is out afterwards, however the block ends."""
        record = self.inject(name, **options)
        try:
            with ended_by_exception():
                yield record
        finally:
            with suppress(LabGoneError), self._alone_for(record.id):  # a fault goes with its lab
                if self._records.find(record.id):  # else its time was over
                    self._healer.take_out(record, options.get("progress", lambda _: None))

    # -- heal ----------------------------------------------------------------------------------------------------

    def heal(self, *ids: str, progress: Progress = lambda _: None) -> Sequence[FaultRecord]:
        """Take out faults by their ids (default: all), the newest first; returns their records.

        Raises UsageError for an unknown id; BusyError when somebody else is at it for long: then the lab's watchdog
        takes them out; SupervisorGoneError; StuckError when one could not be, InTheWayError and UnknownError when it
        may be later, and, asked for all, FluxlabError when a record cannot be read: the others are out.
        """
        wanted_out = ids or [record.id for record in self._records.readable()]
        with self._alone_for(*wanted_out), ended_by_exception():
            records, unreadable = self._records.readable(), self._records.unreadable()
            if not ids:
                return self._healer.take_all_out(records, progress, failed=unreadable)
            if unknown := set(ids) - {record.id for record in records}:
                facts = [f"there are: {', '.join(record.id for record in records) or 'none'}"]
                raise UsageError(f"there is no fault {min(unknown)!r}", facts=[*facts, *map(str, unreadable)])
            return self._healer.take_all_out([one for one in records if one.id in ids], progress)

    def heal_overdue(self, *, progress: Progress = lambda _: None) -> Sequence[FaultRecord]:
        """Take out what nobody can want any more: its time is over, or whoever wanted it has ended."""
        with self._alone(), ended_by_exception():
            return self._healer.take_overdue_out(progress)

    def recover(self, *, progress: Progress = lambda _: None) -> None:
        """Before anything else is done with a lab: take out what is overdue. Raises as `heal`."""
        self.heal_overdue(progress=progress)
        self.check()

    def check(self) -> None:
        """Raise StuckError when a fault could not be taken out, FluxlabError when a record cannot be read."""
        self._healer.check()

    def give_up(self) -> Sequence[FaultRecord]:
        """Leave the faults that could not be taken out, with what they did, to people; returns their records.

        Raises UnknownError while somebody else is at it, OSError, and FluxlabError when there are others whose records
        cannot be read.
        """
        with self._alone():
            records = self._healer.given_up()
            for record in records:
                text = f"{record.fault}: given up, it may be in still; how it was stands in {self.kept(record)}"
                self._records.give_up(record)
                note(self._folder, record, text, level=Level.ERROR)
            self.check()
            return records

    def kept(self, record: FaultRecord) -> Path:
        """The file that tells, as long as there is the lab, how it was before a fault that was given up."""
        return self._records.kept(record)
