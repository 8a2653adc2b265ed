"""Services that take Flux's events as they are, signed or not (internal/notifier/forwarder.go)."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field, ValidationError
from starlette.types import Scope

from fluxlab.servers.asgi import header
from fluxlab.servers.signatures import signature
from fluxlab.timeline.entries import ObjectRef

from .sink import Alert, Content, RefusedError, Sink, revision_of, why


class _Involved(Content):
    kind: str
    name: str
    namespace: str


class _FluxEvent(Content):
    involved: _Involved = Field(alias="involvedObject")
    severity: Literal["trace", "info", "error"]
    message: str
    reason: str
    metadata: Mapping[str, str] = Field(default_factory=dict)
    controller: str = Field(alias="reportingController", min_length=1)


class GenericSink(Sink):
    """Any service that takes Flux's events as they are."""

    kind = "generic"

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """Flux's own event, and a header that names the controller."""
        try:
            event = _FluxEvent.model_validate(content)
        except ValidationError as error:
            raise RefusedError(400, "no event of Flux's", why(error)) from None
        if header(scope, b"gotk-component") != event.controller:
            raise RefusedError(400, "no event of Flux's", "the header Gotk-Component does not name the controller")
        involved = event.involved
        return replace(
            alert,
            object=ObjectRef(kind=involved.kind, namespace=involved.namespace, name=involved.name),
            revision=revision_of(event.metadata),
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
            raise RefusedError(401, "missing signature", "it came without the header X-Signature")
        expected = signature(self._token.encode(), body)
        if not hmac.compare_digest(given.encode(), expected.encode()):
            raise RefusedError(
                401, "invalid signature", "its X-Signature is not made with the token in the lab's Secret"
            )
