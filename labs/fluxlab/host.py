"""The calls that differ between operating systems; on Linux today, each with its alternative named."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1
UNIX_PATH_BYTES = 100


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


def ephemeral_ports() -> range:
    """The ports that the kernel hands to outgoing connections; elsewhere the range that IANA suggests."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except OSError:
        return range(49152, 65536)
    return range(int(low), int(high) + 1)
