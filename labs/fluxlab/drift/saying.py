"""What Flux said of an object: in the events of its owner, or in the owner's conditions. Pure.

Alerts are not asked: each repeats an event, and does not say from which cluster it comes.
"""

from collections.abc import Sequence
from datetime import datetime

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.timeline.entries import Entry, ObjectRef, parse_time


def said_in_events(subject: ObjectRef, events: Sequence[Entry], *, since: datetime | None) -> str:
    """The newest of a Flux object's events that names one of its objects, if there was one since a moment."""
    texts = [entry.text for entry in events if since is None or entry.time >= since]
    return next((text for text in reversed(texts) if _names(text, subject)), "")


def said_in_conditions(subject: ObjectRef, owner: KubeObject, *, since: datetime | None) -> str:
    """The first of a Flux object's conditions that names one of its objects, if it says so since a moment."""
    begin = since.replace(microsecond=0) if since else None  # conditions have whole seconds
    for raw, condition in zip(items_at(owner.raw, "status", "conditions"), owner.conditions(), strict=True):
        if _names(condition.message, subject) and (
            begin is None or parse_time(text_at(raw, "lastTransitionTime")) >= begin
        ):
            return str(condition)
    return ""


def _names(text: str, subject: ObjectRef) -> bool:
    name = f"{subject.kind}/{subject.namespace}/{subject.name}" if subject.namespace else str(subject)
    return name in {word.strip("[],:;'") for word in text.split()}
