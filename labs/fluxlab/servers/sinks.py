"""Where alerts end: applications that take what notification-controller sends to Slack, a webhook or GitHub.

They check its shape as the real services would, and the token or the signature where the lab has made the Secret for
it, and answer as they do. (Shapes: notification-controller's internal/notifier/slack.go, forwarder.go and github.go,
and the services' own documentation.)
"""

import hashlib
import hmac
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
    """slack, generic, generic-hmac or github."""
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
    author_name: str = Field(pattern=r"^[^/]+/.+\.[^.]+$")
    """KIND/NAME.NAMESPACE: a name may have dots."""
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
        except _RefusedError as error:
            self._heard(replace(alert, refused=str(error)))
            await answer(send, error.status, error.body, content_type=_type_of(error.body))
            return
        self._heard(found)
        status, words = self.thanks(scope)
        await answer(send, status, words, content_type=_type_of(words))

    def admit(self, scope: Scope, body: bytes) -> None:
        """Look at who asks. Raises _RefusedError."""
        del scope, body

    @abstractmethod
    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The alert with what the content of a request says. Raises _RefusedError."""

    def listed(self, scope: Scope) -> str:
        """What a GET is answered. Raises _RefusedError where there is none."""
        raise _no_way(scope)

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


class GenericHmacSink(GenericSink):
    """As `GenericSink`, where each event is signed."""

    kind = "generic-hmac"

    def admit(self, scope: Scope, body: bytes) -> None:
        """Compare the signature of the body, as the documentation of Flux's Provider has receivers do."""
        given = header(scope, b"x-signature")
        if not given:
            raise _RefusedError(401, "missing signature", "it came without the header X-Signature")
        expected = f"sha256={hmac.new(self._token.encode(), body, hashlib.sha256).hexdigest()}"
        if not hmac.compare_digest(given.encode(), expected.encode()):
            why = "its X-Signature is not made with the token in the lab's Secret"
            raise _RefusedError(401, "invalid signature", why)


class GitHubSink(Sink):
    """The commit statuses of GitHub's API."""

    kind = "github"
    _place = re.compile(r"(?:/api/v3)?/repos/[^/]+/[^/]+/(?:statuses|commits)/(?P<sha>[0-9a-f]{40,64})(?:/statuses)?")

    def __init__(self, host: str, heard: Callable[[Alert], None], token: str = "") -> None:
        super().__init__(host, heard, token)
        self._statuses: dict[str, deque[_CommitStatus]] = defaultdict(lambda: deque(maxlen=STATUSES_PER_COMMIT))

    def _sha(self, scope: Scope) -> str:
        found = self._place.fullmatch(str(scope["path"]))
        if found is None:
            raise _RefusedError(404, json.dumps({"message": "Not Found"}), "only statuses of commits are served here")
        return found["sha"]

    def admit(self, scope: Scope, body: bytes) -> None:
        """Compare the token, with either of the words that GitHub takes before it."""
        del body
        _, _, given = header(scope, b"authorization").partition(" ")
        if not given:
            raise _RefusedError(401, json.dumps({"message": "Requires authentication"}), "it came without a token")
        if self._token and not hmac.compare_digest(given.strip().encode(), self._token.encode()):
            why = "its token is not the one in the lab's Secret"
            raise _RefusedError(401, json.dumps({"message": "Bad credentials"}), why)

    def listed(self, scope: Scope) -> str:
        """The statuses of a commit, the newest first: who has said the same already says it not again."""
        known = self._statuses.get(self._sha(scope), ())
        return json.dumps([status.model_dump() for status in reversed(known)])

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """The status of the commit that the path names."""
        sha = self._sha(scope)
        try:
            status = _CommitStatus.model_validate(content)
        except ValidationError as error:
            raise _RefusedError(422, json.dumps({"message": "Validation Failed"}), _why(error)) from None
        self._statuses[sha].append(status)
        return replace(
            alert,
            object=_named_in(status.context),
            revision=f"sha1:{sha}",
            severity="info" if status.state in {"success", "pending"} else "error",
            message=status.description,
        )

    def thanks(self, scope: Scope) -> tuple[int, str]:
        """The status that was made."""
        return 201, json.dumps(self._statuses[self._sha(scope)][-1].model_dump())


SINKS: Mapping[str, type[Sink]] = {sink.kind: sink for sink in (SlackSink, GenericSink, GenericHmacSink, GitHubSink)}
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


def _no_way(scope: Scope) -> _RefusedError:
    return _RefusedError(405, "method not allowed", f"{scope['method']} is no way to send an alert")


def _named_in(context: str) -> ObjectRef | None:
    """The object in the context of a commit status, KIND/NAME/PROVIDER; None where a Provider has words of its own."""
    kind, _, rest = context.partition("/")
    name, slash, _ = rest.partition("/")
    return ObjectRef(kind=_KINDS[kind], name=name) if slash and kind in _KINDS else None


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
