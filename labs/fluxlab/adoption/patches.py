"""Kustomize patches, as overlays and Flux's objects hold them, that have something else be built. Pure."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from textwrap import dedent

import yaml

from fluxlab import manifests
from fluxlab.clusters.paths import AFTER_LAST, pointer_to, put
from fluxlab.documents import Json, JsonObject

from .aims import Aim, Built


def patches_for(aim: Aim, built: Built) -> Sequence[JsonObject]:
    """The entries of a list of patches that have it build what is wanted of one object that it `built` until now."""
    subject = aim.subject
    same = [one for one in built if (one.kind, one.name) == (subject.kind, subject.name)]
    place = {"namespace": subject.namespace} if len(same) > 1 else {}
    target = {"kind": subject.kind, "name": subject.name, **place}
    return [{"target": target, "patch": _text(patch)} for patch in _patches(aim, built[subject].raw)]


def _text(patch: Json) -> str:
    """As YAML that outlives kustomize's taking away all space around it: a list is not indented, a last line ends."""
    whole = dedent(manifests.dump(patch))
    text = whole.rstrip("\n")
    return text if yaml.load(text, Loader=yaml.CSafeLoader) == patch else f"{whole}# the end"


def _patches(aim: Aim, built: JsonObject) -> Iterator[Json]:
    """A strategic merge patch for what it can say; what leads through a list, or is to go, takes a JSON patch.

    A merge makes the maps that are missing on its way: labels and annotations may not be there yet when patches apply.
    """
    named: JsonObject = {**{key: built[key] for key in ("apiVersion", "kind")}, "metadata": {"name": aim.subject.name}}
    if not aim.fields:
        yield {**named, "$patch": "delete"}
        return
    merged, patched = deepcopy(named), deepcopy(built)
    rest = {path: value for path, value in aim.fields.items() if value is None or _through_list(path, built)}
    for path, value in aim.fields.items():
        if path not in rest:
            put(path, merged, value)
            put(path, patched, value)
    if merged != named:
        yield merged
    if operations := [operation for path, value in rest.items() for operation in put(path, patched, value)]:
        yield operations


def _through_list(path: str, document: Json) -> bool:
    # A key that looks like a number is treated as one, too: a JSON patch can say both.
    return any(token == AFTER_LAST or token.isdigit() for token in pointer_to(path, document).split("/"))
