"""A TCP client that asks the provider behind a link something, and measures what comes of it."""

import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from fluxlab.errors import FluxlabError
from fluxlab.ports import LOOPBACK

TLS_PROVIDERS = frozenset({"api", "etcd"})
"""All others speak plain HTTP."""
PATIENCE_SECONDS = 10.0
"""Longer than any sound answer takes on a busy machine."""
TIMES = 3
"""A machine that is busy for a moment delays one answer, not all of them."""
PADDING_BYTES = 8000
"""The gateway reads heads of up to 16 KB."""
CHUNK_BYTES = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_IsWhole: TypeAlias = Callable[[bytes], bool]
"""Is given an answer piece by piece, and says when it is there."""


class End(StrEnum):
    """How an exchange ended."""

    WHOLE = "whole"
    """The answer was there."""
    SILENT = "silent"
    """The connection stayed open, and nothing more came in time."""
    CLOSED = "closed"
    """The other side closed it before the answer was whole."""
    RESET = "reset"
    """The other side reset it."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One question, large enough to be measured, and the answer."""

    end: End
    seconds: float
    """Until the end."""
    sent: int
    pieces: tuple[int, ...]
    """The sizes in which the answer came."""

    @property
    def received(self) -> int:
        """The bytes of the answer."""
        return sum(self.pieces)


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client of one link, which connects as the link's consumer does."""

    provider: str
    port: int

    def ask(self, *, patience_seconds: float = PATIENCE_SECONDS) -> Exchange:
        """Ask what is behind the link something. Raises FluxlabError when nobody listens."""
        return _exchange(self.provider, self.port, patience_seconds=patience_seconds)

    def fastest(self, *, patience_seconds: float) -> Exchange:
        """The fastest of several exchanges. Raises FluxlabError when nobody listens."""
        asked = [self.ask(patience_seconds=patience_seconds) for _ in range(TIMES)]
        return min(asked, key=lambda one: one.seconds)


def _exchange(provider: str, port: int, *, patience_seconds: float) -> Exchange:
    question, is_whole = _hello() if provider in TLS_PROVIDERS else _request()
    began, pieces = time.monotonic(), list[int]()
    try:
        connection = socket.create_connection((LOOPBACK, port), timeout=patience_seconds)
    except OSError as error:
        raise FluxlabError(f"nobody listens at port {port}", facts=[str(error)], hint="fluxlab status") from None
    with connection:
        try:
            connection.sendall(question)
            end = _listen(connection, pieces, is_whole, until=began + patience_seconds)
        except TimeoutError:
            end = End.SILENT
        except ConnectionError:
            end = End.RESET
    return Exchange(end=end, seconds=time.monotonic() - began, sent=len(question), pieces=tuple(pieces))


def _listen(connection: socket.socket, pieces: list[int], is_whole: _IsWhole, *, until: float) -> End:
    while True:
        connection.settimeout(max(0.001, until - time.monotonic()))
        if not (piece := connection.recv(CHUNK_BYTES)):
            return End.CLOSED
        pieces.append(len(piece))
        if is_whole(piece):
            return End.WHOLE


def _request() -> tuple[bytes, _IsWhole]:
    """A request over HTTP; whatever the status, the answer is one."""
    answer = bytearray()

    def is_whole(piece: bytes) -> bool:
        answer.extend(piece)
        head, separator, body = answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        return bool(separator) and len(body) >= int(length[1] if length else 0)

    padding = b"x" * PADDING_BYTES
    return b"GET / HTTP/1.1\r\nHost: fluxlab\r\nX-Padding: %s\r\nConnection: close\r\n\r\n" % padding, is_whole


def _hello() -> tuple[bytes, _IsWhole]:
    """What begins a TLS connection; the server answers with all that it has to say before it knows the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    padding = [f"{number:0>200}" for number in range(PADDING_BYTES // 201)]
    context.set_alpn_protocols(["h2", "http/1.1", *padding])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)

    def is_whole(piece: bytes) -> bool:
        incoming.write(piece)
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            return True  # it declines: that is an answer, too
        return True

    is_whole(b"")
    return outgoing.read(), is_whole
