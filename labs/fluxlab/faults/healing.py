"""Faults are taken out, with a proof that they are gone. One that cannot be is told with what a person can type."""

import logging
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeAlias

import psutil

from fluxlab.clusters.root import Root
from fluxlab.errors import FluxlabError, UnknownError, WaitTimeoutError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState, pair
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase
from fluxlab.supervisor.control import Control, SupervisorGoneError
from fluxlab.timeline.entries import Level
from fluxlab.waiting import wait_until

from .base import Ground, last_resort, left_of
from .cases import Case, Patience, myself, named, note

Progress: TypeAlias = Callable[[str], None]
ATTEMPTS = 3
PAUSE_SECONDS = 2.0
"""Between two attempts: what fails at once would fail at once again."""
PUSH_SECONDS = 20.0
"""For a push whose client has ended: longer than the git server lets it go on then, with all its graces."""
log = logging.getLogger(__name__)


class StuckError(FluxlabError):
    """A fault that could not be taken out."""


class InTheWayError(UnknownError):
    """A fault that could not be taken out while another one was in, which may be why: it is tried again after that."""


class Healer:
    """Takes out the faults of one lab. Whoever asks it holds the lock of the records."""

    def __init__(self, folder: LabFolder, *, ground: Callable[[str], Ground], patience: Patience) -> None:
        self._folder = folder
        self._ground = ground
        self._patience = patience
        self._records = FaultRecords(folder)

    def case(self, record: FaultRecord) -> Case:
        """What it takes to do something about a fault."""
        ground = replace(self._ground(record.cluster), fault=record.id)
        return Case(record=record, ground=ground, patience=self._patience)

    def supervisor(self) -> tuple[int, float]:
        """The lab's supervisor, as records have it. Raises SupervisorGoneError: without it nothing can be healed."""
        identity = Control(self._folder).answering()
        if identity is None:
            hint = f"fluxlab up --name {self._folder.name}"
            raise SupervisorGoneError(f"lab {self._folder.name}: its supervisor does not answer", hint=hint)
        return pair(identity)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """While something is put in or taken out: whatever acted before has ended, and what it has pushed is there.

        Raises UnknownError when it does not end.
        """
        with self._records.acting(await_sent=lambda: _await_pushes(self.supervisor()[0])):
            yield

    def check(self) -> None:
        """Raise StuckError when a fault could not be taken out, and FluxlabError for a record that cannot be read."""
        if found := [*map(_stuck, self.stuck()), *self._records.unreadable()]:
            raise _all_of(found)

    def stuck(self) -> Sequence[FaultRecord]:
        """Those that could not be taken out."""
        return [one for one in self._records.readable() if one.state is FaultState.STUCK]

    def given_up(self) -> Sequence[FaultRecord]:
        """Those that could not be taken out, also when whoever tried was cut off: nobody else is at it now."""
        tried = {FaultState.STUCK, FaultState.HEALING}
        return [
            one
            for one in self._records.readable()
            if one.state in tried or (one.state is FaultState.WAITING and one.trouble)
        ]

    def leave(self, *ids: str) -> Sequence[FaultRecord]:
        """Have the lab's watchdog take out those that are in: whoever wants that cannot do it.

        Returns the records of those that it will: the disk may not take all. Somebody else has the lock, and may have
        taken one out just now: then that is done, and proven, once more.
        """
        found = [one for one in self._records.readable() if one.id in ids and one.state is FaultState.INJECTED]
        left: list[FaultRecord] = []
        for record in found:
            try:
                left.append(self._records.write(record.changed(state=FaultState.WAITING)))
            except OSError as error:
                log.warning("%s: it cannot be left to the watchdog: %s", record.id, error)
        return left

    def take_overdue_out(self, progress: Progress) -> Sequence[FaultRecord]:
        """Take out what nobody can want any more; returns their records.

        Raises as `take_all_out`, also for a record that cannot be read: nobody knows whether it is overdue.
        """
        found = self._records.overdue(Control(self._folder).answering())
        wanted_out = [one for one in found if one.state is not FaultState.STUCK]
        return self.take_all_out(wanted_out, progress, failed=self._records.unreadable())

    def take_all_out(
        self, records: Sequence[FaultRecord], progress: Progress, *, failed: Sequence[FluxlabError] = ()
    ) -> Sequence[FaultRecord]:
        """Take out faults, the newest first, and last those that others were in the way of; returns their records.

        Raises StuckError, UnknownError in between, or what has `failed` before, once all others are out;
        SupervisorGoneError at once: nothing can be healed without it.
        """
        left = list(reversed(records))
        while left:
            waiting: list[tuple[FaultRecord, FluxlabError]] = []
            for record in left:
                try:
                    self.take_out(record, progress)
                except SupervisorGoneError:
                    raise
                except InTheWayError as error:
                    waiting.append((record, error))
                except Exception as error:  # noqa: BLE001 # whatever it is, the others are in still
                    failed = [*failed, _told(error)]
            if len(waiting) == len(left):  # what is in the way is to stay
                failed = [*failed, *(error for _, error in waiting)]
                break
            left = [record for record, _ in waiting]
        if failed:
            raise _all_of(failed)
        return records

    def take_out(self, record: FaultRecord, progress: Progress) -> None:
        """Take one out, and forget it once it is proven to be gone.

        How far that has come is written down where the disk takes it: a full one keeps no fault in. Raises StuckError,
        and UnknownError in between.
        """
        begun = self._write(record.changed(state=FaultState.HEALING, owner=myself()))
        progress(f"healing {named(begun)}")
        if trouble := self._trouble_with(begun):
            raise self._failed(begun, trouble)
        with suppress(OSError):  # a full disk
            for left in self._folder.scratch.glob(f"{left_of(begun.id)}*"):  # by whoever was killed while at it
                shutil.rmtree(left, ignore_errors=True)
        self._records.mend(begun)

    def _trouble_with(self, record: FaultRecord) -> FluxlabError | None:
        """Try to take one out; returns why it is not proven to be gone, nothing when it is."""
        trouble: FluxlabError | None = None
        for _ in range(ATTEMPTS):
            if trouble:
                overdue = self._records.overdue(None)
                if any(one in overdue for one in self._records.beside(record)):
                    break  # whose turn it is now
                time.sleep(self._patience(PAUSE_SECONDS))
            self.supervisor()  # with the next `up` there will be somebody to ask
            try:
                case = self.case(record)
                with self.acting():
                    case.take_out()
                    seen = case.gone()
            except Exception as error:  # noqa: BLE001 # a heal that crashes is tried again, and told, like any other
                trouble = _told(error)
            else:
                note(self._folder, record, f"{case}: out; {seen}")
                return None
        return trouble

    def _failed(self, record: FaultRecord, trouble: FluxlabError) -> FluxlabError:
        """Write down that one could not be taken out, unless what that takes may not be there yet."""
        record = self._write(record.changed(trouble=str(trouble)))
        self.supervisor()
        if Control(self._folder).status().phase == Phase.STARTING:
            what = f"{named(record)} cannot be taken out before lab {self._folder.name} has started"
            return UnknownError(what, facts=trouble.facts)
        if others := self._records.beside(record):
            self._write(record.changed(state=FaultState.WAITING))
            what = f"{named(record)} cannot be taken out while {', '.join(one.id for one in others)} is in"
            hint = "fluxlab heal --all    # else it is tried again after that"
            return InTheWayError(what, facts=str(trouble).splitlines(), hint=hint)
        at_least = record.changed(
            state=FaultState.STUCK, by_hand=(*self._how_it_was(record), *self._last_resort(record))
        )
        stuck = self._write(self._with_commands(self._write(at_least)))
        note(self._folder, stuck, f"{named(stuck)}: could not be taken out: {trouble.what}", level=Level.ERROR)
        return _stuck(stuck)

    def _write(self, record: FaultRecord) -> FaultRecord:
        """Write down how far one has come, if the disk takes it: how it is undone stands there since its beginning."""
        try:
            return self._records.write(record)
        except OSError as error:
            log.warning("%s: it is not on record that it is %s: %s", record.id, record.state, error)
            return record

    def _with_commands(self, stuck: FaultRecord) -> FaultRecord:
        """With what a person can type, as far as that can be found out: much may be broken at such a time."""
        try:
            return stuck.changed(by_hand=(*self.case(stuck).by_hand(), *self._how_it_was(stuck)))
        except Exception as error:  # noqa: BLE001 # it is told; that the fault is stuck is what matters
            unknown = f"what else could be typed cannot be told: {_told(error)}"
            return stuck.changed(trouble=f"{stuck.trouble}\n{unknown}")

    def _last_resort(self, record: FaultRecord) -> Sequence[str]:
        try:
            lasts = Root.of(self._folder.cluster(record.cluster)).lasts
        except FluxlabError:  # then `down` refuses as well
            lasts = True
        return last_resort(self._folder.name, lasts=lasts)

    def _how_it_was(self, record: FaultRecord) -> Sequence[str]:
        """The command that shows how it was, if that has to be known: nothing else may tell it any more."""
        file = shlex.quote(str(self._records.file(record)))
        return [f"less {file}    # `undo` is how it was; values of Secrets are in base64"] if record.undo else []


