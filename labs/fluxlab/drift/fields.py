"""Compare one object with what git wants of it, field by field. Pure.

What the API server makes of a manifest (defaults, other spellings of a quantity) is told by its own dry run of a
server-side apply; what others added is told by the object's managed fields, which that dry run leaves alone. Where
those name defaults, too, a dry run of its creation tells them apart.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fluxlab.clusters.differences import differences
from fluxlab.clusters.managed_fields import NO_SETTER, Setter, set_beyond, setter_of
from fluxlab.clusters.objects import KubeObject, dig, is_list, items_at, text_at
from fluxlab.clusters.paths import overlap, value_at
from fluxlab.clusters.resources import NAMESPACE, is_flux
from fluxlab.documents import Json, same
from fluxlab.flux.claims import is_platform
from fluxlab.timeline.entries import FieldChange

from .aspects import DriftClass

REQUESTS = (
    '.metadata.annotations["reconcile.fluxcd.io/',
    '.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]',
)
"""Annotations by which programs ask for something or keep their books; no controller takes them for a state."""
_SERVERS = (".metadata.uid", ".metadata.creationTimestamp")
"""What tells one object from another that was made in its place since it was read."""
_STATUS = "status"
_NAME_OF_NAMESPACE = '.metadata.labels["kubernetes.io/metadata.name"]'


@dataclass(frozen=True, kw_only=True)
class FieldDrift:
    """One field that differs, and who set it, if the object says so."""

    class_: DriftClass
    change: FieldChange
    """`before` is what is there, `after` what git wants."""
    setter: Setter = NO_SETTER
    undeclared: bool = False
    """Whether it is missing because the object's kind has no such field."""


def is_state(path: str) -> bool:
    """Whether a field says how things should be: not its status, and not what programs note for one another."""
    return not path.startswith((*REQUESTS, *_SERVERS)) and not overlap(path, f".{_STATUS}")


def agrees(live: KubeObject, wanted: KubeObject, *, applier: str) -> bool:
    """Whether applying `wanted` would change nothing, as far as that can be told without asking the API server.

    So it is when all that `wanted` names is there to the letter, and its applier owns nothing else.
    """
    fields = [
        dig(entry, "fieldsV1")
        for entry in items_at(live.raw, "metadata", "managedFields")
        if (text_at(entry, "manager"), text_at(entry, "operation")) == (applier, "Apply")
    ]
    more = (leaf for owned in fields for leaf in set_beyond(owned, live.raw, wanted.raw))
    return bool(fields) and contains(live.raw, wanted.raw) and next(more, None) is None


def contains(whole: Json, part: Json) -> bool:
    """Whether a document has all that another one has, lists entry by entry."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(contains(whole.get(key), inner) for key, inner in part.items())
    if is_list(part):
        entries, wanted = items_at(whole), items_at(part)
        return len(entries) == len(wanted) and all(map(contains, entries, wanted))
    return type(whole) is type(part) and whole == part


def compare(live: KubeObject, wanted: KubeObject, merged: KubeObject, *, applier: str) -> list[FieldDrift]:
    """What differs between `live` and `wanted`; `merged` is what a dry run of `applier` would make of it."""
    changes = differences(live.raw, merged.raw)
    found = [_classified(change, live) for change in changes if is_state(change.field)]
    reported = {drift.change.field for drift in found}
    return [*found, *(added for added in _added(live, wanted, applier) if added.change.field not in reported)]


def may_be_default(drift: FieldDrift) -> bool:
    """Whether it may be the API server that set a field: of what somebody made or replaced without applying it, the
    managed fields name what the server filled in along with what was sent.
    """
    return drift.class_ is DriftClass.ADDED and drift.setter.operation == "Update"


def is_default(drift: FieldDrift, made: KubeObject) -> bool:
    """Whether a field is as the API server makes it by itself: `made` is what it would make of what git wants."""
    return (
        may_be_default(drift)
        and drift.change.before is not None
        and same(json.loads(drift.change.before), value_at(drift.change.field, made.raw))
    )


def _classified(change: FieldChange, live: KubeObject) -> FieldDrift:
    class_ = DriftClass.MODIFIED
    if change.before is None:
        class_ = DriftClass.REMOVED
    elif change.after is None:
        class_ = DriftClass.ADDED
    setter = setter_of(change.field, live.raw) if change.before is not None else NO_SETTER
    return FieldDrift(class_=class_, change=change, setter=setter)


def _added(live: KubeObject, wanted: KubeObject, applier: str) -> Iterator[FieldDrift]:
    """The fields that somebody else set, or the applier itself without applying, and that git does not name."""
    seen: set[str] = set()
    for entry in items_at(live.raw, "metadata", "managedFields"):
        setter = Setter.of(entry)
        ours = is_platform(setter.manager) and not _corrected(entry, live, applier)
        if ours or setter.subresource == _STATUS:
            continue
        for path, value in set_beyond(dig(entry, "fieldsV1"), live.raw, wanted.raw):
            if path not in seen and is_state(path) and not _is_its_name(path, value, live):
                seen.add(path)
                change = FieldChange(field=path, before=json.dumps(value, ensure_ascii=False), after=None)
                yield FieldDrift(class_=DriftClass.ADDED, change=change, setter=setter)


def _is_its_name(path: str, value: Json, live: KubeObject) -> bool:
    """Whether it is the label by which the API server has a namespace say its name, as it does at each write: whoever
    made the namespace without applying it owns that. One of another name, made in a dry run, does not tell.
    """
    return live.kind == NAMESPACE.kind and (path, value) == (_NAME_OF_NAMESPACE, live.name)


def _corrected(entry: Json, live: KubeObject, applier: str) -> bool:
    """Whether an applier set these fields with a patch, as helm-controller corrects drift: it never takes them away.

    To Flux's own objects a controller adds its finalizer in that way.
    """
    manager, operation = text_at(entry, "manager"), text_at(entry, "operation")
    return (manager, operation) == (applier, "Update") and not is_flux(live.api_version)
