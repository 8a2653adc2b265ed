"""The supervisor's verbs on its private socket: the application that answers and the client that asks."""

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.host import socket_address
from fluxlab.state import LabFolder
from fluxlab.status import LabStatus

STATUS_TIMEOUT_SECONDS = 5
CHANGE_TIMEOUT_SECONDS = 60


class SupervisorGoneError(UnknownError):
    """Nobody answers on the lab's socket."""


class Verbs(Protocol):
    """What the supervisor can be asked to do."""

    async def status(self) -> LabStatus:
        """How the lab is."""

    async def stop(self) -> None:
        """End the lab; the answer comes before the end."""

    async def restart(self, component: str) -> None:
        """Stop and start one component, named `cluster/component`."""

    async def repair(self) -> list[str]:
        """Start again what died; returns the names."""

    async def allow(self, host: str) -> None:
        """Let the gateway pass a host through."""

    async def serve_charts(self, url: str) -> None:
        """Answer for a chart repository at a public URL, from its folder of archives."""


def control_app(verbs: Verbs) -> Starlette:
    """The ASGI application of the private socket."""

    async def status(_: Request) -> Response:
        return Response((await verbs.status()).model_dump_json(), media_type="application/json")

    def verb(act: Callable[[str], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return JSONResponse({"result": await act(str((await request.json()).get("argument", "")))})
            except FluxlabError as error:
                known = {"what": error.what, "facts": error.facts, "hint": error.hint}
                status = HTTPStatus.BAD_REQUEST if isinstance(error, UsageError) else HTTPStatus.CONFLICT
                return JSONResponse(known, status_code=status)

        return answer

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/stop", verb(lambda _: verbs.stop()), methods=["POST"]),
            Route("/restart", verb(verbs.restart), methods=["POST"]),
            Route("/repair", verb(lambda _: verbs.repair()), methods=["POST"]),
            Route("/allow", verb(verbs.allow), methods=["POST"]),
            Route("/charts", verb(verbs.serve_charts), methods=["POST"]),
        ]
    )


class Control:
    """The asking side. Every verb raises SupervisorGoneError when nobody answers."""

    def __init__(self, folder: LabFolder) -> None:
        self._folder = folder

    def status(self) -> LabStatus:
        """How the lab is."""
        return LabStatus.model_validate_json(self._ask("GET", "/status", timeout=STATUS_TIMEOUT_SECONDS).content)

    def stop(self) -> None:
        """End the lab; returns when the supervisor has heard it, not when it has ended."""
        self._change("/stop")

    def restart(self, component: str) -> None:
        """Stop and start one component. Raises UsageError on an unknown one."""
        self._change("/restart", component)

    def repair(self) -> list[str]:
        """Start again what died; returns the names."""
        result = self._change("/repair")
        return [str(name) for name in result] if isinstance(result, list) else []

    def allow(self, host: str) -> None:
        """Let the gateway pass a host through."""
        self._change("/allow", host)

    def serve_charts(self, url: str) -> None:
        """Answer for a chart repository at a public URL."""
        self._change("/charts", url)

    def _change(self, path: str, argument: str = "") -> object:
        answer = self._ask("POST", path, content=json.dumps({"argument": argument}), timeout=CHANGE_TIMEOUT_SECONDS)
        return answer.json()["result"]

    def _ask(self, method: str, path: str, *, content: str | None = None, timeout: float) -> httpx.Response:
        try:
            with (
                socket_address(self._folder.control_socket) as address,
                httpx.Client(
                    transport=httpx.HTTPTransport(uds=address), base_url="http://supervisor", timeout=timeout
                ) as client,
            ):
                answer = client.request(method, path, content=content)
        except (httpx.HTTPError, OSError) as error:
            raise SupervisorGoneError(
                f"lab {self._folder.name}: its supervisor does not answer",
                facts=[str(error)],
                hint=f"fluxlab up --name {self._folder.name} (repairs it) or fluxlab down {self._folder.name}",
            ) from error
        if answer.status_code >= HTTPStatus.BAD_REQUEST:
            raise _error_of(answer)
        return answer


def _error_of(answer: httpx.Response) -> FluxlabError:
    try:
        known = answer.json()
        kind = UsageError if answer.status_code == HTTPStatus.BAD_REQUEST else FluxlabError
        return kind(known["what"], facts=known["facts"], hint=known["hint"])
    except (ValueError, KeyError, TypeError):
        return FluxlabError("the supervisor failed", facts=[answer.text[:500]])
