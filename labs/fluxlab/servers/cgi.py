"""Run a CGI program for one ASGI request, streaming both ways: no body is ever held in memory."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from starlette.types import Receive, Send

from .asgi import Header, answer

CHUNK_BYTES = 64 * 1024
HEAD_LIMIT_BYTES = 16 * 1024
ERRORS_QUOTED_BYTES = 2000
KILL_GRACE_SECONDS = 2.0
# For one that has said something wrong, which is most often its end.
EXIT_GRACE_SECONDS = 0.2

logger = logging.getLogger(__name__)


class CgiError(Exception):
    """The program ended, or spoke, without a usable response head."""


@dataclass(frozen=True, kw_only=True)
class CgiProgram:
    """How to run one: what is called, in which environment, and what happens at its end."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    errors: BinaryIO
    """An open file that takes its standard error."""
    inherited: Sequence[int] = ()
    """Descriptors that the program keeps open."""
    grace_seconds: float = 0.0
    """How long it may go on, its input at an end, when the client has gone away."""
    at_end: Callable[[], None] = lambda: None
    """Called when it has closed its output, before the client sees the end of the response; and again at its end.

    What it raises is logged: the program has done its work, and its answer stands.
    """

    def conclude(self) -> None:
        """Do what is to be done at its end."""
        try:
            self.at_end()
        except Exception:
            logger.exception("%s: what was to be done at its end failed", self.argv[-1])


async def run_cgi(program: CgiProgram, receive: Receive, send: Send) -> None:
    """Answer one request with a CGI program; no process of it is left when this returns, whoever went away first."""
    process = await asyncio.create_subprocess_exec(
        *program.argv,
        env=dict(program.environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=program.errors,
        pass_fds=program.inherited,
        start_new_session=True,
        limit=CHUNK_BYTES,
    )
    exchange = _Exchange(program, process, receive, send)
    feeding = asyncio.create_task(exchange.feed())
    responding = asyncio.create_task(exchange.respond())
    try:
        await asyncio.wait({feeding, responding}, return_when=asyncio.FIRST_COMPLETED)
        if not responding.done():  # the client is gone
            await asyncio.wait({responding}, timeout=program.grace_seconds)
    except asyncio.CancelledError:
        responding.cancel()
        raise
    finally:
        feeding.cancel()
        await _end(process, responding)
        program.conclude()
    await asyncio.wait({feeding})
    await exchange.report(responding.exception())
    if not feeding.cancelled():
        feeding.result()


class _Exchange:
    """The two directions of one request."""

    def __init__(self, program: CgiProgram, process: asyncio.subprocess.Process, receive: Receive, send: Send) -> None:
        if not process.stdin or not process.stdout:
            raise CgiError("the program was started without pipes")
        self._program = program
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._receive = receive
        self._send = send
        self._started = False

    async def feed(self) -> None:
        """Body to standard input. Ends when the client is gone; until then the response goes on."""
        while (message := await self._receive())["type"] != "http.disconnect":
            await self._give(message.get("body", b""))
            if not message.get("more_body", False):
                self._stdin.close()
        self._stdin.close()

    async def _give(self, body: bytes) -> None:
        if not body or self._stdin.is_closing():
            return  # what a program no longer wants to read is dropped; its answer says why
        try:
            self._stdin.write(body)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            self._stdin.close()

    async def respond(self) -> None:
        """Standard output to the response."""
        status, headers = await _read_head(self._stdout)
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        while chunk := await self._stdout.read(CHUNK_BYTES):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._program.conclude()
        await self._send({"type": "http.response.body", "body": b""})

    async def report(self, error: BaseException | None) -> None:
        """Say what went wrong: to the log, and to the client if it has seen nothing yet."""
        code = self._process.returncode
        if code or error:
            logger.warning("%s: exit code %s: %s", self._program.argv[-1], code, _tail(self._program.errors) or error)
        if isinstance(error, CgiError) and not self._started:
            await answer(self._send, 500, f"{error}; the lab's log says more")
        elif error:
            raise error


async def _read_head(stdout: asyncio.StreamReader) -> tuple[int, list[Header]]:
    status, headers, size = 200, list[Header](), 0
    while line := await stdout.readline():
        size += len(line)
        if not line.strip():
            return status, headers
        name, colon, value = line.strip().partition(b":")
        if not colon or size > HEAD_LIMIT_BYTES:
            break
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower(), value.strip()))
    raise CgiError("git ended without an answer")


async def _end(process: asyncio.subprocess.Process, responding: asyncio.Task[None]) -> None:
    """Wait for the program's end: SIGTERM to its whole group first if it is late, so that it removes what it began."""
    patience = _patience(responding)
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            await asyncio.wait_for(_over(process, responding), patience)
        except TimeoutError:
            _signal_group(process, number)
            patience = KILL_GRACE_SECONDS
        else:
            return
    await _over(process, responding)


def _patience(responding: asyncio.Task[None]) -> float:
    if not responding.done():
        return 0.0  # it had its grace already
    wrong = responding.cancelled() or responding.exception()
    return EXIT_GRACE_SECONDS if wrong else KILL_GRACE_SECONDS


async def _over(process: asyncio.subprocess.Process, responding: asyncio.Task[None]) -> None:
    await asyncio.wait({responding})
    # asyncio lets go of a process only when its pipes are at their end.
    while process.stdout and await process.stdout.read(CHUNK_BYTES):
        pass
    await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: int) -> None:
    if process.returncode is not None:
        return  # reaped: its number may be somebody else's by now
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it ended just now: what was wanted


def _tail(errors: BinaryIO) -> str:
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - ERRORS_QUOTED_BYTES))
    return errors.read().decode(errors="replace").strip()
