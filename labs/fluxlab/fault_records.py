"""What is known on disk of each fault that is in, or may be: written before the first change, gone when all is undone.

Whoever finds a record can undo the fault: the process that injected it, the supervisor's watchdog, the next command.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from .errors import FluxlabError, UnknownError, WaitTimeoutError
from .files import make_private, write_private
from .processes import Identity
from .state import LabFolder
from .waiting import wait_until

TIME_LIMIT_SECONDS = 300.0
"""For how long a fault is in, if nothing else is said."""
LONGEST_HEALING_SECONDS = 180.0
TRY_SECONDS = 0.05
_SUFFIX, _MENDED = ".json", "mended"


class FaultState(StrEnum):
    """How far a fault has come."""

    PLANNED = "planned"
    """It may be in, wholly or in part: its injection has begun."""
    INJECTED = "injected"
    """It is in: that was proven."""
    HEALING = "healing"
    """It may be in, wholly or in part: its healing has begun."""
    STUCK = "stuck"
    """It could not be taken out."""


class FaultRecord(BaseModel):
    """One fault of a lab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    fault: str
    """The fault's name in the catalogue."""
    cluster: str
    targets: tuple[str, ...]
    touches: frozenset[str] = frozenset()
    """What it changes, by names that mean the same to all faults: two that touch the same thing exclude each other."""
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    undo: dict[str, JsonValue] = Field(default_factory=dict, repr=False)
    """What its healing needs to know besides. It may hold values of Secrets: it stands in the record's file only."""
    seed: int
    state: FaultState = FaultState.PLANNED
    began: datetime
    until: datetime
    """When its time is over: the watchdog takes it out then."""
    owner: tuple[int, float] | None = None
    """The process (pid, start in seconds since boot) whose end ends the fault; None: its time alone does.

    While it is put in or taken out, that is whoever does so.
    """
    supervisor: tuple[int, float]
    """The supervisor at that time: with its end a lab's processes ended, and with them what was done to them."""
    proof: str = ""
    """What somebody else saw of it."""
    trouble: str = ""
    """Why it could not be taken out."""
    by_hand: tuple[str, ...] = ()
    """The commands that would do it."""

    def changed(self, **changes: object) -> Self:
        """A copy with other values."""
        return self.model_copy(update=changes)

    def told(self) -> str:
        """Its JSON for others to read: without what only its healing needs to know."""
        return self.model_dump_json(indent=1, exclude={"undo"})

    def overdue(self, *, now: datetime, supervisor: Identity | None) -> str:
        """Why nobody can want it any more; empty as long as somebody may."""
        if now >= self.until:
            return "its time is over"
        if supervisor and pair(supervisor) != self.supervisor:
            return "the lab was started again since"
        if self.owner and not Identity(pid=self.owner[0], since_boot=self.owner[1]).process():
            return "whoever wanted it, or was about to take it out, has ended"
        return ""


def pair(identity: Identity) -> tuple[int, float]:
    """A process as records have it."""
    found = asdict(identity)
    return found["pid"], found["since_boot"]


class LabGoneError(UnknownError):
    """A lab that is not there any more: what was broken in it has gone with it."""


