"""One connection to the proxy, from its first head to its end."""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http import HTTPStatus

from fluxlab.servers.http import HttpServer

from .certificates import HostContexts
from .faults import HostFaults
from .heads import BadHeadError, Head, Target, component, read_head, tunnel_target
from .requestlog import Entry, RequestLog, elapsed_ms
from .routes import Allowed, Mapped, Refused, Routes
from .tunnels import connect, run_tunnel

LINGER_SECONDS = 1.0
CHUNK_BYTES = 64 * 1024
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
CHALLENGE = 'Proxy-Authenticate: Basic realm="fluxlab gateway"\r\n'


@dataclass(frozen=True, kw_only=True)
class Front:
    """What every connection needs to find its way."""

    routes: Routes
    clients: Mapping[str, str]
    contexts: HostContexts
    faults: HostFaults
    http: HttpServer
    log: RequestLog

    async def serve(self, connection: socket.socket) -> None:
        """Serve one accepted connection until its end; it is closed then, whatever happens."""
        visit = _Visit(front=self, connection=connection)
        with ExitStack() as closing:
            closing.callback(connection.close)
            try:
                await visit.go(closing)
            except BadHeadError as error:
                await visit.refuse(error.status, str(error))
            except OSError as error:  # this client broke off: nothing is left to answer, and nobody else is concerned
                visit.record(0, note=f"{type(error).__name__}: {error}")


@dataclass(kw_only=True)
class _Visit:
    """One connection, and what is known about it so far."""

    front: Front
    connection: socket.socket
    asked_by: str = ""
    method: str = ""
    host: str = ""

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    async def go(self, closing: ExitStack) -> None:
        head = await read_head(self.connection)
        if head is None:
            return
        self.method, self.host = head.method, head.target if head.method == "CONNECT" else ""
        who = component(head.proxy_authorization, self.front.clients)
        if who is None:
            await self.refuse(407, "the gateway serves the lab's components, by name and password", extra=CHALLENGE)
            return
        self.asked_by = who
        if head.method == "CONNECT":
            await self._connect(head, closing)
        else:
            closing.pop_all()
            state = {"asked_by": who}
            await self.front.http.serve_connection(self.connection, state=state, received=head.received)

    async def _connect(self, head: Head, closing: ExitStack) -> None:
        target = tunnel_target(head.target)
        if head.excess:
            raise BadHeadError(400, "bytes came before the proxy had answered the CONNECT")
        match self.front.routes.decide(target.host, target.port, asked_by=self.asked_by):
            case Refused(reason=reason):
                await self.refuse(403, reason)
            case Mapped(tls=tls):
                await self._answer_inside(target, closing, tls=tls)
            case Allowed():
                await self._pass_through(target, closing)

    async def _answer_inside(self, target: Target, closing: ExitStack, *, tls: bool) -> None:
        problem = self.front.faults.certificate_problem(target.host)
        context = self.front.contexts.context(target.host, problem) if tls else None
        await asyncio.get_running_loop().sock_sendall(self.connection, ESTABLISHED)
        closing.pop_all()
        state = {"asked_by": self.asked_by, "host": target.host, **({"certificate": problem} if tls else {})}
        try:
            await self.front.http.serve_connection(self.connection, tls=context, state=state)
        except ssl.SSLError as error:
            asked = f"does {self.asked_by} trust the lab's authority?"
            doubt = f"the certificate is wrong on purpose: {problem}" if problem else asked
            self.record(0, note=f"TLS: {error.reason or error}: {doubt}")

    async def _pass_through(self, target: Target, closing: ExitStack) -> None:
        try:
            server = await connect(target)
        except OSError as error:
            why = str(error) or type(error).__name__
            await self.refuse(502, f"{target.host}:{target.port} is allowed, but cannot be reached: {why}")
            return
        closing.pop_all()
        tally = await run_tunnel(self.connection, server, greeting=ESTABLISHED)
        self.record(200, size=tally.bytes_to_client, note=tally.note)

    async def refuse(self, status: int, reason: str, *, extra: str = "") -> None:
        """Answer with an error whose reason phrase says it all: Go's clients show nothing else of a failed CONNECT."""
        self.record(status, note=reason)
        phrase = HTTPStatus(status).phrase if extra else _printable(reason)
        body = f"{reason}\n".encode()
        head = (
            f"HTTP/1.1 {status} {phrase}\r\n{extra}Content-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._say_goodbye(head.encode() + body)
        except OSError:
            return  # it had its second; whether it read the answer is its own concern

    async def _say_goodbye(self, last_words: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.connection, last_words)
        self.connection.shutdown(socket.SHUT_WR)
        # Closing with unread bytes would reset the connection and take the answer away from the client.
        while await loop.sock_recv(self.connection, CHUNK_BYTES):
            pass

    def record(self, status: int, *, size: int = 0, note: str = "") -> None:
        self.front.log.write(
            Entry(
                asked_by=self.asked_by,
                host=self.host,
                method=self.method,
                path="",
                status=status,
                bytes=size,
                duration_ms=elapsed_ms(self._began),
                note=note,
            )
        )


def _printable(text: str) -> str:
    return "".join(character if " " <= character <= "~" else "?" for character in text)
