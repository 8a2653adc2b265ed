"""What is known on disk of each fault that is in, or may be: written before the first change, gone when all is undone.

Whoever finds a record can undo the fault: the process that injected it, the supervisor's watchdog, the next command.
"""

import contextlib
import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self

import psutil
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from .commands import marked
from .errors import FluxlabError, UnknownError, WaitTimeoutError
from .files import make_private, write_private
from .host import boot_id, seconds_since_boot
from .processes import Identity, reap
from .state import LabFolder
from .waiting import wait_until

TIME_LIMIT_SECONDS = 300.0
"""For how long a fault is in, if nothing else is said."""
LOCK_SECONDS = 180.0
"""How long anybody waits for another one to be done: longer than most injections and healings take."""
TRY_SECONDS = 0.05
END_SECONDS = 10.0
"""How long it may take until processes that were told to end have ended: the kernel ends them."""
_PROCESS = "process:"
"""How a program is named among what a fault touches."""
_SUFFIX, _MENDED, _ACTING, _DONE, _SENT = ".json", "mended", "acting", "done", "sent"
log = logging.getLogger(__name__)


class FaultState(StrEnum):
    """How far a fault has come."""

    PLANNED = "planned"
    """It may be in, wholly or in part: its injection has begun."""
    INJECTED = "injected"
    """It is in: that was proven."""
    HEALING = "healing"
    """It may be in, wholly or in part: its healing has begun."""
    WAITING = "waiting"
    """It may be in, and nobody wants it or is at it: it is taken out as soon as somebody can."""
    STUCK = "stuck"
    """It could not be taken out."""

    @property
    def is_timed(self) -> bool:
        """Whether it is in until its time is over: else it is out sooner, or nobody knows when."""
        return self not in {FaultState.WAITING, FaultState.STUCK}


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
    ends: tuple[str, float] | None = None
    """The same by a clock that nobody sets: a start of the machine, and seconds since then; after another one `until`
    counts.
    """
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

    def lasting(self, seconds: float) -> Self:
        """A copy whose time is over so many seconds from now."""
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        return self.changed(until=until, ends=(boot_id(), seconds_since_boot() + seconds))

    @property
    def parts(self) -> frozenset[str]:
        """The programs that it touches, by their names in the lab (`CLUSTER/NAME`): nobody else starts them again."""
        named = (thing.removeprefix(_PROCESS) for thing in self.touches if thing.startswith(_PROCESS))
        return frozenset(f"{self.cluster}/{name}" for name in named)

    def told(self) -> str:
        """Its JSON for others to read: without what only its healing needs to know."""
        return self.model_dump_json(indent=1, exclude={"undo"})

    def overdue(self, *, now: datetime, supervisor: Identity | None) -> str:
        """Why nobody can want it any more; empty as long as somebody may."""
        if self.state is FaultState.WAITING:
            return "it waits for whoever can take it out"
        if self._is_over(now):
            return "its time is over"
        if supervisor and pair(supervisor) != self.supervisor:
            return "the lab was started again since"
        if self.owner and not Identity(pid=self.owner[0], since_boot=self.owner[1]).process():
            return "whoever wanted it, or was about to take it out, has ended"
        return ""

    def _is_over(self, now: datetime) -> bool:
        if self.ends and self.ends[0] == boot_id():
            return seconds_since_boot() >= self.ends[1]
        return now >= self.until


def pair(identity: Identity) -> tuple[int, float]:
    """A process as records have it."""
    found = asdict(identity)
    return found["pid"], found["since_boot"]


class LabGoneError(UnknownError):
    """A lab that is not there any more: what was broken in it has gone with it."""


