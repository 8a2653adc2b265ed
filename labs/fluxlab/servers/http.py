"""HTTP/1.1 for ASGI applications in the running loop, on loopback: uvicorn's protocol, without its server's habits.

uvicorn's own `Server` polls ten times a second, catches signals and waits for idle keep-alives when it stops.
Here its protocol class is driven by asyncio directly, which also serves a connection that somebody else accepted
(the gateway's: after CONNECT, with TLS), so that no inner listener is needed.
"""

import asyncio
import errno
import logging
import socket
import ssl
import struct
from collections.abc import Mapping

import h11
from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from fluxlab.errors import FluxlabError
from fluxlab.ports import LOOPBACK

BACKLOG = 512
HEAD_LIMIT_BYTES = 32 * 1024
# For a whole head, from its first byte on; for the first one from the moment on when the connection is there.
HEAD_SECONDS = 30.0
# For each piece of a body. Long: a client may have to compress first, and a person may look at it in a debugger.
PIECE_SECONDS = 300.0
TLS_HANDSHAKE_SECONDS = 10.0
TLS_CLOSE_SECONDS = 2.0
# Above the 60 s after which some HTTP clients drop an idle connection; Go's default transport drops it after 90 s.
KEEP_ALIVE_SECONDS = 75

logger = logging.getLogger(__name__)


def bind_loopback(port: int) -> socket.socket:
    """As `bind_address`, on 127.0.0.1."""
    return bind_address(LOOPBACK, port)


def bind_address(address: str, port: int) -> socket.socket:
    """A listening TCP socket on one address of this machine; port 0 lets the kernel choose.

    Raises FluxlabError naming the port when it is taken, or the address when it is not this machine's.
    """
    # The protocol by name: only on such sockets asyncio sets TCP_NODELAY, and without that two writes take 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.settimeout(0)
    try:
        bound.bind((address, port))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        why = "is taken by another process" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror}"
        raise FluxlabError(f"port {port} on {address} {why}", hint=f"ss -ltnp 'sport = :{port}'") from error
    return bound


class _Connection(H11Protocol):
    """One connection: carries facts about its client into each scope's `state`, and gives up on silent clients."""

    def __init__(
        self, config: Config, server_state: ServerState, *, state: Mapping[str, object], received: bytes
    ) -> None:
        super().__init__(config, server_state, {**state, "connection": self})
        self.over = asyncio.Event()
        self._received = received
        self._expected: asyncio.TimerHandle | None = None
        self._in_a_head = True
        self._was_held_up = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # asyncio hands over a Transport
        super().connection_made(transport)
        self._expect_within(HEAD_SECONDS)
        if self._received:
            self.data_received(self._received)
            self._received = b""

    def handle_events(self) -> None:
        """Take what has come, and begin to wait for the rest of it: uvicorn only times the pause between requests."""
        super().handle_events()
        state, was_in_a_head = self.conn.their_state, self._in_a_head
        self._in_a_head = state is h11.IDLE and bool(self.conn.trailing_data[0])
        if state is h11.SEND_BODY:
            self._expect_within(PIECE_SECONDS)
        elif not self._in_a_head:
            self._expect_nothing()
        elif not was_in_a_head:
            self._expect_within(HEAD_SECONDS)

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self._was_held_up = self._held_up()
        self._expected = self.loop.call_later(seconds, self._give_up)

    def _held_up(self) -> bool:
        """Whether it is the application that does not let the client go on."""
        in_a_body = self.conn.their_state is h11.SEND_BODY
        return in_a_body and (self.flow.read_paused or self.cycle.waiting_for_100_continue)

    def _expect_nothing(self) -> None:
        if self._expected:
            self._expected.cancel()
            self._expected = None

    def _give_up(self) -> None:
        if self._was_held_up or self._held_up():
            self._expect_within(PIECE_SECONDS)  # its time begins when it may go on
        else:
            self.transport.abort()

    def cut(self) -> None:
        """End it at once, so that the client sees a reset."""
        held: socket.socket = self.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def end_if_idle(self) -> None:
        """End now between requests, else after the one under way."""
        self.shutdown()
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self.transport.abort()  # a TLS client that does not read would be waited for

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)
        self.over.set()


class HttpServer:
    """Serves one ASGI application: on a listener of its own, on single connections handed to it, or both."""

    def __init__(self, app: ASGIApp) -> None:
        self._config = Config(
            app,
            http=_Connection,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=HEAD_LIMIT_BYTES,
        )
        self._config.load()
        self._state = ServerState()
        self._listener: asyncio.Server | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port of the listener; 0 when there is none."""
        return self._port

    async def listen(self, bound: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a socket from `bind_loopback`, or on a bound Unix socket."""
        loop = asyncio.get_running_loop()
        if bound.family == socket.AF_UNIX:
            self._listener = await loop.create_unix_server(lambda: self._connection({}), sock=bound, backlog=BACKLOG)
            return
        self._port = int(bound.getsockname()[1])
        self._listener = await loop.create_server(lambda: self._connection({}), sock=bound, backlog=BACKLOG, ssl=tls)

    async def serve_connection(
        self,
        connection: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        state: Mapping[str, object],
        received: bytes = b"",
    ) -> None:
        """Serve an accepted connection until it ends; it is closed then, also when this is cancelled.

        Args:
            connection: The socket; it belongs to this server from now on.
            tls: Speak TLS with this context.
            state: Goes into the `state` of each request's scope.
            received: Bytes that were already read from the socket.

        Raises:
            OSError: The TLS handshake failed (`ssl.SSLError`), took too long or was broken off.
        """
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: self._connection(state, received),
            connection,
            ssl=tls,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS if tls else None,
            ssl_shutdown_timeout=TLS_CLOSE_SECONDS if tls else None,
        )
        try:
            await protocol.over.wait()
        finally:
            transport.abort()

    async def stop(self, *, grace_seconds: float = 1.0) -> None:
        """Stop: idle connections end at once, requests under way get the grace and are then cut off."""
        if self._listener:
            self._listener.close()
        for connection in self._open():
            connection.end_if_idle()
        await self._settle(grace_seconds)
        for connection in self._open():
            connection.transport.abort()
        await self._settle(grace_seconds)
        for task in list(self._state.tasks):
            task.cancel()
        await self._settle(grace_seconds)

    def end_idle(self, host: str) -> None:
        """End the connections that were made to a host (`host` in their state) and are between two requests."""
        for connection in self._open():
            if connection.app_state.get("host") == host:
                connection.end_if_idle()

    async def _settle(self, seconds: float) -> None:
        waiting = [connection.over.wait() for connection in self._open()]
        tasks = {*map(asyncio.ensure_future, waiting), *self._state.tasks}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late - self._state.tasks:
                task.cancel()

    def _open(self) -> list[_Connection]:
        return [connection for connection in self._state.connections if isinstance(connection, _Connection)]

    def _connection(self, state: Mapping[str, object], received: bytes = b"") -> _Connection:
        return _Connection(self._config, self._state, state=state, received=received)


async def serve(app: ASGIApp, bound: socket.socket, *, tls: ssl.SSLContext | None = None) -> HttpServer:
    """Serve `app` on a bound socket in the running loop; `await server.stop()` ends it."""
    server = HttpServer(app)
    await server.listen(bound, tls=tls)
    return server
