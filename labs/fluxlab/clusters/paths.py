"""Paths as Kubernetes writes them, `.spec.containers[name="app"].image`: their steps, and where they lead. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from fluxlab.documents import Json

from .objects import dig, is_list, items_at

IDENTITIES = ("name", "type", "key", "containerPort", "port", "mountPath", "ip", "uid", "id", "v")
"""By which of its fields an entry of a list is told from its neighbours, as server-side apply does for these types."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def entries_by(name: str, entries: Sequence[Json]) -> Mapping[str, Json] | None:
    """The entries of a list by their steps, if a field of that name tells them apart."""
    found = {f"[{name}={json.dumps(e[name])}]": e for e in entries if isinstance(e, Mapping) and name in e}
    return found if len(found) == len(entries) else None


def step_to_entry(entry: Json, entries: Sequence[Json]) -> str:
    """The step of a path to one entry of a list: by what tells it from its neighbours, else by its number."""
    for name in IDENTITIES:
        known = entries_by(name, entries)
        if known is not None:
            return next(step for step, found in known.items() if found is entry)
    return f"[{next(number for number, found in enumerate(entries) if found is entry)}]"


def step_to_key(key: str) -> str:
    """The step of a path to the value at a key: `.name`, or `["any text"]`."""
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"


def overlap(one: str, other: str) -> bool:
    """Whether two paths lead to the same place, or one leads through the other."""
    return one == other or one.startswith((f"{other}.", f"{other}[")) or other.startswith((f"{one}.", f"{one}["))


def value_at(path: str, document: Json) -> Json:
    """The value at a path, or None where the document has none."""
    rest, place = path, document
    while rest and place is not None:
        _, place, rest = _first_step(rest, place)
    return place


def leaves(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    """A value by its smallest fields: what was added with its map is not one change but as many as there are keys."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(path + step_to_key(key), inner)
    else:
        yield path, value


def pointer_to(field: str, document: Json) -> str:
    """A path as Kubernetes writes it as a JSON pointer (RFC 6901) into a document.

    An entry that the document does not have ends in `-`, as if it were to be appended.
    """
    pointer, rest, place = "", field, document
    while rest:
        token, place, rest = _first_step(rest, place)
        pointer += "/" + token.replace("~", "~0").replace("/", "~1")
    return pointer


def _first_step(path: str, place: Json) -> tuple[str, Json, str]:
    """The pointer's token for the first step of a path, where it leads, and the rest of the path."""
    if not is_list(place):
        key, rest = _first_key(path)
        return key, dig(place, key), rest
    entries = items_at(place)
    for number, step in _steps(entries):
        if path.startswith(step):
            return str(number), entries[number], path[len(step) :]
    return "-", None, path.partition("]")[2]


def _steps(entries: Sequence[Json]) -> Iterator[tuple[int, str]]:
    """The number of each entry of a list with each step that may lead to it."""
    for name in IDENTITIES:
        yield from enumerate(entries_by(name, entries) or ())
    for number, entry in enumerate(entries):
        yield number, f"[{number}]"
        if not isinstance(entry, Mapping):
            yield number, f"[{json.dumps(entry)}]"


def _first_key(path: str) -> tuple[str, str]:
    """The key that a path begins with, `.name` or `["any text"]`, and the rest of the path."""
    if path.startswith("["):
        key, end = json.JSONDecoder().raw_decode(path, 1)
        return str(key), path[end + 1 :]
    ends = [place for mark in ".[" if (place := path.find(mark, 1)) > 0]
    end = min(ends, default=len(path))
    return path[1:end], path[end:]
