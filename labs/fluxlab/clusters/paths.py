"""Paths as Kubernetes writes them, `.containers[name="app"].image`: where they lead, and what is put there. Pure."""

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from copy import deepcopy

from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError

from .objects import dig, is_list, items_at

IDENTITIES = ("name", "type", "key", "containerPort", "port", "mountPath", "ip", "uid", "id", "v")
"""By which of its fields an entry of a list is told from its neighbours, as server-side apply does for these types."""
AFTER_LAST = "-"
"""The token of a JSON pointer for an entry that a list does not have."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_BY_NAME = re.compile(r"\[(?P<name>[a-zA-Z]+)=(?P<value>.*)\]")


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
        pointer += _pointed(token)
    return pointer


def put(path: str, document: Json, value: Json) -> list[JsonObject]:
    """Have a document of dicts and lists hold `value` at a path; None takes away what is there.

    What is missing on the way is made, `[7]` in a list of less is appended, and a text keeps how it is quoted.

    Returns the same as operations of a JSON patch (RFC 6902), which test that entries of lists are where they were.
    Raises UsageError when the path does not lead on in this document.
    """
    return list(_put("", path, document, value))


def _put(above: str, path: str, place: Json, value: Json) -> Iterator[JsonObject]:
    if not path.startswith('["') and is_list(place) != path.startswith("["):
        raise UsageError(f"{path} does not lead on from {above or '/'}")
    token, inner, rest = _first_step(path, place)
    pointer = above + _pointed(token)
    if inner is not None:
        yield from _test(pointer, path.removesuffix(rest))
        if rest:
            yield from _put(pointer, rest, inner, value)
            return
    elif value is None:
        return
    elif rest:
        if token == AFTER_LAST:
            raise UsageError(f"there is no {path.removesuffix(rest)} in {above}")
        made: Json = [] if _leads_to_entry(rest) else {}
        put(rest, made, value)
        value = made
    _put_here(token, place, inner, value)
    op = "remove" if value is None else "add" if inner is None else "replace"
    yield {"op": op, "path": pointer, **({} if value is None else {"value": deepcopy(value)})}


def _put_here(token: str, place: Json, inner: Json, value: Json) -> None:
    if isinstance(inner, str) and type(value) is str:
        value = type(inner)(value)
    if isinstance(place, MutableMapping):
        place[token] = value
        if value is None:
            del place[token]
    elif isinstance(place, MutableSequence):
        if token == AFTER_LAST:
            place.append(value)
        else:
            place[int(token)] = value
            if value is None:
                del place[int(token)]


def _test(pointer: str, step: str) -> Iterator[JsonObject]:
    """That an entry of a list is the one that its step means: the next commit may change their order."""
    if known := _BY_NAME.fullmatch(step):
        yield {"op": "test", "path": f"{pointer}/{known['name']}", "value": json.loads(known["value"])}


def _pointed(token: str) -> str:
    return "/" + token.replace("~", "~0").replace("/", "~1")


def _first_step(path: str, place: Json) -> tuple[str, Json, str]:
    """The pointer's token for the first step of a path, where it leads, and the rest of the path."""
    if not is_list(place) and not _leads_to_entry(path):
        key, rest = _first_key(path)
        return key, dig(place, key), rest
    entries = items_at(place)
    for number, step in _steps(entries):
        if path.startswith(step):
            return str(number), entries[number], path[len(step) :]
    return AFTER_LAST, None, path.partition("]")[2]


def _leads_to_entry(path: str) -> bool:
    """Whether the first step of a path can only be one into a list; `["text"]` may be a key as well."""
    return path.startswith("[") and not path.startswith('["')


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
