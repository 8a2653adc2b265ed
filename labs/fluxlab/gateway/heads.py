"""The first request head on a connection to the proxy, read with strict limits, and who it says it comes from."""

import asyncio
import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import h11

from fluxlab.errors import UsageError
from fluxlab.servers.asgi import basic_credentials

from .routes import normal_host

HEAD_LIMIT_BYTES = 16 * 1024
HEAD_SECONDS = 10.0
CHUNK_BYTES = 16 * 1024
HIGHEST_PORT = 65535
LONGEST_PORT = 5


class BadHeadError(Exception):
    """What a client sent is no usable head; the status and the text are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Head:
    """A request head, and every byte that was read for it."""

    method: str
    target: str
    proxy_authorization: str
    received: bytes
    excess: bool
    """Whether more than the head was read."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A host (normalised) and a port."""

    host: str
    port: int


async def read_head(connection: socket.socket) -> Head | None:
    """Read one head from a connection; None when the client went away first.

    Raises BadHeadError for one that is no HTTP, too long, or not there in time.
    """
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            return await _read(connection)
    except TimeoutError as error:
        raise BadHeadError(408, f"no request head within {HEAD_SECONDS:g} s") from error
    except h11.RemoteProtocolError as error:
        raise BadHeadError(error.error_status_hint, f"not an HTTP request: {error}") from error


async def _read(connection: socket.socket) -> Head | None:
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
    received = bytearray()
    loop = asyncio.get_running_loop()
    while (event := parser.next_event()) is h11.NEED_DATA:
        chunk = await loop.sock_recv(connection, CHUNK_BYTES)
        if not chunk:
            return None
        received += chunk
        parser.receive_data(chunk)
    if not isinstance(event, h11.Request):
        return None
    authorization = next((value for name, value in event.headers if name == b"proxy-authorization"), b"")
    return Head(
        method=event.method.decode("ascii"),
        target=event.target.decode("ascii"),
        proxy_authorization=authorization.decode("latin-1"),
        received=bytes(received),
        excess=bool(parser.trailing_data[0]),
    )


def tunnel_target(target: str) -> Target:
    """The host and port that a CONNECT names. Raises BadHeadError when it is not `host:port`."""
    host, colon, port = target.rpartition(":")
    digits = port.isascii() and port.isdigit() and len(port) <= LONGEST_PORT
    if not colon or not digits or not 0 < int(port) <= HIGHEST_PORT:
        raise BadHeadError(400, "CONNECT needs host:port")
    try:
        return Target(host=normal_host(host), port=int(port))
    except UsageError as error:
        raise BadHeadError(400, error.what) from error


def component(proxy_authorization: str, clients: Mapping[str, str]) -> str | None:
    """The component whose name and password these are; None for anybody else, in the same time."""
    credentials = basic_credentials(proxy_authorization)
    if credentials is None:
        return None
    password = clients.get(credentials.user)
    same = hmac.compare_digest((password or "").encode(), credentials.password.encode())
    return credentials.user if password and same else None
