"""The calls that differ between operating systems; on Linux today, each with its alternative named."""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG = 1
UNIX_PATH_BYTES = 100
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def unsupported() -> str:
    """Why no lab can run on this operating system; empty where one can."""
    return "" if sys.platform == "linux" else f"labs run on Linux only, so far; this is {sys.platform}"


def start_time(pid: int) -> float:
    """When a process started, in seconds since the machine did: setting the clock does not change it.

    Elsewhere psutil's `create_time` serves. Raises ProcessLookupError when there is no such process.
    """
    return int(_stat(pid)[19]) / os.sysconf("SC_CLK_TCK")  # field 22


def _stat(pid: int) -> list[bytes]:
    """What /proc/PID/stat tells of a process (proc(5)), from field 3 on, behind the program's name."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return stat.rpartition(b")")[2].split()


def has_terminal(pid: int) -> bool:
    """Whether a process has a controlling terminal: whoever sits there has started it.

    Not psutil's `terminal`: it knows those that were there when it was asked first. Elsewhere `ps -o tty` tells it.
    Raises ProcessLookupError when there is no such process.
    """
    return _stat(pid)[4] != b"0"  # field 7


def seconds_since_boot() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps; elsewhere CLOCK_MONOTONIC does both."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Which start of the machine this is, by a name of its own; elsewhere kern.bootsessionuuid tells it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def port_lock(port: int) -> socket.socket | None:
    """A lock on a port's number, held until it is closed or its process ends; None when another process has it.

    A name in Linux's abstract socket namespace: it holds between all state folders and users that share the loopback
    interface, and leaves no file. Elsewhere a lock file in the folder for temporary files serves.
    """
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0fluxlab-port-{port}")
    except OSError:
        lock.close()
        return None
    return lock


@contextmanager
def unbroken() -> Iterator[None]:
    """Put off what Ctrl-C and its like do until the end of the context. Only in the main thread: they end no other."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda seen, _: arrived.append(seen)) for number in _handled()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


@contextmanager
def ended_by_exception() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise SystemExit, where they would end the process without any clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    plain = [number for number in _handled() if signal.getsignal(number) is signal.SIG_DFL]
    for number in plain:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in plain:
            signal.signal(number, signal.SIG_DFL)


def _handled() -> list[signal.Signals]:
    # What is ignored (by nohup, say) stays so; a handler that C code set is not ours to touch.
    return [number for number in ENDING_SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]


def die_with_parent() -> Callable[[], None]:
    """A `preexec_fn` after which the kernel kills the child when the thread that spawned it ends.

    Elsewhere (macOS has no such call) a kqueue NOTE_EXIT watch in a small wrapper process does the same;
    the next fluxlab call reaps what was left in any case.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arm() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended between fork and prctl
            os._exit(1)

    return arm


def exec_until_ends(parent: int, *words: str) -> NoReturn:
    """As `die_with_parent`, where another library starts the child: become the program that it was to start.

    This file does it as a program, `python -I -S host.py PID PROGRAM ...`: it needs nothing but Python itself.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.execv(words[0], words)  # noqa: S606 # no shell is the point


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A name for the Unix socket at `path` that fits the kernel's limit of 107 bytes, valid within the context.

    Linux reaches a long path through a descriptor of its folder; elsewhere a symbolic link in a short folder serves.
    """
    if len(os.fsencode(path)) < UNIX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer(connected: socket.socket) -> int:
    """The pid of the process that listens at the other end of a Unix socket; elsewhere LOCAL_PEERPID tells it."""
    pid, _, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid)


def allowed_cores() -> int:
    """The cores that this process may run on; elsewhere os.cpu_count tells them."""
    return len(os.sched_getaffinity(0))


def raise_open_files() -> None:
    """Let this process open as many files as the system allows: many systems begin with 1024, some with 256."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS says unlimited and refuses it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def ephemeral_ports() -> range:
    """The ports that the kernel hands to outgoing connections; elsewhere the range that IANA suggests."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return range(49152, 65536)
    return range(int(low), int(high) + 1)


if __name__ == "__main__":
    exec_until_ends(int(sys.argv[1]), *sys.argv[2:])
