"""Which host is answered by what: a table that may change while the gateway runs, and the decision for each request."""

import ipaddress
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from fluxlab.errors import UsageError
from fluxlab.servers.asgi import answer

HTTPS_PORT, HTTP_PORT = 443, 80
STANDARD_PORTS = {HTTPS_PORT: True, HTTP_PORT: False}
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*")

Middleware = Callable[[ASGIApp], ASGIApp]
"""Wraps what answers for a host: the place for faults, records and replays."""


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """The lab answers for this host and port."""

    tls: bool


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """The real host is reached, untouched."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Neither: why, in one sentence that also says what to do about it."""

    reason: str


Decision = Mapped | Allowed | Refused


@dataclass(frozen=True, kw_only=True)
class Site:
    """One mapped host: applications by path prefix, longest first, and what is wrapped around them all."""

    host: str
    mounts: tuple[tuple[str, ASGIApp], ...] = ()
    ports: dict[int, bool] = field(default_factory=lambda: dict(STANDARD_PORTS))
    """Whether TLS is spoken, by port."""
    middleware: tuple[Middleware, ...] = ()

    def mounted(self, prefix: str, app: ASGIApp, port: int, *, tls: bool) -> "Site":
        """With one more application (or another one at the same prefix)."""
        others = [mount for mount in self.mounts if mount[0] != prefix]
        mounts = sorted([*others, (prefix, app)], key=lambda mount: len(mount[0]), reverse=True)
        return replace(self, mounts=tuple(mounts), ports={**self.ports, port: tls})

    @property
    def urls(self) -> list[str]:
        """What is mapped here, in order."""
        return sorted(f"https://{self.host}{prefix}" for prefix, _ in self.mounts)

    def application(self) -> ASGIApp:
        """What answers for this host, with everything that is wrapped around it, the first being outermost."""
        app: ASGIApp = self._by_prefix
        for middleware in reversed(self.middleware):
            app = middleware(app)
        return app

    async def _by_prefix(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        for prefix, app in self.mounts:
            if path == prefix or path.startswith(f"{prefix}/"):
                # As in ASGI and Starlette: `path` stays whole, `root_path` says how much of it is above.
                await app({**scope, "root_path": prefix}, receive, send)
                return
        mapped = ", ".join(self.urls)
        await answer(send, 404, f"nothing is mapped at https://{self.host}{path} in this lab; mapped here: {mapped}")


class Routes:
    """The gateway's table of hosts. Thread-safe: readers see one whole table, writers replace it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sites: dict[str, Site] = {}
        self._allowed: frozenset[str] = frozenset()

    def mount(self, url: str, app: ASGIApp) -> None:
        """Let `app` answer for everything at and below `url`; it replaces what was mounted there.

        Several applications may share a host; the longest prefix wins. A host answers on ports 443 (TLS) and 80, and
        on the port that a mounted URL names. Raises UsageError for a URL that is none, or a host that is allowed.
        """
        host, port, tls, prefix = _parse(url)
        with self._lock:
            if host in self._allowed:
                raise UsageError(f"{host} is allowed to be reached for real, so {url} cannot be mapped")
            site = self._sites.get(host) or Site(host=host)
            self._sites = {**self._sites, host: site.mounted(prefix, app, port, tls=tls)}

    def allow(self, host: str) -> None:
        """Let this host be reached for real, on any port. Raises UsageError when it is mapped."""
        name = normal_host(host)
        with self._lock:
            if name in self._sites:
                raise UsageError(f"{name} is mapped in this lab, so it cannot be reached for real as well")
            self._allowed |= {name}

    def wrap(self, host: str, middleware: Middleware) -> None:
        """Put `middleware` around everything that answers for a mapped host, outside of what is there already."""
        self._rewrap(host, lambda present: (middleware, *present))

    def unwrap(self, host: str, middleware: Middleware) -> None:
        """Take it away again."""
        self._rewrap(host, lambda present: tuple(other for other in present if other is not middleware))

    def _rewrap(self, host: str, change: Callable[[tuple[Middleware, ...]], tuple[Middleware, ...]]) -> None:
        name = normal_host(host)
        with self._lock:
            if not (site := self._sites.get(name)):
                raise UsageError(
                    f"{name} is not mapped in this lab", hint=f"mapped: {', '.join(self.mapped()) or 'nothing'}"
                )
            self._sites = {**self._sites, name: replace(site, middleware=change(site.middleware))}

    def mapped(self) -> tuple[str, ...]:
        """Every mapped URL."""
        return tuple(url for _, site in sorted(self._sites.items()) for url in site.urls)

    def allowed(self) -> tuple[str, ...]:
        """Every allowed host."""
        return tuple(sorted(self._allowed))

    def decide(self, host: str, port: int, *, asked_by: str) -> Decision:
        """What happens to a request of `asked_by` for `host` (normalised) and `port`."""
        if site := self._sites.get(host):
            if port in site.ports:
                return Mapped(tls=site.ports[port])
            known = " and ".join(map(str, sorted(site.ports)))
            return Refused(reason=f"{host} is mapped in this lab on ports {known}, {asked_by} asked for port {port}")
        if host in self._allowed:
            return Allowed()
        return Refused(
            reason=f"{host} is not mapped in this lab ({asked_by} asked for port {port}): map it under charts:, "
            f"registries: or alerts: in the lab file, or let it out with gateway: {{allow: [{host}]}}"
        )

    def application(self, host: str) -> ASGIApp:
        """What answers for a mapped host (normalised) now; a host that is mapped stays so."""
        return self._sites[host].application()


def normal_host(host: str) -> str:
    """A host name as the table has it: lower case, without brackets or a final dot. Raises UsageError for others."""
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    name = inner.lower().removesuffix(".")
    if not HOST.fullmatch(name) and not _is_ipv6(name):
        raise UsageError(f"{host!r} is no host name")
    return name


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(name)
    except ValueError:
        return False
    return "%" not in name


def _parse(url: str) -> tuple[str, int, bool, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"{url!r} cannot be mapped", hint="https://<host>/<path>")
    tls = parts.scheme == "https"
    return normal_host(parts.hostname), port or (HTTPS_PORT if tls else HTTP_PORT), tls, unquote(parts.path).rstrip("/")