def _await_pushes(supervisor: int) -> None:
    """Until the git server has done what it was sent by somebody who has ended. Raises UnknownError."""
    found = _pushes(supervisor)
    try:
        wait_until(
            lambda: not any(one.process() for one in found),
            what="the git server has answered the pushes that were under way",
            timeout_seconds=PUSH_SECONDS,
        )
    except WaitTimeoutError as error:
        raise UnknownError(error.what) from None


def _pushes(supervisor: int) -> Sequence[Identity]:
    """The processes of `git http-backend` that are at a push: CGI tells them by their environment what was asked."""
    found: list[Identity] = []
    for child in psutil.Process(supervisor).children():
        with suppress(psutil.Error, ProcessLookupError):  # it has ended
            if child.environ().get("PATH_INFO", "").endswith("/git-receive-pack"):
                found.append(Identity.of(child.pid))
    return found


def _told(error: Exception) -> FluxlabError:
    return error if isinstance(error, FluxlabError) else FluxlabError(f"{type(error).__name__}: {error}")


def _all_of(errors: Sequence[FluxlabError]) -> FluxlabError:
    """One error that tells them all: the first, with the others as facts of it."""
    first, *others = errors
    if not others:
        return first
    kinds = (StuckError, UnknownError, FluxlabError)
    kind = next(kind for kind in kinds if any(isinstance(one, kind) for one in errors))
    return kind(first.what, facts=[*first.facts, *map(str, others)], hint=first.hint)


def _stuck(record: FaultRecord) -> StuckError:
    facts = [*record.trouble.splitlines(), *(f"by hand: {line}" for line in record.by_hand)]
    hint = "fluxlab heal --all    # or, after mending by hand: fluxlab heal --all --give-up"
    return StuckError(f"{named(record)} could not be taken out", facts=facts, hint=hint)
