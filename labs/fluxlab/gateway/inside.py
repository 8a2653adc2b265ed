"""What answers inside the gateway: requests from a tunnel to a mapped host, and plain `GET http://host/...` ones."""

from urllib.parse import SplitResult, unquote, urlsplit

from starlette.types import Receive, Scope, Send

from fluxlab.errors import UsageError
from fluxlab.servers.asgi import answer, asked_by, header
from fluxlab.servers.forward import HOP_BY_HOP, Forwarder

from .routes import HTTP_PORT, Allowed, Mapped, Refused, Routes, normal_host


class GatewayApplication:
    """Finds the application for a request by host. A scope's state holds `asked_by`, and in a tunnel `host`."""

    def __init__(self, *, routes: Routes, forwarder: Forwarder) -> None:
        self._routes = routes
        self._forwarder = forwarder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if host := scope["state"].get("host"):
            await self._in_tunnel(str(host), scope, receive, send)
        else:
            await self._absolute(scope, receive, send)

    async def _in_tunnel(self, host: str, scope: Scope, receive: Receive, send: Send) -> None:
        named = header(scope, b"host")
        if named and _host_of(named) != host:
            await answer(send, 421, f"this connection was made to {host}, not to {named}")
        else:
            await self._routes.application(host)(scope, receive, send)

    async def _absolute(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = _url(scope)
        host = _host_of(url.netloc) if url and url.scheme == "http" and scope["method"] != "CONNECT" else None
        if not url or not host:
            await answer(send, 400, "this is a proxy: CONNECT host:443, or METHOD http://host/path")
            return
        port = url.port or HTTP_PORT
        state = {**scope["state"], "host": host}
        scope["state"].update(host=host, path=unquote(url.path))  # for the request log, which looks at the end
        match self._routes.decide(host, port, asked_by=asked_by(scope)):
            case Mapped(tls=True):
                await answer(send, 400, f"{host}:{port} speaks TLS: CONNECT to it")
            case Mapped():
                inside = {**_origin_form(scope, url), "state": state}
                await self._routes.application(host)(inside, receive, send)
            case Allowed():
                await self._forwarder.forward(url.geturl(), scope, receive, send)
            case Refused(reason=reason):
                await answer(send, 403, reason)


def _url(scope: Scope) -> SplitResult | None:
    target = scope["raw_path"].decode("ascii")
    query = scope["query_string"].decode("ascii")
    try:
        parts = urlsplit(f"{target}?{query}" if query else target)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None  # no URL: a port that is no number, a broken address


def _host_of(authority: str) -> str | None:
    try:
        return normal_host(urlsplit(f"//{authority}").hostname or "")
    except (ValueError, UsageError):
        return None


def _origin_form(scope: Scope, url: SplitResult) -> Scope:
    path = url.path or "/"
    headers = [
        (name, value) for name, value in scope["headers"] if name not in HOP_BY_HOP or name == b"transfer-encoding"
    ]
    return {**scope, "path": unquote(path), "raw_path": path.encode("ascii"), "headers": headers}
