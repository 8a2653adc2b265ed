"""What differs between two versions of an object: fields, as Kubernetes writes their paths. Pure."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping

from fluxlab.documents import Json, JsonObject, same
from fluxlab.timeline.entries import FieldChange

from .objects import is_list, items_at, text_at
from .paths import IDENTITIES, entries_by, step_to_key

# What changes with every write, and says nothing by itself.
_BOOKKEEPING = frozenset({".metadata.managedFields", ".metadata.resourceVersion", ".metadata.generation"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def differences(before: Json, after: Json) -> list[FieldChange]:
    """The smallest fields that differ, in order of their paths in `before`, then `after`."""
    return list(_differences("", before, after))


def _differences(path: str, before: Json, after: Json) -> Iterator[FieldChange]:
    if path in _BOOKKEEPING or (before == after and same(before, after)):
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
        return {step_to_key(key): (before.get(key), after.get(key)) for key in {**before, **after}}
    if is_list(before) and is_list(after):
        old, new = items_at(before), items_at(after)
        for name in IDENTITIES:
            one, other = entries_by(name, old), entries_by(name, new)
            if one is not None and other is not None:
                return {key: (one.get(key), other.get(key)) for key in {**one, **other}}
        if len(old) == len(new) and all(isinstance(entry, Mapping) for entry in (*old, *new)):
            return {f"[{number}]": pair for number, pair in enumerate(zip(old, new, strict=True))}
    return None


def _text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def without_values(secret: JsonObject, *, key: bytes) -> JsonObject:
    """A Secret with a digest for each value: whether it changed shows, what it is does not.

    Keyed, because short values could be guessed from a plain digest.
    """

    def digest(value: Json) -> str:
        text = json.dumps(value, sort_keys=True)
        return "hash " + hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:16]

    found = {name: value for name, value in secret.items() if name not in {"data", "stringData"}}
    data = secret.get("data")
    if isinstance(data, Mapping):
        found["data"] = {name: digest(value) for name, value in data.items()}
    metadata = secret.get("metadata")
    if isinstance(metadata, Mapping) and text_at(metadata, "annotations", _LAST_APPLIED):
        annotations = dict(metadata["annotations"]) if isinstance(metadata["annotations"], Mapping) else {}
        found["metadata"] = {**metadata, "annotations": {**annotations, _LAST_APPLIED: digest(annotations)}}
    return found
