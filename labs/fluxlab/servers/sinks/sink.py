"""What is the same at every sink: it checks the shape as the real service would, answers as it does, and tells.

Where the lab has made a Secret for it, a sink asks for its token. (Shapes: notification-controller, internal/notifier,
and the services' own documentation.)
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.types import Receive, Scope, Send

from fluxlab.servers.asgi import answer
from fluxlab.timeline.entries import ObjectRef

LARGEST_BODY = 256 * 1024
_JSON = "application/json; charset=utf-8"
KINDS = {
    kind.lower(): kind
    for kind in (
        "Bucket",
        "GitRepository",
        "HelmChart",
        "HelmRelease",
        "HelmRepository",
        "ImagePolicy",
        "ImageRepository",
        "ImageUpdateAutomation",
        "Kustomization",
        "OCIRepository",
    )
}
"""The kinds that alerts are about, by how Slack and GitHub are told of them."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert that was sent to a sink."""

    time: datetime
    sink: str
    """slack, generic, generic-hmac or github."""
    host: str
    object: ObjectRef | None = None
    revision: str = ""
    severity: str = ""
    reason: str = ""
    message: str = ""
    refused: str = ""
    """Why the sink did not take it; then the rest may be missing."""


class Content(BaseModel):
    """What a request holds."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RefusedError(Exception):
    """What the sink does not take: how the real service says so, and why."""

    def __init__(self, status: int, body: str, why: str) -> None:
        super().__init__(why)
        self.status, self.body = status, body


class Sink(ABC):
    """An ASGI application at which alerts of one kind end; `heard` is told each, taken or refused.

    What is told of a refusal does not quote the path: that of a webhook is a password.
    """

    kind: ClassVar[str]

    def __init__(self, host: str, heard: Callable[[Alert], None], token: str = "") -> None:
        """With a `token`, of the lab's own making, only who knows it is heard."""
        self._host = host
        self._heard = heard
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        alert = Alert(time=datetime.now(UTC), sink=self.kind, host=self._host)
        try:
            if scope["method"] not in {"GET", "POST"}:
                raise _no_way(scope)
            body = await _body(receive)
            self.admit(scope, body)
            if scope["method"] == "GET":
                await answer(send, 200, self.listed(scope), content_type=_JSON)
                return
            found = self.read(scope, alert, _parsed(body))
        except RefusedError as error:
            self._heard(replace(alert, refused=str(error)))
            await answer(send, error.status, error.body, content_type=_type_of(error.body))
            return
        self._heard(found)
        status, words = self.thanks(scope)
        await answer(send, status, words, content_type=_type_of(words))

    def admit(self, scope: Scope, body: bytes) -> None:
        """Look at who asks. Raises RefusedError."""
        del scope, body

    @abstractmethod
    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The alert with what the content of a request says. Raises RefusedError."""

    def listed(self, scope: Scope) -> str:
        """What a GET is answered. Raises RefusedError where there is none."""
        raise _no_way(scope)

    def thanks(self, scope: Scope) -> tuple[int, str]:
        """Status and body of the answer to what was taken."""
        del scope
        return 200, "ok"


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > LARGEST_BODY:
            raise RefusedError(413, "payload too large", f"more than {LARGEST_BODY} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _no_way(scope: Scope) -> RefusedError:
    return RefusedError(405, "method not allowed", f"{scope['method']} is no way to send an alert")


def _parsed(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "invalid_payload", "no JSON") from None
    return found


def why(error: ValidationError) -> str:
    """What of a content is not as it should be."""
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors()[:3])


def revision_of(metadata: Mapping[str, str]) -> str:
    """The revision among what an event says besides, whatever group its name is in."""
    named = {name.rpartition("/")[2]: value for name, value in metadata.items()}
    return named.get("revision", "")


def _type_of(body: str) -> str:
    return _JSON if body.startswith(("{", "[")) else "text/plain; charset=utf-8"
