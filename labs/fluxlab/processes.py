"""Start, watch and stop child processes; recognise them later by pid *and* start time, never by name."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from .errors import FluxlabError, WaitTimeoutError
from .host import die_with_parent, start_time
from .waiting import wait_until

STOP_GRACE_SECONDS = 5.0
LOG_LINES_QUOTED = 8
LOG_LINES_SEARCHED = 400
CLOCK_TICK_SECONDS = 0.02


class ProcessDiedError(FluxlabError):
    """A component ended by itself; the facts are its last log lines."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    since_boot: float
    """When it started, in seconds since the machine did."""

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The identity of a running process. Raises ProcessLookupError when there is none."""
        return cls(pid=pid, since_boot=start_time(pid))

    def process(self) -> psutil.Process | None:
        """The process, if it still runs and is not a zombie."""
        try:
            same = abs(start_time(self.pid) - self.since_boot) < CLOCK_TICK_SECONDS
            found = psutil.Process(self.pid)
            running = found.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return None
        return found if same and running else None


def reap(identities: Iterable[Identity], *, grace_seconds: float = 2.0) -> list[int]:
    """End the processes that still run: SIGTERM, then SIGKILL after the grace. Returns the pids that were ended."""
    found = {identity: process for identity in identities if (process := identity.process())}
    for process in found.values():
        _signal(process, signal.SIGTERM)
        _signal(process, signal.SIGCONT)  # a stopped process acts on SIGTERM only when it goes on
    if not _ended(found, grace_seconds):
        for identity in found:
            if stubborn := identity.process():
                _signal(stubborn, signal.SIGKILL)
        _ended(found, grace_seconds)
    return [identity.pid for identity in found]


def _ended(identities: Iterable[Identity], timeout_seconds: float) -> bool:
    # Not psutil's wait: for it a zombie whose parent is late to ask (an init of a container, say) has not ended.
    try:
        return wait_until(
            lambda: not any(identity.process() for identity in identities),
            what="the processes end",
            timeout_seconds=timeout_seconds,
            interval_seconds=0.01,
        )
    except WaitTimeoutError:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it ended between the look and the signal: what was wanted


def tail(log: Path, lines: int = LOG_LINES_QUOTED) -> list[str]:
    """The last lines of a log file; none when there is no file."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:] if lines else []
    except FileNotFoundError:
        return []


def last_words(log: Path) -> list[str]:
    """The last lines of a program's log without the stack traces of Go, which hide what it died of."""
    said = [
        line
        for line, following in pairwise([*tail(log, LOG_LINES_SEARCHED), ""])
        if line.strip() and not line.startswith(("\t", "goroutine ", "created by ")) and not following.startswith("\t")
    ]
    return said[-LOG_LINES_QUOTED:]


class ManagedProcess:
    """One running child: its identity, its log file and how it ended."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        held_back: bool = False,
        on_exit: Callable[["ManagedProcess"], None] | None = None,
    ) -> None:
        """Start `argv` with exactly `environment` (default: the caller's); its output is appended to `log`.

        One that is `held_back` reads its standard input before it does more than load: see `let_go`.

        Call from the main thread: the child dies with the *thread* that spawned it. `on_exit` is called from a
        watching thread when it has ended, whatever ended it.
        """
        self.name = name
        self.log = log
        self.expected_to_end = False
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                [str(word) for word in argv],
                env=dict(environment) if environment is not None else None,
                cwd=cwd,
                stdin=subprocess.PIPE if held_back else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 # it only calls prctl, prepared before the fork
            )
        self.identity = Identity.of(self._popen.pid)
        self._on_exit = on_exit
        self._watcher = threading.Thread(target=self._watch, name=f"watch {name}", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        self._popen.wait()
        if self._on_exit:
            self._on_exit(self)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    @property
    def paused(self) -> bool:
        """Whether it runs and stands still: a signal has stopped it, and it does nothing until it goes on."""
        try:
            return self.running and psutil.Process(self.identity.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    @property
    def ending(self) -> str:
        """How it ended, in words: `exit code 1`, `killed by SIGKILL`, or `running`."""
        code = self._popen.poll()
        if code is None:
            return "running"
        if code >= 0:
            return f"exit code {code}"
        known = -code in set(signal.Signals)  # most real-time signals have no name
        return f"killed by {signal.Signals(-code).name if known else f'signal {-code}'}"

    def died(self) -> ProcessDiedError:
        """The error that tells of its end, with its last log lines."""
        return ProcessDiedError(f"{self.name} died: {self.ending}", facts=last_words(self.log), hint=f"less {self.log}")

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.running:
            self._popen.send_signal(number)

    def let_go(self, order: bytes = b"") -> None:
        """Have it begin, if it was held back, with what it reads as its order; once more changes nothing."""
        if self._popen.stdin:
            with suppress(BrokenPipeError, ValueError):  # it has ended, or was let go before
                self._popen.stdin.write(order)
                self._popen.stdin.close()

    def stop(self, *, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """End it: SIGTERM, then SIGKILL after the grace."""
        self.request_stop()
        self.await_stop(deadline=time.monotonic() + grace_seconds)

    def request_stop(self) -> None:
        """Send SIGTERM (and SIGCONT, should it be stopped) without waiting."""
        self.expected_to_end = True
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def await_stop(self, *, deadline: float) -> None:
        """Wait for its end until `deadline` (time.monotonic), then SIGKILL."""
        self.expected_to_end = True
        try:
            self._popen.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._popen.wait()
        self.let_go()  # not sooner: it would begin


class ProcessGroup:
    """The processes of a lab by name: the one process supervisor. Start from the main thread; look from any."""

    def __init__(
        self, *, changed: Callable[[ManagedProcess], None], environment: Mapping[str, str] | None = None
    ) -> None:
        """`changed` is called with the process after each start and each end, from whichever thread saw it.

        `environment` is what each process has besides its own.
        """
        self._changed = changed
        self._environment = environment or {}
        self._processes: dict[str, ManagedProcess] = {}

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        held_back: bool = False,
    ) -> ManagedProcess:
        """Start a process under a name; a dead one of that name is replaced. Raises ValueError when one lives."""
        before = self._processes.get(name)
        if before and before.running:
            raise ValueError(f"{name} runs already")
        given = {**(os.environ if environment is None else environment), **self._environment}
        process = ManagedProcess(
            name, argv, log=log, environment=given, cwd=cwd, held_back=held_back, on_exit=self._changed
        )
        self._processes[name] = process
        self._changed(process)
        return process

    def get(self, name: str) -> ManagedProcess | None:
        """The process of that name, dead or alive."""
        return self._processes.get(name)

    def identities(self) -> dict[str, Identity]:
        """The processes that run, by name."""
        return {name: process.identity for name, process in list(self._processes.items()) if process.running}

    def dead(self) -> list[ManagedProcess]:
        """The processes that ended without being told to."""
        processes = list(self._processes.values())
        return [process for process in processes if not process.running and not process.expected_to_end]

    def check(self, *names: str) -> None:
        """Raise ProcessDiedError for the first process (of these, if any are named) that ended by itself."""
        for process in self.dead():
            if not names or process.name in names:
                raise process.died()

    def stop(self, *names: str, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """End these processes together: SIGTERM to all, then SIGKILL to those left after the grace."""
        found = [process for name in names if (process := self._processes.get(name))]
        for process in found:
            process.request_stop()
        deadline = time.monotonic() + grace_seconds
        for process in found:
            process.await_stop(deadline=deadline)
