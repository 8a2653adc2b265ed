"""Where alerts end: applications that take what notification-controller sends to Slack, a webhook or GitHub."""

from collections.abc import Mapping

from .generic import GenericHmacSink, GenericSink
from .github import GitHubSink
from .sink import LARGEST_BODY, Alert, Sink
from .slack import SlackSink

__all__ = ["LARGEST_BODY", "SINKS", "Alert", "Sink"]

SINKS: Mapping[str, type[Sink]] = {sink.kind: sink for sink in (SlackSink, GenericSink, GenericHmacSink, GitHubSink)}
