"""A process with the supervisor's libraries loaded, of which each supervisor is a copy: whoever starts many labs pays
once for what takes Python half a second.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

import psutil

from fluxlab.errors import FluxlabError
from fluxlab.processes import Identity
from fluxlab.runs import remove_runs
from fluxlab.waiting import wait_until

MODULE = "fluxlab.supervisor.template"
PIECE_BYTES = 64 * 1024
END_TIMEOUT_SECONDS = 10


class Copy:
    """A supervisor that was copied: no child of this process, but asked about like one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._identity: Identity | None = Identity.of(pid)
        except (psutil.NoSuchProcess, ProcessLookupError):
            self._identity = None  # it has ended already

    def poll(self) -> int | None:
        """None while it runs; its exit code is its template's to know."""
        return None if self._identity and self._identity.process() else 0

    def wait(self, timeout: float = END_TIMEOUT_SECONDS) -> int:
        """Wait for its end. Raises WaitTimeoutError."""
        wait_until(lambda: self.poll() is not None, what=f"process {self.pid} ends", timeout_seconds=timeout)
        return 0

    def kill(self) -> None:
        """End it at once, if it still runs."""
        if self._identity and (process := self._identity.process()):
            with suppress(psutil.NoSuchProcess):
                process.kill()


class Template:
    """The side of whoever starts labs. Thread-safe."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Begin to load; `copy` waits for it."""
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
                cwd="/",
            )

    def copy(self, environment: Mapping[str, str], lifeline: int) -> Copy:
        """A supervisor with this environment, whose standard input is `lifeline`. Raises FluxlabError."""
        with self._lock:
            try:
                words = json.dumps(dict(environment)).encode() + b"\n"
                socket.send_fds(self._socket, [words[:1]], [lifeline])
                self._socket.sendall(words[1:])
                answer = self._socket.recv(PIECE_BYTES)
            except OSError as error:
                raise FluxlabError("the template of supervisors has ended", facts=[str(error)]) from error
            except BaseException:  # Ctrl-C: an answer that nobody took would be the next one's
                self._process.kill()
                raise
            if not answer:
                raise FluxlabError("the template of supervisors has ended")
            return Copy(int(answer))

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the template; its copies go on."""
        self._socket.close()
        self._process.wait(END_TIMEOUT_SECONDS)


# -- the template's side -------------------------------------------------------------------------------------------


def main(number: int) -> None:
    """Load, then copy this process whenever asked to, until the other side is gone."""
    from . import services, verbs  # noqa: F401, PLC0415 # what each copy would load by itself
    from .__main__ import main as supervise  # noqa: PLC0415 # as above

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the copies: who started them asks by pid
    gc.freeze()
    asking = socket.socket(fileno=number)
    while request := _request(asking):
        environment, lifeline = request
        pid = os.fork()
        if pid == 0:
            asking.close()
            _become(environment, lifeline)
            sys.exit(supervise())
        os.close(lifeline)
        asking.sendall(str(pid).encode())
    remove_runs()  # who asked may have been killed, and with it the run whose files hold Secrets


def _request(asking: socket.socket) -> tuple[Mapping[str, str], int] | None:
    words, descriptors, _, _ = socket.recv_fds(asking, PIECE_BYTES, maxfds=1)
    while words and not words.endswith(b"\n"):
        piece = asking.recv(PIECE_BYTES)
        if not piece:
            return None
        words += piece
    return (json.loads(words), descriptors[0]) if words else None


def _become(environment: Mapping[str, str], lifeline: int) -> None:
    """Be like a process that was started by itself."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(lifeline, 0)
    os.close(lifeline)
    os.environ.clear()
    os.environ.update(environment)


if __name__ == "__main__":
    main(int(sys.argv[1]))
