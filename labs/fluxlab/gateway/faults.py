"""What is wrong with hosts on purpose: a middleware for each rule, and certificates that nobody must believe."""

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from starlette.types import ASGIApp, Receive, Scope, Send

from fluxlab.host_rules import (
    Alter,
    CertificateProblem,
    Cut,
    Delay,
    Hang,
    HostRule,
    Pad,
    Reply,
    Truncate,
    WrongCertificate,
)
from fluxlab.servers.asgi import answer, connection_of

from .bodies import changed, cut_off
from .routes import Routes, normal_host


@dataclass(frozen=True, eq=False, kw_only=True)
class _Active:
    """A rule that is in, and what was wrapped around its host."""

    rule: HostRule
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if fnmatchcase(str(scope["path"]), self.rule.paths):
                await self._serve(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return faulty

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        match self.rule.effect:
            case Reply() as reply:
                headers = [(name.lower().encode(), value.encode()) for name, value in reply.headers.items()]
                await answer(send, reply.status, reply.text, headers=headers, content_type=reply.content_type)
            case Hang():
                await self._hold(app, scope, receive, send)
            case Delay(seconds=seconds):
                await self._hold(app, scope, receive, send, seconds=seconds)
            case Cut():
                await app(scope, receive, cut_off(send, connection_of(scope)))
            case (Truncate() | Alter() | Pad()) as effect:
                await app(_unconditional(scope), receive, changed(send, effect))
            case WrongCertificate(problem=problem):
                # Who was about to connect when the rule came has seen the right one, and might keep to that.
                if scope["state"].get("certificate", problem) == problem:
                    await app(scope, receive, send)
                else:
                    connection_of(scope).cut()
                    await connection_of(scope).over.wait()

    async def _hold(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, seconds: float | None = None
    ) -> None:
        """Answer when the time is over or the rule is taken out; a client that has gone by then needs none."""
        over = connection_of(scope).over
        await _first_of(self.lifted, over, seconds=seconds)
        if not over.is_set():
            await app(scope, receive, send)


def _unconditional(scope: Scope) -> Scope:
    # The answer to a conditional request may be "as you know it": it has no body that could be changed.
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"if-none-match"]}


async def _first_of(*events: asyncio.Event, seconds: float | None) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


class HostFaults:
    """The rules that are in. In the gateway's loop only; they go with the process."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._active: list[_Active] = []

    def put(self, rule: HostRule) -> None:
        """Have a rule in; the same one again changes nothing. Raises UsageError for a host that is not mapped."""
        rule = _normalised(rule)
        if any(one.rule == rule for one in self._active):
            return
        active = _Active(rule=rule)
        self._routes.wrap(rule.host, active)
        self._active.append(active)

    def lift(self, id_: str) -> None:
        """Take out the rules of an id, if there are any: requests that they hold are answered now."""
        for active in [one for one in self._active if one.rule.id == id_]:
            self._active.remove(active)
            self._routes.unwrap(active.rule.host, active)
            active.lifted.set()

    def all(self) -> tuple[HostRule, ...]:
        """The rules, oldest first."""
        return tuple(one.rule for one in self._active)

    def certificate_problem(self, host: str) -> CertificateProblem | None:
        """What is wrong with the certificate of a host (normalised); None when nothing is."""
        effects = (one.rule.effect for one in self._active if one.rule.host == host)
        return next((one.problem for one in effects if isinstance(one, WrongCertificate)), None)


def _normalised(rule: HostRule) -> HostRule:
    """The rule with its host as the table has it. Raises UsageError for what is no host."""
    return rule.model_copy(update={"host": normal_host(rule.host)})
