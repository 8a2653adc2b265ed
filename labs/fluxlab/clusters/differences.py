"""What differs between two versions of an object: fields, as Kubernetes writes their paths, and who set them."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence

from fluxlab.clusters.objects import items_at, text_at
from fluxlab.documents import Json, JsonObject
from fluxlab.timeline.entries import FieldChange

# What changes with every write, and says nothing by itself.
_BOOKKEEPING = frozenset({".metadata.managedFields", ".metadata.resourceVersion", ".metadata.generation"})
# By which of its fields an element of a list is told from its neighbours, as server-side apply does for these types.
_IDENTITIES = ("name", "type", "key", "containerPort", "port", "mountPath", "ip", "uid", "id", "v")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KEY = secrets.token_bytes(16)


def differences(before: Json, after: Json) -> list[FieldChange]:
    """The smallest fields that differ, in order of their paths in `before`, then `after`."""
    return list(_differences("", before, after))


def _differences(path: str, before: Json, after: Json) -> Iterator[FieldChange]:
    if before == after or path in _BOOKKEEPING:
        return
    pairs = _pairs(before, after)
    if pairs is None:
        yield FieldChange(field=path or ".", before=_text(before), after=_text(after))
        return
    for step, (old, new) in pairs.items():
        yield from _differences(path + step, old, new)


_Pairs = Mapping[str, tuple[Json, Json]]


def _pairs(before: Json, after: Json) -> _Pairs | None:
    """What two values consist of, side by side; None where they are compared as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return {_step(key): (before.get(key), after.get(key)) for key in {**before, **after}}
    if _is_list(before) and _is_list(after):
        old, new = items_at(before), items_at(after)
        for name in _IDENTITIES:
            one, other = _by(name, old), _by(name, new)
            if one is not None and other is not None:
                return {key: (one.get(key), other.get(key)) for key in {**one, **other}}
        if len(old) == len(new) and all(isinstance(entry, Mapping) for entry in (*old, *new)):
            return {f"[{number}]": pair for number, pair in enumerate(zip(old, new, strict=True))}
    return None


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _by(name: str, entries: Sequence[Json]) -> Mapping[str, Json] | None:
    found = {f"[{name}={json.dumps(e[name])}]": e for e in entries if isinstance(e, Mapping) and name in e}
    return found if len(found) == len(entries) else None


def _step(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"


def _text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def setters(before: JsonObject, after: JsonObject) -> list[str]:
    """The field managers that made a change: those whose entry is new, or has another time.

    An entry that only lost fields to another manager keeps its time. Times are whole seconds: of several writes within
    one, the later ones are told by who wrote last.
    """
    entries = items_at(after, "metadata", "managedFields")
    known = {_manager(entry): text_at(entry, "time") for entry in items_at(before, "metadata", "managedFields")}
    changed = [_manager(entry) for entry in entries if known.get(_manager(entry)) != text_at(entry, "time")]
    if changed or not entries:
        return changed
    last = max(text_at(entry, "time") for entry in entries)
    newest = [_manager(entry) for entry in entries if text_at(entry, "time") == last]
    return newest if len(newest) == 1 else []


def creators(made: JsonObject) -> list[str]:
    """The field managers of an object that were there first."""
    entries = [entry for entry in items_at(made, "metadata", "managedFields") if not text_at(entry, "subresource")]
    first = min((text_at(entry, "time") for entry in entries), default="")
    return [_manager(entry) for entry in entries if text_at(entry, "time") == first]


def _manager(entry: Json) -> str:
    """`kubectl-edit`, or `kube-controller-manager (status)`."""
    subresource = text_at(entry, "subresource")
    return f"{text_at(entry, 'manager')} ({subresource})" if subresource else text_at(entry, "manager")


def without_values(secret: JsonObject) -> JsonObject:
    """A Secret with a keyed digest for each value: whether it changed shows, what it is does not."""
    found = {key: value for key, value in secret.items() if key not in {"data", "stringData"}}
    data = secret.get("data")
    if isinstance(data, Mapping):
        found["data"] = {key: _digest(value) for key, value in data.items()}
    metadata = secret.get("metadata")
    if isinstance(metadata, Mapping) and text_at(metadata, "annotations", _LAST_APPLIED):
        annotations = dict(metadata["annotations"]) if isinstance(metadata["annotations"], Mapping) else {}
        found["metadata"] = {**metadata, "annotations": {**annotations, _LAST_APPLIED: _digest(annotations)}}
    return found


def _digest(value: Json) -> str:
    # Keyed, because short values could be guessed from a plain digest; the key lives as long as this process.
    return "hash " + hmac.new(_KEY, json.dumps(value, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:16]
