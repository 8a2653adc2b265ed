"""Answers that are not what was sent: shortened, altered, padded, cut off. Chunk by chunk; nothing is held."""

from collections.abc import Iterator
from http import HTTPStatus

from starlette.types import Message, Send

from fluxlab.host_rules import Alter, Pad, Truncate
from fluxlab.servers.asgi import Connection, Header

MEGABYTE = 1024 * 1024
_PADDING = (b"#" + b" padding" * 15 + b"\n") * 512


class _Body:
    """What becomes of one answer's body; here: nothing."""

    def length(self, sent: int) -> int:
        """The length of what becomes of a body of `sent` bytes; asked first."""
        return sent

    def chunk(self, content: bytes) -> bytes:
        """What becomes of the next chunk."""
        return content

    def rest(self) -> Iterator[bytes]:
        """What comes after the last one."""
        yield b""


class _Shortened(_Body):
    """The first part only; of an answer that does not say how long it is, nothing."""

    def __init__(self, keep_percent: int) -> None:
        self._percent = keep_percent
        self._left = 0

    def length(self, sent: int) -> int:
        self._left = sent * self._percent // 100
        return self._left

    def chunk(self, content: bytes) -> bytes:
        kept = content[: self._left]
        self._left -= len(kept)
        return kept


class _Altered(_Body):
    """One bit is another one, in the middle of the first chunk."""

    def __init__(self) -> None:
        self._done = False

    def chunk(self, content: bytes) -> bytes:
        if self._done or not content:
            return content
        self._done = True
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class _Padded(_Body):
    """Comments at the end, up to a size; a body that is larger stays as it is."""

    def __init__(self, megabytes: int) -> None:
        self._wanted = megabytes * MEGABYTE
        self._missing = 0

    def length(self, sent: int) -> int:
        self._missing = max(0, self._wanted - sent)
        return sent + self._missing

    def rest(self) -> Iterator[bytes]:
        yield b"\n"[: self._missing]
        self._missing -= min(1, self._missing)
        while self._missing:
            chunk = _PADDING[: self._missing]
            self._missing -= len(chunk)
            yield chunk


def changed(send: Send, effect: Truncate | Alter | Pad) -> Send:
    """Send a whole answer (200) with another body; other answers pass as they are."""
    body, whole = _body(effect), False

    async def sending(message: Message) -> None:
        nonlocal whole
        if message["type"] == "http.response.start":
            whole = message["status"] == HTTPStatus.OK
            await send({**message, "headers": _headers(message["headers"], body)} if whole else message)
        elif not whole:
            await send(message)
        else:
            await send({**message, "body": body.chunk(message.get("body", b"")), "more_body": True})
            if not message.get("more_body", False):
                for chunk in body.rest():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})

    return sending


def _body(effect: Truncate | Alter | Pad) -> _Body:
    match effect:
        case Truncate(keep_percent=percent):
            return _Shortened(percent)
        case Alter():
            return _Altered()
        case Pad(megabytes=megabytes):
            return _Padded(megabytes)


def _headers(headers: list[Header], body: _Body) -> list[Header]:
    return [
        (name, str(body.length(int(value))).encode() if name == b"content-length" else value) for name, value in headers
    ]


def cut_off(send: Send, connection: Connection) -> Send:
    """Send the head and the first half of what comes first, then reset the connection."""

    async def sending(message: Message) -> None:
        if connection.over.is_set():
            return
        if message["type"] == "http.response.start":
            await send(message)
            return
        content: bytes = message.get("body", b"")
        if content or not message.get("more_body", False):
            await send({**message, "body": content[: len(content) // 2], "more_body": True})
            connection.cut()
            await connection.over.wait()

    return sending
