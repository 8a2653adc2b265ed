"""Change manifests in YAML files as a person would: what is not changed stays, with its comments and its order."""

import io
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING

from .documents import Json, JsonObject
from .errors import UsageError

if TYPE_CHECKING:
    from ruamel.yaml import YAML

_LIST = re.compile(r"^(?P<key> *)[^\s#-][^\n]*: *\n(?P<item> *)- ", re.MULTILINE)
"""A key whose value is a list, and the list's first item."""


def dump(*manifests: JsonObject) -> str:
    """Manifests as one YAML file."""
    text = io.StringIO()
    _yaml().dump_all([_plain(manifest) for manifest in manifests], text)
    return text.getvalue()


def merge(text: str, change: JsonObject, *, path: str, kind: str = "", name: str = "") -> str:
    """The YAML of a file with `change` merged (RFC 7386: null removes) into the one manifest that is meant.

    Raises UsageError unless exactly one manifest is of that kind and name, where they are given, and when the file is
    no YAML. `path` is what errors call the file.
    """
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 # as below

    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    yaml = _yaml_as(text)
    try:
        documents = list(yaml.load_all(text))
    except YAMLError as error:
        raise UsageError(f"{path} is no valid YAML", facts=[str(error)]) from None
    there = [found for found in documents if isinstance(found, MutableMapping)]
    meant = [found for found in there if kind in {"", found.get("kind")} and name in {"", _name(found)}]
    if len(meant) != 1:
        wanted = " ".join(filter(None, [kind or "manifest", name]))
        facts = [f"it has {', '.join(_described(there)) or 'no manifests'}"]
        raise UsageError(f"{path}: {len(meant)} manifests are a {wanted}, not one", facts=facts)
    _merge(meant[0], change)
    changed = io.StringIO()
    yaml.dump_all([found for found in documents if found is not None], changed)
    return changed.getvalue().replace("\n", line_end)


def _merge(target: MutableMapping[str, Json], change: JsonObject) -> None:
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            inner = target.get(key)
            if not isinstance(inner, MutableMapping):
                inner = target[key] = {}
            _merge(inner, value)
        else:
            target[key] = _plain(value)


def _plain(value: Json) -> Json:
    """What the writer knows: tuples are lists, any mapping is a dict."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value


def _name(manifest: JsonObject) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, Mapping) else ""


def _described(manifests: Sequence[JsonObject]) -> Iterator[str]:
    for manifest in manifests:
        yield f"{manifest.get('kind')} {_name(manifest)}"


def _yaml() -> "YAML":
    from ruamel.yaml import YAML  # noqa: PLC0415 # only those who edit pay for its 20 ms

    yaml = YAML()  # round trip: comments, order and quotes stay
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _yaml_as(text: str) -> "YAML":
    """A writer that lays out a file as it is: its first `---`, and how far lists are indented."""
    yaml = _yaml()
    yaml.explicit_start = text.lstrip().startswith("---") or None
    first = _LIST.search(text)
    if first and len(first["item"]) == len(first["key"]):
        yaml.indent(mapping=2, sequence=2, offset=0)
    return yaml
