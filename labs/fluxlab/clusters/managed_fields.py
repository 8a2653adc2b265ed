"""Managed fields: who set what of an object, as `metadata.managedFields` says. Anybody may write them. Pure.

The format of their field sets is that of sigs.k8s.io/structured-merge-diff, `fieldpath/serialize.go`: `f:` a key, `k:`
the keys of an entry of a list, `v:` an entry by its value, and `.` the thing itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fluxlab.documents import Json, JsonObject
from fluxlab.timeline.entries import FieldChange

from .objects import dig, having, items_at, text_at
from .paths import overlap, step_to_entry, step_to_key


@dataclass(frozen=True, kw_only=True)
class Setter:
    """Who set a field."""

    manager: str = ""
    operation: str = ""
    """Apply or Update."""
    time: str = ""
    subresource: str = ""
    """Through which subresource, such as `scale`."""

    @classmethod
    def of(cls, entry: Json) -> "Setter":
        """The setter of an entry of the managed fields."""
        return cls(**{name: text_at(entry, name) for name in ("manager", "operation", "time", "subresource")})


NO_SETTER = Setter()


def _child(name: str, live: Json, wanted: Json) -> tuple[str, Json, Json] | None:
    """The step that one key of a field set stands for, and what is there and should be; None for none, such as `.`."""
    kind, _, rest = name.partition(":")
    if kind == "f":
        return step_to_key(rest), dig(live, rest), dig(wanted, rest)
    told = _decoded(rest) if kind in {"k", "v"} else None
    if kind == "k" and isinstance(told, Mapping):
        entry = entry_of(told, live)
        return None if entry is None else (step_to_entry(entry, items_at(live)), entry, entry_of(told, wanted))
    if kind == "v" and told is not None:
        return f"[{rest}]", told, (told if told in items_at(wanted) else None)
    return None


def _decoded(text: str) -> Json:
    try:
        decoded: Json = json.loads(text)
    except ValueError:
        return None  # forged
    return decoded


def entry_of(keys: JsonObject, entries: Json) -> Json:
    """The entry of a list with these keys; one that leaves a key out has its default, as ports have their protocol."""
    for entry in items_at(entries):
        if isinstance(entry, Mapping) and all(entry.get(key, value) == value for key, value in keys.items()):
            return entry
    return None


def owned_paths(fields: Json, document: Json, path: str = "") -> Iterator[str]:
    """The paths, as Kubernetes writes them, of all that a field set names and the document has: not what they lead by.

    A list or map that the schema takes as one thing is named as a whole.
    """
    for name, inner in fields.items() if isinstance(fields, Mapping) else ():
        if found := _child(name, document, None):
            step, is_, _ = found
            below = list(owned_paths(inner, is_, path + step))
            yield from below or [path + step]


def set_beyond(fields: Json, live: Json, wanted: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """The leaves that a field set names and `live` has, and `wanted` lacks: their paths and values."""
    for name, inner in fields.items() if isinstance(fields, Mapping) else ():
        found = _child(name, live, wanted)
        if found is None:
            continue
        step, is_, should = found
        below = [key for key in inner if key != "."] if isinstance(inner, Mapping) else []
        whole = name.startswith(("k:", "v:")) and should is None
        if below and not whole:
            yield from set_beyond(inner, is_, should, path + step)
        elif should is None and is_ is not None:
            yield path + step, is_


def setter_of(field: str, document: JsonObject) -> Setter:
    """The newest of those whose field set names a path, something below it, or the whole that it is a part of."""
    found = [
        Setter.of(entry)
        for entry in items_at(document, "metadata", "managedFields")
        if any(overlap(path, field) for path in owned_paths(dig(entry, "fieldsV1"), document))
    ]
    return max(found, key=lambda setter: setter.time, default=NO_SETTER)


def setters(before: JsonObject, after: JsonObject, changes: Sequence[FieldChange]) -> list[str]:
    """The field managers that made the `changes` from one version to the next: whose entry is new or has another time.

    An entry that only lost fields to another manager keeps its time. Times are whole seconds: of several writes within
    one, the later ones are told by who wrote last, if that one owns what changed. Who only takes something away, or
    scales past a default, leaves no trace here.
    """
    entries = items_at(after, "metadata", "managedFields")
    known = {_identity(entry): text_at(entry, "time") for entry in items_at(before, "metadata", "managedFields")}
    changed = [_manager(entry) for entry in entries if known.get(_identity(entry)) != text_at(entry, "time")]
    if changed or not entries:
        return list(dict.fromkeys(changed))
    last = max(text_at(entry, "time") for entry in entries)
    newest = [entry for entry in entries if text_at(entry, "time") == last]
    return [_manager(newest[0])] if len(newest) == 1 and _owns_one(newest[0], after, changes) else []


def _owns_one(entry: Json, document: JsonObject, changes: Sequence[FieldChange]) -> bool:
    owned = list(owned_paths(dig(entry, "fieldsV1"), document))
    return any(overlap(path, change.field) for path in owned for change in changes if change.after is not None)


def creators(made: JsonObject) -> list[str]:
    """The field managers of an object that were there first."""
    entries = [entry for entry in items_at(made, "metadata", "managedFields") if not text_at(entry, "subresource")]
    first = min((text_at(entry, "time") for entry in entries), default="")
    return [_manager(entry) for entry in entries if text_at(entry, "time") == first]


def _manager(entry: Json) -> str:
    """`kubectl-edit`, or `kube-controller-manager (status)`."""
    subresource = text_at(entry, "subresource")
    return f"{text_at(entry, 'manager')} ({subresource})" if subresource else text_at(entry, "manager")


def owners_of(document: JsonObject, field: Sequence[str]) -> list[JsonObject]:
    """Whose a field is, or what is in it, by its keys in a field set (`f:spec`, `f:replicas`): the entries, with no
    other field than it.
    """
    return [
        {**entry, "fieldsV1": having({}, field, owned)}
        for entry in items_at(document, "metadata", "managedFields")
        if isinstance(entry, Mapping) and (owned := dig(entry, "fieldsV1", *field)) is not None
    ]


def handed_over(document: JsonObject, field: Sequence[str], owners: Sequence[JsonObject], *, giver: str) -> JsonObject:
    """The document with a field that belongs to those owners, and with nothing that belongs to the giver."""
    entries = {
        _identity(entry): entry
        for entry in items_at(document, "metadata", "managedFields")
        if isinstance(entry, Mapping) and text_at(entry, "manager") != giver
    }
    for owner in owners:
        entry, path = entries.get(_identity(owner), owner), ("fieldsV1", *field)
        entries[_identity(owner)] = having(entry, path, dig(owner, *path) or {})
    return having(document, ("metadata", "managedFields"), list(entries.values()))


def _identity(entry: Json) -> Sequence[str]:
    """What tells the entries of an object from one another: one manager may have several."""
    return tuple(text_at(entry, key) for key in ("manager", "operation", "apiVersion", "subresource"))