class BusyError(UnknownError):
    """Somebody else has put faults in or taken them out for longer than one waits for that."""


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
        self._check_there()
        write_private(self.file(record), record.model_dump_json(indent=1), durable=True)
        return record

    def file(self, record: FaultRecord) -> Path:
        """Where one stands, for its owner only."""
        return self._folder / f"{record.id}{_SUFFIX}"

    def kept(self, record: FaultRecord) -> Path:
        """Where one stands that was given up, for its owner only."""
        return self._folder / "given-up" / f"{record.id}{_SUFFIX}"

    def give_up(self, record: FaultRecord) -> None:
        """Keep it for people alone, as long as there is the lab: nothing else may tell how it was. Raises OSError."""
        self._check_there()
        make_private(self.kept(record).parent)
        self.file(record).replace(self.kept(record))

    def forget(self, record: FaultRecord) -> None:
        """Nothing is left to be known of it."""
        self.file(record).unlink(missing_ok=True)

    def mend(self, record: FaultRecord) -> None:
        """It was in, and is out now: forget it, but, if the disk takes that, for when that was."""
        stamp = self._made() / _MENDED
        try:
            write_private(stamp, datetime.now(UTC).isoformat())
        except OSError as error:
            log.warning("%s cannot be written: %s", stamp, error)
        self.forget(record)

    @property
    def mended(self) -> datetime | None:
        """When one that had been in was taken out last."""
        try:
            return datetime.fromisoformat((self._folder / _MENDED).read_text())
        except (FileNotFoundError, ValueError):
            return None

    @contextlib.contextmanager
    def alone(self, *, timeout_seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """While nobody else injects or heals. Raises BusyError when somebody does so for longer than that."""
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

    @contextlib.contextmanager
    def acting(self, *, await_sent: Callable[[], None]) -> Iterator[None]:
        """While this process, alone, acts for a fault: what it runs keeps a file open by which it is known.

        What acted before and has outlived its caller, or a block that failed, is ended first; `await_sent` returns once
        what that may have sent is there. Raises UnknownError when it does not end, what `await_sent` raises, OSError.
        """
        file, sent = self._made() / _ACTING, self._made() / _SENT
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if left := not _lock(descriptor):
                with contextlib.suppress(OSError):  # for whoever comes next, if this process gets no further
                    sent.touch(mode=0o600)
                _end_all(file, descriptor)
            if left or sent.exists():
                await_sent()
                sent.unlink(missing_ok=True)
            with marked(descriptor):
                yield
            _put_away(file)
        finally:
            os.close(descriptor)

    def _made(self) -> Path:
        """The folder of the records, which is made in a lab that is there."""
        self._check_there()
        return make_private(self._folder)

    def _check_there(self) -> None:
        if not self._lab.spec.exists():
            raise self._gone()

    def _gone(self) -> LabGoneError:
        return LabGoneError(f"lab {self._lab.name} is not there any more")

    def _busy(self, seconds: float) -> BusyError:
        what = f"another process puts faults in or takes them out, for more than {seconds:g} s"
        begun = [one for one in self.readable() if one.owner and one.state in {FaultState.PLANNED, FaultState.HEALING}]
        facts = [f"{one.id} is {one.state}, by process {one.owner[0]}" for one in begun if one.owner]
        return BusyError(what, facts=facts, hint="try again, or end that process: what it left is taken out then")


def _lock(descriptor: int) -> bool:
    """Lock a file, unless it is locked: until the last process that has this descriptor open has ended (flock(2))."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _put_away(file: Path) -> None:
    """Let what has a file open go on: that was left on purpose, such as an agent that a plugin of kubectl has started.

    It would be found by the file's path with the next one there, for psutil tells that also of a file that is removed:
    hence another name first. Raises OSError.
    """
    with contextlib.suppress(FileNotFoundError):  # it has gone with its lab
        file.replace(file.with_name(_DONE)).unlink()


def _end_all(file: Path, descriptor: int) -> None:
    """End all that keeps a file open, until it can be locked."""

    def ended() -> bool:
        reap(_holders(file))
        return _lock(descriptor)

    try:
        wait_until(ended, what="their end", timeout_seconds=END_SECONDS, interval_seconds=TRY_SECONDS)
    except WaitTimeoutError:
        facts = [f"process {one.pid} keeps {file} open" for one in _holders(file)]
        raise UnknownError("what acted for a fault does not end", facts=facts) from None


def _holders(file: Path) -> Sequence[Identity]:
    """The other processes of this user that have a file open."""
    found, path = list[Identity](), str(file.resolve())
    for process in psutil.process_iter(["open_files"], ad_value=()):
        if process.pid != os.getpid() and path in {one.path for one in process.info["open_files"]}:
            with contextlib.suppress(ProcessLookupError):
                found.append(Identity.of(process.pid))
    return found


def _complaints(error: ValidationError) -> Iterator[str]:
    """What is wrong with a record, without what it holds."""
    for one in error.errors(include_input=False, include_context=False):
        yield f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"
