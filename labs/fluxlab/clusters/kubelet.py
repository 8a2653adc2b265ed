"""The kubelet endpoint of simulated nodes: the real log of a Flux controller, and a plain word about every other pod.

KWOK could answer here too, but its `exec` runs the command on the host, and its logs need one static file per pod.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .flux_controllers import NAMESPACE

FOLLOW_SECONDS = 0.2
CHUNK_BYTES = 64 * 1024


def simulated(namespace: str, pod: str) -> str:
    """What is said of a pod that has no containers."""
    return (
        f"pod {namespace}/{pod} is simulated by KWOK on this lab's `local` backend: it has no containers, "
        "so there is no output and nothing to execute in\n"
    )


class Kubelet:
    """ASGI application for the API server's requests to a kubelet."""

    def __init__(self, *, logs: Mapping[str, Path]) -> None:
        """`logs` are the log files of Flux's controllers by name of the controller."""
        self._logs = logs
        pod = "/{namespace}/{pod}/{container}"
        self._app = Starlette(
            routes=[
                Route("/containerLogs" + pod, self._container_logs),
                *(Route(f"/{verb}{pod}", self._refuse, methods=["GET", "POST"]) for verb in ("exec", "attach", "run")),
                *(
                    Route(f"/{verb}" + "/{namespace}/{pod}/{uid}/{container}", self._refuse, methods=["GET", "POST"])
                    for verb in ("exec", "attach")
                ),
                Route("/portForward/{namespace}/{pod}", self._refuse, methods=["GET", "POST"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def _refuse(self, request: Request) -> Response:
        message = simulated(request.path_params["namespace"], request.path_params["pod"])
        return PlainTextResponse(message, status_code=501)

    async def _container_logs(self, request: Request) -> Response:
        namespace, pod = request.path_params["namespace"], request.path_params["pod"]
        log = self._log_of(namespace, pod)
        if log is None or request.query_params.get("previous") == "true":
            return PlainTextResponse(simulated(namespace, pod))
        return StreamingResponse(self._lines(log, request.query_params), media_type="text/plain")

    def _log_of(self, namespace: str, pod: str) -> Path | None:
        # A Deployment's pod is named <deployment>-<hash>-<random>.
        return self._logs.get(pod.rsplit("-", maxsplit=2)[0]) if namespace == NAMESPACE else None

    async def _lines(self, log: Path, options: Mapping[str, str]) -> AsyncIterator[bytes]:
        since = _since(options)
        with log.open("rb") as file:
            lines = [line for line in file if since is None or _time_of(line) >= since]
            if (wanted := options.get("tailLines")) is not None:
                lines = lines[-int(wanted) :] if int(wanted) else []
            for line in lines:
                yield line
            while options.get("follow") == "true":
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)  # its content moved aside
                if chunk := file.read(CHUNK_BYTES):
                    yield chunk
                else:
                    await asyncio.sleep(FOLLOW_SECONDS)  # a file has no event to wait for


def _since(options: Mapping[str, str]) -> datetime | None:
    if seconds := options.get("sinceSeconds"):
        return datetime.now(UTC) - timedelta(seconds=int(seconds))
    if moment := options.get("sinceTime"):
        return datetime.fromisoformat(moment)
    return None


def _time_of(line: bytes) -> datetime:
    """The time that a controller wrote into its JSON line; other lines count as old."""
    try:
        return datetime.fromisoformat(json.loads(line)["ts"])
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)