class FaultRecords:
    """The records of one lab, a file each. All that writes raises LabGoneError once the lab has gone: it stays so."""

    def __init__(self, folder: LabFolder) -> None:
        self._lab = folder
        self._folder = folder.root / "faults"
        self.log = self._folder / "healer.log"
        """What the watchdog's healer wrote."""

    def exist(self) -> bool:
        """Whether there is any."""
        return any(self._folder.glob(f"*{_SUFFIX}"))

    def all(self) -> Sequence[FaultRecord]:
        """Those that are in or may be, oldest first. Raises FluxlabError for a file that is none."""
        if unreadable := self.unreadable():
            raise unreadable[0]
        return self.readable()

    def readable(self) -> Sequence[FaultRecord]:
        """Those of which it can be told what they are: others can be taken out while one cannot be read."""
        found = [one for one in self._read_all() if isinstance(one, FaultRecord)]
        return sorted(found, key=lambda one: (one.began, one.id))

    def find(self, id_: str) -> FaultRecord | None:
        """The one of an id, None when it is not there (any more). Raises FluxlabError when it cannot be read."""
        with contextlib.suppress(FileNotFoundError):
            found = self._read(self._folder / f"{id_}{_SUFFIX}")
            if isinstance(found, FluxlabError):
                raise found
            return found
        return None

    def unreadable(self) -> Sequence[FluxlabError]:
        """What is wrong with those that cannot be read."""
        return [one for one in self._read_all() if isinstance(one, FluxlabError)]

    def _read_all(self) -> Iterator[FaultRecord | FluxlabError]:
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):  # forgotten since: somebody takes faults out
                yield self._read(file)

    def _read(self, file: Path) -> FaultRecord | FluxlabError:
        try:
            return FaultRecord.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise
        except (OSError, ValidationError) as error:
            reason = str(error) if isinstance(error, OSError) else "; ".join(_complaints(error))
            hint = f"see what is broken, mend it by hand, then rm {file}"
            return FluxlabError(f"{file} cannot be read as the record of a fault", facts=[reason], hint=hint)

    def overdue(self, supervisor: Identity | None) -> Sequence[FaultRecord]:
        """Those that nobody can want any more."""
        now = datetime.now(UTC)
        return [record for record in self.readable() if record.overdue(now=now, supervisor=supervisor)]

    def due(self, supervisor: Identity | None) -> Sequence[FaultRecord]:
        """Those of the overdue that are worth another try: neither stuck nor waiting for another fault to be out."""
        wanted_out = [record for record in self.overdue(supervisor) if record.state is not FaultState.STUCK]
        return [record for record in wanted_out if not record.trouble or not self.beside(record)]

    def beside(self, record: FaultRecord) -> Sequence[FaultRecord]:
        """Other faults that are in, and not known to stay: one of them may be why this one cannot be taken out."""
        return [one for one in self.readable() if one.id != record.id and not one.trouble]

    def write(self, record: FaultRecord) -> FaultRecord:
        """Write one down, whole or not at all, and for good: a cluster of somebody outlives this machine.

        Raises OSError.
        """
        write_private(self._made() / f"{record.id}{_SUFFIX}", record.model_dump_json(indent=1), durable=True)
        return record

    def forget(self, record: FaultRecord) -> None:
        """Nothing is left to be known of it."""
        (self._folder / f"{record.id}{_SUFFIX}").unlink(missing_ok=True)

    def mend(self, record: FaultRecord) -> None:
        """It was in, and is out now: forget it, but for when that was. Raises OSError."""
        write_private(self._made() / _MENDED, datetime.now(UTC).isoformat())
        self.forget(record)

    @property
    def mended(self) -> datetime | None:
        """When one that had been in was taken out last."""
        try:
            return datetime.fromisoformat((self._folder / _MENDED).read_text())
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def alone(self, *, timeout_seconds: float = LONGEST_HEALING_SECONDS) -> Iterator[None]:
        """While nobody else injects or heals. Raises UnknownError when somebody does so for longer than that."""
        lock = FileLock(self._made() / "lock")

        def acquired() -> bool:
            self._check_there()  # else the lock's file would be made again, with its folder
            with contextlib.suppress(Timeout):
                lock.acquire(blocking=False)
            return lock.is_locked

        try:
            wait_until(acquired, what="the lock", timeout_seconds=timeout_seconds, interval_seconds=TRY_SECONDS)
        except WaitTimeoutError:
            raise self._busy(timeout_seconds) from None
        except FileNotFoundError:
            raise self._gone() from None
        try:
            self._check_there()  # what was waited for may have been its end
            yield
        finally:
            lock.release()

    def _made(self) -> Path:
        """The folder of the records, which is made in a lab that is there."""
        self._check_there()
        return make_private(self._folder)

    def _check_there(self) -> None:
        if not self._lab.spec.exists():
            raise self._gone()

    def _gone(self) -> LabGoneError:
        return LabGoneError(f"lab {self._lab.name} is not there any more")

    def _busy(self, seconds: float) -> UnknownError:
        what = f"another process puts faults in or takes them out, for more than {seconds:g} s"
        begun = [one for one in self.readable() if one.owner and one.state in {FaultState.PLANNED, FaultState.HEALING}]
        facts = [f"{one.id} is {one.state}, by process {one.owner[0]}" for one in begun if one.owner]
        return UnknownError(what, facts=facts, hint="try again, or end that process: what it left is taken out then")


def _complaints(error: ValidationError) -> Iterator[str]:
    """What is wrong with a record, without what it holds."""
    for one in error.errors(include_input=False, include_context=False):
        yield f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"
