"""The answering side of the supervisor's private socket: which verbs there are, and the application that hears them."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.host_rules import HostRule
from fluxlab.spec import SinkSpec
from fluxlab.status import LabStatus


class Verbs(Protocol):
    """What the supervisor can be asked to do."""

    async def status(self) -> LabStatus:
        """How the lab is."""

    async def stop(self) -> None:
        """End the lab; the answer comes before the end."""

    async def restart(self, component: str) -> None:
        """Stop and start one component, named `cluster/component`, and whoever had to do without it."""

    async def repair(self, cluster: str) -> list[str]:
        """Start again what died; returns the names."""

    async def allow(self, host: str) -> None:
        """Let the gateway pass a host through."""

    async def serve_registry(self, host: str) -> None:
        """Answer for an OCI registry at a public host."""

    async def serve_sink(self, sink: SinkSpec) -> None:
        """Answer for a public host at which alerts end."""

    async def serve_charts(self, url: str) -> None:
        """Answer for a chart repository at a public URL, from its folder of archives."""

    async def put_rule(self, rule: HostRule) -> None:
        """Have something wrong with a host that the gateway answers for; the same rule again changes nothing."""

    async def lift_rules(self, id_: str) -> None:
        """Take out the gateway's rules of an id, if there are any."""

    async def rules(self) -> Sequence[HostRule]:
        """The gateway's rules that are in, oldest first."""

    async def save_state(self, folder: str) -> None:
        """Write what each cluster's etcd holds, without the lab's own tokens, to `<folder>/<cluster>.db`."""

    async def load_state(self, folder: str) -> None:
        """Have the etcd of each cluster go on with the data in `<folder>/<cluster>`, where there are some."""


def _status(error: FluxlabError) -> HTTPStatus:
    """By which the asking side knows what kind of error it was."""
    if isinstance(error, UsageError):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.NOT_IMPLEMENTED if isinstance(error, UnsupportedError) else HTTPStatus.CONFLICT


def control_app(verbs: Verbs) -> Starlette:
    """The ASGI application of the private socket."""

    async def status(_: Request) -> Response:
        return Response((await verbs.status()).model_dump_json(), media_type="application/json")

    async def serve_sink(sink: str) -> None:
        await verbs.serve_sink(SinkSpec.model_validate_json(sink))

    async def put_rule(rule: str) -> None:
        await verbs.put_rule(HostRule.model_validate_json(rule))

    async def rules() -> Sequence[JsonObject]:
        return [rule.model_dump(mode="json") for rule in await verbs.rules()]

    def verb(act: Callable[[str], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return JSONResponse({"result": await act(str((await request.json()).get("argument", "")))})
            except FluxlabError as error:
                known = {"what": error.what, "facts": error.facts, "hint": error.hint}
                return JSONResponse(known, status_code=_status(error))

        return answer

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/stop", verb(lambda _: verbs.stop()), methods=["POST"]),
            Route("/restart", verb(verbs.restart), methods=["POST"]),
            Route("/repair", verb(verbs.repair), methods=["POST"]),
            Route("/allow", verb(verbs.allow), methods=["POST"]),
            Route("/registry", verb(verbs.serve_registry), methods=["POST"]),
            Route("/state", verb(verbs.save_state), methods=["POST"]),
            Route("/load", verb(verbs.load_state), methods=["POST"]),
            Route("/sink", verb(serve_sink), methods=["POST"]),
            Route("/charts", verb(verbs.serve_charts), methods=["POST"]),
            Route("/rules", verb(lambda _: rules()), methods=["POST"]),
            Route("/rules/put", verb(put_rule), methods=["POST"]),
            Route("/rules/lift", verb(verbs.lift_rules), methods=["POST"]),
        ]
    )
