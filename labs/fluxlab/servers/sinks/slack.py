"""Slack's incoming webhooks (internal/notifier/slack.go)."""

from dataclasses import replace

from pydantic import Field, ValidationError
from starlette.types import Scope

from fluxlab.timeline.entries import ObjectRef

from .sink import KINDS, Alert, Content, RefusedError, Sink, revision_of, why


class _Field(Content):
    title: str
    value: str


class _Attachment(Content):
    color: str
    author_name: str = Field(pattern=r"^[^/]+/.+\.[^.]+$")
    """KIND/NAME.NAMESPACE: a name may have dots."""
    text: str = Field(min_length=1)
    fields: tuple[_Field, ...] = ()


class _SlackMessage(Content):
    attachments: tuple[_Attachment, ...] = Field(min_length=1)


class SlackSink(Sink):
    """An incoming webhook."""

    kind = "slack"

    def read(self, scope: Scope, alert: Alert, content: object) -> Alert:
        """One attachment tells all; Slack is told no reason."""
        del scope
        try:
            first = _SlackMessage.model_validate(content).attachments[0]
        except ValidationError as error:
            raise RefusedError(400, "invalid_attachments", why(error)) from None
        kind, _, place = first.author_name.partition("/")
        name, _, namespace = place.rpartition(".")
        said = {field.title: field.value for field in first.fields}
        return replace(
            alert,
            object=ObjectRef(kind=KINDS.get(kind, kind), namespace=namespace, name=name),
            revision=revision_of(said),
            severity="error" if first.color == "danger" else "info",
            message=first.text,
        )
