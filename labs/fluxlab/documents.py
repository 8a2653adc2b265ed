"""Documents: what JSON and YAML hold, and YAML that others wrote before it reaches PyYAML's C loader."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import yaml

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
JsonObject: TypeAlias = Mapping[str, Json]

DEEPEST_NESTING = 100


def same(one: Json, other: Json) -> bool:
    """Whether two values are the same in JSON, where `true` is not 1."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(inner, other[key]) for key, inner in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


class ManifestLoader(yaml.CSafeLoader):
    """Reads YAML as the programs of Kubernetes write it: as in YAML 1.2, a plain `=` is a text and `1e+21` a number."""


ManifestLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)
ManifestLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class NestedTooDeeplyError(yaml.YAMLError):
    """A document that nobody writes, and that would end the process."""


def check_nesting(text: str | bytes) -> None:
    """Raise NestedTooDeeplyError, or another YAMLError, for what the loader cannot take.

    On a text like `"[" * 100_000` it crashes the process: no exception, a stack overflow. Its parser does not.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_NESTING:
            raise NestedTooDeeplyError("is nested too deeply")
