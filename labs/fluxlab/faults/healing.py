"""Faults are taken out, with a proof that they are gone. One that cannot be is told with what a person can type."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, pair
from fluxlab.state import LabFolder, Phase
from fluxlab.supervisor.control import Control, SupervisorGoneError
from fluxlab.timeline.entries import Level

from .base import Ground
from .cases import Case, Patience, myself, named, note

Progress: TypeAlias = Callable[[str], None]
ATTEMPTS = 3


class StuckError(FluxlabError):
    """A fault that could not be taken out."""


class Healer:
    """Takes out the faults of one lab. Whoever asks it holds the lock of the records."""

    def __init__(self, folder: LabFolder, *, ground: Callable[[str], Ground], patience: Patience) -> None:
        self._folder = folder
        self._ground = ground
        self._patience = patience
        self._records = FaultRecords(folder)

    def case(self, record: FaultRecord) -> Case:
        """What it takes to do something about a fault."""
        return Case(record=record, ground=self._ground(record.cluster), patience=self._patience)

    def supervisor(self) -> tuple[int, float]:
        """The lab's supervisor, as records have it. Raises SupervisorGoneError: without it nothing can be healed."""
        identity = Control(self._folder).answering()
        if identity is None:
            hint = f"fluxlab up --name {self._folder.name}"
            raise SupervisorGoneError(f"lab {self._folder.name}: its supervisor does not answer", hint=hint)
        return pair(identity)

    def check(self) -> None:
        """Raise StuckError when a fault could not be taken out."""
        if found := self.stuck():
            raise _stuck(found[0])

    def stuck(self) -> Sequence[FaultRecord]:
        """Those that could not be taken out."""
        return [one for one in self._records.all() if one.state is FaultState.STUCK]

    def take_overdue_out(self, progress: Progress) -> Sequence[FaultRecord]:
        """Take out what nobody can want any more; returns their records. Raises StuckError."""
        found = self._records.overdue(Control(self._folder).answering())
        return self.take_all_out([one for one in found if one.state is not FaultState.STUCK], progress)

    def take_all_out(self, records: Sequence[FaultRecord], progress: Progress) -> Sequence[FaultRecord]:
        """Take out faults, the newest first; returns their records. Raises StuckError, once all others are out."""
        failed: list[StuckError] = []
        for record in reversed(records):
            try:
                self.take_out(record, progress)
            except StuckError as error:
                failed.append(error)
        if failed:
            raise failed[0]
        return records

    def take_out(self, record: FaultRecord, progress: Progress) -> None:
        """Take one out, and forget it once it is proven to be gone. Raises StuckError, and UnknownError in between."""
        case = self.case(self._records.write(record.changed(state=FaultState.HEALING, owner=myself())))
        progress(f"healing {case}")
        if trouble := self._trouble_with(case):
            raise self._failed(case, trouble)
        self._records.forget(case.record)

    def _trouble_with(self, case: Case) -> FluxlabError | None:
        """Try to take one out; returns why it is not proven to be gone, nothing when it is."""
        trouble: FluxlabError | None = None
        for _ in range(ATTEMPTS):
            self.supervisor()  # with the next `up` there will be somebody to ask
            try:
                case.take_out()
                seen = case.gone()
            except FluxlabError as error:
                trouble = error
            except Exception as error:  # noqa: BLE001 # a heal that crashes is tried again, and told, like any other
                trouble = FluxlabError(f"{type(error).__name__}: {error}")
            else:
                note(self._folder, case.record, f"{case}: out; {seen}")
                return None
        return trouble

    def _failed(self, case: Case, trouble: FluxlabError) -> FluxlabError:
        """Write down that one could not be taken out, unless what that takes may not be there yet."""
        self.supervisor()
        if Control(self._folder).status().phase == Phase.STARTING:
            what = f"{case} cannot be taken out before lab {self._folder.name} has started"
            return UnknownError(what, facts=trouble.facts)
        stuck = case.record.changed(state=FaultState.STUCK, trouble=str(trouble), by_hand=case.by_hand())
        text = f"{case}: could not be taken out: {trouble.what}"
        note(self._folder, self._records.write(stuck), text, level=Level.ERROR)
        return _stuck(stuck)


def _stuck(record: FaultRecord) -> StuckError:
    facts = [*record.trouble.splitlines(), *(f"by hand: {line}" for line in record.by_hand)]
    hint = "fluxlab heal --all    # or, after mending by hand: fluxlab heal --all --give-up"
    return StuckError(f"{named(record)} could not be taken out", facts=facts, hint=hint)
