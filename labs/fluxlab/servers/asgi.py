"""The few things that every ASGI application here needs: who asks, which path, a plain answer."""

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import Scope, Send

Header = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a client says in a Basic `Authorization` or `Proxy-Authorization` header."""

    user: str
    password: str


def header(scope: Scope, name: bytes) -> str:
    """The value of a request header (lower-case name); empty when there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def basic_credentials(value: str) -> Credentials | None:
    """The credentials in a header value `Basic ...`; None for anything else."""
    scheme, _, encoded = value.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, no ASCII at all, or no UTF-8 in it
        return None
    printable = user.isprintable() and password.isprintable()
    return Credentials(user=user, password=password) if colon and printable else None


def asked_by(scope: Scope) -> str:
    """The component whose connection came through the gateway; empty for everybody else.

    Set per connection by the gateway, never read from the request, so nobody can claim it.
    """
    return str(scope.get("state", {}).get("asked_by", ""))


class Connection(Protocol):
    """The connection on which a request came."""

    over: asyncio.Event
    """Set when it has ended."""

    def cut(self) -> None:
        """End it at once, so that the client sees a reset."""


def connection_of(scope: Scope) -> Connection:
    """The connection of a request, as `servers.http` puts it into each scope."""
    found: Connection = scope["state"]["connection"]
    return found


def path_below(scope: Scope) -> str:
    """The path below the prefix at which an application is mounted (`root_path`, as ASGI has it)."""
    return str(scope["path"]).removeprefix(str(scope.get("root_path", "")))


async def answer(
    send: Send,
    status: int,
    text: str,
    *,
    headers: Iterable[Header] = (),
    content_type: str = "text/plain; charset=utf-8",
) -> None:
    """Send a whole small response: `text` ends with a line feed for people with curl."""
    body = text.encode() if text.endswith("\n") or not text else f"{text}\n".encode()
    named = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": body})
