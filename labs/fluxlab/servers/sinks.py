"""Where alerts end: applications that take what notification-controller sends to Slack, a webhook or GitHub.

They check its shape as the real services would and answer as they do. (Shapes: notification-controller's
internal/notifier/slack.go, forwarder.go and github.go, and the services' own documentation.)
"""

import json
import re
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import Receive, Scope, Send

from fluxlab.timeline.entries import ObjectRef

from .asgi import answer, header

LARGEST_BODY = 256 * 1024
STATUSES_PER_COMMIT = 50
"""As many as notification-controller asks for."""
_JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert that was sent to a sink."""

    time: datetime
    sink: str
    """slack, generic or github."""
    host: str
    object: ObjectRef | None = None
    revision: str = ""
    severity: str = ""
    reason: str = ""
    message: str = ""
    refused: str = ""
    """Why the sink did not take it; then the rest may be missing."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Field(_Model):
    title: str
    value: str


class _Attachment(_Model):
    color: str
    author_name: str = Field(pattern=r"^[^/]+/[^.]+\.[^.]+$")
    text: str = Field(min_length=1)
    fields: tuple[_Field, ...] = ()


class _SlackMessage(_Model):
    attachments: tuple[_Attachment, ...] = Field(min_length=1)


class _Involved(_Model):
    kind: str
    name: str
    namespace: str


class _FluxEvent(_Model):
    involved: _Involved = Field(alias="involvedObject")
    severity: Literal["trace", "info", "error"]
    message: str
    reason: str
    metadata: Mapping[str, str] = Field(default_factory=dict)
    controller: str = Field(alias="reportingController", min_length=1)


class _CommitStatus(_Model):
    state: Literal["error", "failure", "pending", "success"]
    context: str = Field(min_length=1)
    description: str = Field(default="", max_length=140)  # GitHub refuses longer ones


class _RefusedError(Exception):
    """What the sink does not take: how the real service says so, and why."""

    def __init__(self, status: int, body: str, why: str) -> None:
        super().__init__(why)
        self.status, self.body = status, body


class Sink(ABC):
    """An ASGI application at which alerts of one kind end; `heard` is told each, taken or refused."""

    kind: ClassVar[str]

    def __init__(self, host: str, heard: Callable[[Alert], None]) -> None:
        self._host = host
        self._heard = heard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        alert = Alert(time=datetime.now(UTC), sink=self.kind, host=self._host)
        try:
            if scope["method"] == "GET":
                await answer(send, 200, self.listed(str(scope["path"])), content_type=_JSON)
                return
            if scope["method"] != "POST":
                raise _RefusedError(405, "method not allowed", f"{scope['method']} is no way to send an alert")
            found = self.read(scope, alert, _parsed(await _body(receive)))
        except _RefusedError as error:
            self._heard(replace(alert, refused=str(error)))
            await answer(send, error.status, error.body, content_type=_type_of(error.body))
            return
        self._heard(found)
        status, body = self.thanks(scope)
        await answer(send, status, body, content_type=_type_of(body))

    @abstractmethod
    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The alert with what the content of a request says. Raises _RefusedError."""

    def listed(self, path: str) -> str:
        """What a GET is answered. Raises _RefusedError where there is none."""
        del path  # it may be a password
        raise _RefusedError(405, "method not allowed", "GET is no way to send an alert")

    def thanks(self, scope: Scope) -> tuple[int, str]:
        """Status and body of the answer to what was taken."""
        del scope
        return 200, "ok"


class SlackSink(Sink):
    """An incoming webhook."""

    kind = "slack"

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """One attachment tells all; Slack is told no reason."""
        del scope
        try:
            first = _SlackMessage.model_validate(content).attachments[0]
        except ValidationError as error:
            raise _RefusedError(400, "invalid_attachments", _why(error)) from None
        kind, _, place = first.author_name.partition("/")
        name, _, namespace = place.rpartition(".")
        said = {field.title: field.value for field in first.fields}
        return replace(
            alert,
            object=ObjectRef(kind=_KINDS.get(kind, kind), namespace=namespace, name=name),
            revision=_revision(said),
            severity="error" if first.color == "danger" else "info",
            message=first.text,
        )


class GenericSink(Sink):
    """Any service that takes Flux's events as they are."""

    kind = "generic"

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """Flux's own event, and a header that names the controller."""
        try:
            event = _FluxEvent.model_validate(content)
        except ValidationError as error:
            raise _RefusedError(400, "no event of Flux's", _why(error)) from None
        if header(scope, b"gotk-component") != event.controller:
            raise _RefusedError(400, "no event of Flux's", "the header Gotk-Component does not name the controller")
        involved = event.involved
        return replace(
            alert,
            object=ObjectRef(kind=involved.kind, namespace=involved.namespace, name=involved.name),
            revision=_revision(event.metadata),
            severity=event.severity,
            reason=event.reason,
            message=event.message,
        )


class GitHubSink(Sink):
    """The commit statuses of GitHub's API."""

    kind = "github"
    _path = re.compile(r"(?:/api/v3)?/repos/[^/]+/[^/]+/(?:statuses|commits)/(?P<sha>[0-9a-f]{40,64})(?:/statuses)?")

    def __init__(self, host: str, heard: Callable[[Alert], None]) -> None:
        super().__init__(host, heard)
        self._statuses: dict[str, deque[_CommitStatus]] = defaultdict(lambda: deque(maxlen=STATUSES_PER_COMMIT))

    def _sha(self, path: str) -> str:
        found = self._path.fullmatch(path)
        if found is None:
            raise _RefusedError(404, json.dumps({"message": "Not Found"}), f"{path} is not served here")
        return found["sha"]

    def listed(self, path: str) -> str:
        """The statuses of a commit, the newest first: who has said the same already says it not again."""
        known = self._statuses.get(self._sha(path), ())
        return json.dumps([status.model_dump() for status in reversed(known)])

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The status of the commit that the path names."""
        sha = self._sha(str(scope["path"]))
        if not header(scope, b"authorization"):
            raise _RefusedError(401, json.dumps({"message": "Requires authentication"}), "it came without a token")
        try:
            status = _CommitStatus.model_validate(content)
        except ValidationError as error:
            raise _RefusedError(422, json.dumps({"message": "Validation Failed"}), _why(error)) from None
        self._statuses[sha].append(status)
        kind, _, rest = status.context.partition("/")
        return replace(
            alert,
            object=ObjectRef(kind=_KINDS.get(kind, kind), name=rest.partition("/")[0]),  # it has no namespace
            revision=f"sha1:{sha}",
            severity="info" if status.state in {"success", "pending"} else "error",
            message=status.description,
        )

    def thanks(self, scope: Scope) -> tuple[int, str]:
        """The status that was made."""
        return 201, json.dumps(self._statuses[self._sha(str(scope["path"]))][-1].model_dump())


SINKS: Mapping[str, type[Sink]] = {sink.kind: sink for sink in (SlackSink, GenericSink, GitHubSink)}
_KINDS = {
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


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if len(body) > LARGEST_BODY:
            raise _RefusedError(413, "payload too large", f"more than {LARGEST_BODY} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _parsed(body: bytes) -> object:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        raise _RefusedError(400, "invalid_payload", "no JSON") from None
    return found


def _why(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors()[:3])


def _revision(metadata: Mapping[str, str]) -> str:
    named = {name.rpartition("/")[2]: value for name, value in metadata.items()}
    return named.get("revision", "")


def _type_of(body: str) -> str:
    return _JSON if body.startswith(("{", "[")) else "text/plain; charset=utf-8"
