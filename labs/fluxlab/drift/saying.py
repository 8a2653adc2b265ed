"""What Flux said of an object: in events of its owner, alerts that reached a sink, or the owner's conditions. Pure.

An alert repeats an event, and does not say from which cluster it comes: its event tells.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.timeline.entries import Detail, Entry, ObjectRef, Source, parse_time

from .aspects import SILENT, Said, Voice

_BEFORE_ITS_EVENT = timedelta(seconds=1)
"""How much sooner an alert may be here than the recorder has heard of its event."""


class Heard:
    """The events and alerts of a timeline, of all its clusters."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._events: dict[ObjectRef, list[Entry]] = defaultdict(list)
        self._alerts: dict[ObjectRef, list[Entry]] = defaultdict(list)
        self._clusters: set[str] = set()
        for entry in entries:
            if entry.cluster:
                self._clusters.add(entry.cluster)
            if entry.object and entry.source is Source.EVENT:
                self._events[entry.object].append(entry)
            elif entry.object and entry.source is Source.ALERT and Detail.REFUSED not in entry.details:
                self._alerts[entry.object].append(entry)

    def said(self, subject: ObjectRef, owner: ObjectRef, *, cluster: str, since: datetime | None) -> Said:
        """What a cluster's Flux object said of one of its objects since a moment, but for its conditions."""
        own = [entry for entry in self._events[owner] if entry.cluster == cluster]
        text = said_in_events(subject, own, since=since)
        alert = self._alert(subject, owner, cluster=cluster, since=since) if since else None
        if text:
            return Said(voice=Voice.EVENT, text=text, alerted=alert.time if alert else None)
        return Said(voice=Voice.ALERT, text=alert.text, alerted=alert.time) if alert else SILENT

    def _alert(self, subject: ObjectRef, owner: ObjectRef, *, cluster: str, since: datetime) -> Entry | None:
        """The first alert that is from this cluster for sure."""
        nameless = replace(owner, namespace="")  # as GitHub is told
        for alert in sorted((*self._alerts[owner], *self._alerts[nameless]), key=lambda entry: entry.time):
            if alert.time < since or not _names(alert.text, subject):
                continue
            told_by = {
                event.cluster
                for event in self._events[owner]
                if since <= event.time <= alert.time + _BEFORE_ITS_EVENT and _names(event.text, subject)
            }
            if told_by == {cluster} or not (told_by or self._clusters - {cluster}):
                return alert
        return None


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
    name = "/".join(filter(None, [subject.kind, subject.namespace, subject.name]))  # fluxcd/pkg ssa, FmtObjMetadata
    return name in {word.strip("[],:;'") for word in text.split()}
