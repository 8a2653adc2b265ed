"""From what a watch says to entries of the timeline: pure, from two versions of an object to what is told of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fluxlab.clusters.differences import differences, without_values
from fluxlab.clusters.managed_fields import creators, setters
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import HELM_STORAGE, is_flux
from fluxlab.documents import Json, JsonObject
from fluxlab.flux.claims import claim_of, read_by
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner, tried_revision
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import Detail, Entry, FieldChange, Level, ObjectRef, Source
from fluxlab.timeline.journal import masked_change

SHOWN_FIELDS = 3
SHOWN_CHARACTERS = 120
TELLING = ("Ready", "Available", "Stalled", "Failed", "Complete")
"""Conditions whose change is news, and not a step on the way."""
_REVISION = re.compile(r"revision '([^']+)'")
CONSEQUENCES = ("kube-controller-manager", "kube-scheduler", "kwok")
"""The field managers that only carry out what another change asked for."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a watch, or a comparison of two lists, says of one object."""

    verb: str
    """created, changed or deleted."""
    before: KubeObject | None
    after: KubeObject
    """For a deletion the last version."""
    time: datetime
    resource: str
    owner: str = ""
    gap: bool = False
    late: bool = False


def entry_of(change: Change, *, cluster: str, redactor: Redactor, digest_key: bytes) -> Entry | None:
    """What the timeline says of a change; None when it is the version that is known.

    Secret values are masked before anything is shortened: the beginning of one would not be recognised any more.
    Those of Secrets are told by their digests under `digest_key`.
    """
    subject = change.after
    fields: Sequence[FieldChange] = ()
    if change.verb == "changed" and change.before:
        before, after = (_comparable(one, digest_key) for one in (change.before, subject))
        fields = differences(before, after)
        if not fields and not change.gap and change.before.resource_version == subject.resource_version:
            return None
        fields = [masked_change(field, redactor) for field in fields]
    details = {
        Detail.VERB: change.verb,
        Detail.VERSION: subject.resource_version,
        Detail.RESOURCE: change.resource,
        Detail.UID: text_at(subject.raw, "metadata", "uid"),
        Detail.OWNER: change.owner,
        Detail.CLAIM: claim_of(subject) if change.verb == "created" else "",
        Detail.READS: ", ".join(sorted(map(str, read_by(subject)))),
        Detail.REVISION: revision_of(subject),
        Detail.GAP: "yes" if change.gap else "",
        Detail.LATE: "yes" if change.late else "",
    }
    actors = _actors(change, fields)
    text, level = _told(change, fields, actors)
    return Entry(
        time=change.time,
        source=Source.OBJECT,
        level=level,
        cluster=cluster,
        object=subject.reference,
        text=text,
        changes=tuple(fields),
        actor=", ".join(actors),
        details={key: value for key, value in details.items() if value},
    )


def _comparable(subject: KubeObject, digest_key: bytes) -> JsonObject:
    return without_values(subject.raw, key=digest_key) if subject.kind == "Secret" else subject.raw


def revision_of(subject: KubeObject) -> str:
    """The revision that a Flux object is at, or tries."""
    if subject.kind == "Kustomization":
        return tried_revision(subject)
    if subject.api_version.startswith("source.toolkit.fluxcd.io/"):
        ready = subject.condition("Ready")
        # source-controller writes its conditions first, and the artifact that they speak of a moment later.
        said = _REVISION.search(ready.message) if ready else None
        return said[1] if said else text_at(subject.raw, "status", "artifact", "revision")
    return ""


def owner_of(subject: KubeObject, owners: Mapping[str, str]) -> str:
    """The Flux object that an object belongs to, also through its controller, by UID in `owners`."""
    for kind, label in (("HelmRelease", HELM_LABEL), ("Kustomization", KUSTOMIZE_LABEL)):
        namespace, name = owner(subject, label)
        if name and (kind, namespace, name) != (subject.kind, subject.namespace, subject.name):
            return str(ObjectRef(kind=kind, namespace=namespace, name=name))
    parents = [text_at(parent, "uid") for parent in items_at(subject.raw, "metadata", "ownerReferences")]
    return next((owners[uid] for uid in parents if owners.get(uid)), "")


