"""Pass one HTTP request on to a server, body and answer streamed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import Receive, Scope, Send

from .asgi import Header, answer, connection_of

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS = 15.0
# For one piece of a body. While a server takes none, its client is not read from either, so that nobody sees it go.
WRITE_SECONDS = 300.0
IDLE_CONNECTIONS = 20
# RFC 9110, 7.6.1: these belong to one connection.
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Forwarder:
    """Sends requests on as they are; keeps connections to the servers open between them.

    A server may take its time: how long is worth waiting for, its client knows, and with the client the request goes.
    """

    def __init__(self, *, unix_socket: Path | None = None) -> None:
        """With `unix_socket` all requests go there, whatever host their URL names."""
        self._unix_socket = unix_socket
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def forward(
        self,
        url: str,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        change: Callable[[Header], Header] = lambda header: header,
    ) -> None:
        """Send the request of `scope` to `url` and its answer back, each header changed; 502 when there is none."""
        exchange = asyncio.ensure_future(self._exchange(url, scope, receive, send, change))
        over = asyncio.ensure_future(connection_of(scope).over.wait())
        try:
            await asyncio.wait({exchange, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            exchange.cancel()
            await asyncio.wait({exchange})
        if not exchange.cancelled():
            exchange.result()

    async def _exchange(
        self, url: str, scope: Scope, receive: Receive, send: Send, change: Callable[[Header], Header]
    ) -> None:
        import httpx  # noqa: PLC0415  # 0.1 s that the start of a lab does not need

        self._transport = self._transport or httpx.AsyncHTTPTransport(
            trust_env=False,
            retries=0,
            uds=str(self._unix_socket) if self._unix_socket else None,
            # As many as there are clients: one server that hangs must keep nobody from another one.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS),
        )
        request = httpx.Request(
            str(scope["method"]),
            url,
            headers=_request_headers(scope),
            stream=_stream(receive),
            extensions={"timeout": {"connect": CONNECT_SECONDS, "write": WRITE_SECONDS}},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            await answer(send, 502, f"{request.url.host} gave no answer: {type(error).__name__}: {error}")
            return
        try:
            await _send_response(response, send, change)
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        if self._transport:
            await self._transport.aclose()
            self._transport = None


def _stream(receive: Receive) -> "httpx.AsyncByteStream":
    import httpx  # noqa: PLC0415  # as above

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise httpx.ReadError("the client went away")
                yield message.get("body", b"")
                more = message.get("more_body", False)

    return Body()


def _request_headers(scope: Scope) -> list[Header]:
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    kept = [(name, value) for name, value in scope["headers"] if name not in HOP_BY_HOP]
    # Framing is per connection as well, but the body goes on as it comes.
    return [*kept, (b"transfer-encoding", b"chunked")] if chunked else kept


async def _send_response(response: "httpx.Response", send: Send, change: Callable[[Header], Header]) -> None:
    kept = [(name.lower(), value) for name, value in response.headers.raw if name.lower() not in HOP_BY_HOP]
    headers = [change(header) for header in kept]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async for chunk in response.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