def _actors(change: Change, fields: Sequence[FieldChange]) -> Sequence[str]:
    if change.verb == "deleted" or (change.gap and change.verb == "changed"):
        return []  # whoever set a field last did not delete it; after a gap several may have been at it
    if change.verb == "created":
        return creators(change.after.raw)
    return setters(change.before.raw if change.before else {}, change.after.raw, fields)


def _told(change: Change, fields: Sequence[FieldChange], actors: Sequence[str]) -> tuple[str, Level]:
    controlled = any(dig(parent, "controller") is True for parent in _parents(change.after))
    usual = Level.DEBUG if controlled or _is_consequence(change, fields, actors) else Level.INFO
    if change.verb != "changed":
        return change.verb, usual
    if not change.before:
        return "changed; which fields is not known", usual
    if not fields:
        return "was written, and is as it was", Level.DEBUG
    spec = [field for field in fields if not field.field.startswith(".status")]
    if spec:
        return f"changed {_shown(spec)}", usual
    flipped, level = _flipped(change.before, change.after)
    if flipped:
        return flipped, Level.DEBUG if controlled else level
    return f"changed {_shown(fields)}", Level.DEBUG


def _is_consequence(change: Change, fields: Sequence[FieldChange], actors: Sequence[str]) -> bool:
    """Whether a change only carries out, or keeps the books of, what another one asked for."""
    return (
        (bool(actors) and all(actor.startswith(CONSEQUENCES) for actor in actors))
        or change.after.raw.get("type") == HELM_STORAGE
        or (bool(fields) and all(field.field == ".metadata.finalizers" for field in fields))
    )


def _parents(subject: KubeObject) -> Sequence[Json]:
    return items_at(subject.raw, "metadata", "ownerReferences")


def _flipped(before: KubeObject, after: KubeObject) -> tuple[str, Level]:
    """The conditions that became true or false."""
    told, level = [], Level.INFO
    for condition in after.conditions():
        was = before.condition(condition.type)
        same = was is not None and (was.status, was.message) == (condition.status, condition.message)
        if condition.type not in TELLING or condition.status == "Unknown" or same:
            continue
        told.append(str(condition).rstrip(": "))
        if condition.status == ("True" if condition.type in {"Stalled", "Failed"} else "False"):
            level = Level.WARNING
    return "; ".join(told), level


def _shown(fields: Sequence[FieldChange]) -> str:
    shown = [_cut(str(field)) for field in fields[:SHOWN_FIELDS]]
    more = len(fields) - len(shown)
    return "; ".join(shown) + (f"; {more} more" if more else "")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def event_entry(event: KubeObject, *, cluster: str, time: datetime, gap: bool = False) -> Entry:
    """What the timeline says of a Kubernetes Event."""
    involved = event.raw.get("involvedObject") or event.raw.get("regarding")
    count = number_at(event.raw, "count")
    reason = text_at(event.raw, "reason")
    times = f" ({count} times)" if count > 1 else ""
    details = {
        Detail.REASON: reason,
        Detail.VERSION: event.resource_version,
        Detail.RESOURCE: "/api/v1/events",
        Detail.REVISION: _event_revision(event),
        Detail.GAP: "yes" if gap else "",
    }
    return Entry(
        time=time,
        source=Source.EVENT,
        level=_event_level(text_at(event.raw, "type"), text_at(involved, "apiVersion")),
        cluster=cluster,
        object=ObjectRef(
            kind=text_at(involved, "kind"), namespace=text_at(involved, "namespace"), name=text_at(involved, "name")
        ),
        text=f"{reason}: {text_at(event.raw, 'message')}{times}",
        actor=text_at(event.raw, "source", "component") or text_at(event.raw, "reportingComponent"),
        details={key: value for key, value in details.items() if value},
    )


def _event_level(kind: str, api_version: str) -> Level:
    if kind != "Normal":
        return Level.WARNING
    # What Kubernetes tells of pods says no more than the change that brought it about.
    return Level.INFO if is_flux(api_version) else Level.DEBUG


def _event_revision(event: KubeObject) -> str:
    annotations = dig(event.raw, "metadata", "annotations")
    if not isinstance(annotations, Mapping):
        return ""
    return next((str(value) for key, value in annotations.items() if key.endswith("/revision")), "")
