"""Change manifests in YAML files as a person would: what is not changed stays, with its comments and its order."""

import io
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from yaml import ScalarNode
from yaml.resolver import Resolver

from .documents import Json, JsonObject
from .errors import UsageError

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Manifest: TypeAlias = MutableMapping[str, Json]

_DOCUMENT = re.compile(r"^(?=---\s)", re.MULTILINE)
"""Where a document of a YAML file begins: three dashes at the start of a line are nothing else, whatever is around."""
_BLOCK = str.maketrans("", "", "\n\t")
"""What a block may hold beside what is printed."""
_YAML_1_1 = Resolver()
_LIST = re.compile(r"^(?P<key> *)[^\s#-][^\n]*: *\n(?P<item> *)- ", re.MULTILINE)
"""A key whose value is a list, and the list's first item."""


def dump(*documents: Json) -> str:
    """Manifests, or what else is written in YAML, as one file."""
    text = io.StringIO()
    _yaml().dump_all([plain(document) for document in documents], text)
    return text.getvalue()


def merge(text: str, change: JsonObject, *, path: str, kind: str = "", name: str = "") -> str:
    """The YAML of a file with `change` merged (RFC 7386: null removes) into the one manifest that is meant.

    Raises what `edited` raises.
    """
    return edited(text, lambda manifest: _merge(manifest, change), path=path, kind=kind, name=name)


def edited(
    text: str, edit: Callable[[Manifest], object], *, path: str, kind: str = "", name: str = "", namespace: str = ""
) -> str:
    """The YAML of a file after `edit` was called with the one manifest that is meant, to be changed in place.

    Raises UsageError unless exactly one manifest is of that kind, name and namespace (or names none), where they are
    given, and when the file is no YAML. `path` is what errors call the file.
    """
    line_end = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")
    yaml = _yaml_as(text)
    documents = _documents(text, yaml=yaml, path=path)
    edit(_meant(documents, path=path, kind=kind, name=name, namespace=namespace))
    changed = io.StringIO()
    yaml.dump_all([found for found in documents if found is not None], changed)
    return changed.getvalue().replace("\n", line_end)


def without(text: str, *, path: str, kind: str, name: str, namespace: str = "") -> str:
    """The YAML of a file without the one manifest that is meant, to the letter; empty when no other is in it.

    Raises what `edited` raises.
    """
    parts = [(part, _documents(part, yaml=_yaml(), path=path)) for part in _DOCUMENT.split(text)]
    everything = [found for _, documents in parts for found in documents]
    meant = _meant(everything, path=path, kind=kind, name=name, namespace=namespace)
    rest = [(part, documents) for part, documents in parts if not any(found is meant for found in documents)]
    return "".join(part for part, _ in rest) if any(any(documents) for _, documents in rest) else ""


def _documents(text: str, *, yaml: "YAML", path: str) -> Sequence[Json]:
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415 # as below

    try:
        return list(yaml.load_all(text))
    except YAMLError as error:
        raise UsageError(f"{path} is no valid YAML", facts=[str(error)]) from None


def _meant(documents: Sequence[Json], *, path: str, kind: str, name: str, namespace: str) -> Manifest:
    there = [found for found in documents if isinstance(found, MutableMapping)]
    meant = [
        found
        for found in there
        if kind in {"", found.get("kind")}
        and name in {"", _metadata(found, "name")}
        and (not namespace or _metadata(found, "namespace") in {"", namespace})
    ]
    if len(meant) != 1:
        wanted = " ".join(filter(None, [kind or "manifest", name]))
        facts = [f"it has {', '.join(_described(there)) or 'no manifests'}"]
        raise UsageError(f"{path}: {len(meant)} manifests are a {wanted}, not one", facts=facts)
    return meant[0]


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
            target[key] = plain(value)


def plain(value: Json) -> Json:
    """What the writer knows: tuples are lists, any mapping is a dict, and texts stand as every reader reads them."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(inner) for inner in value]
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """Several lines as a block; in quotes what is a text in YAML 1.2 only, such as `on`: kubectl reads 1.1."""
    from ruamel.yaml.scalarstring import LiteralScalarString, SingleQuotedScalarString  # noqa: PLC0415 # as below

    style: type[str] = str
    if "\n" in value and value.translate(_BLOCK).isprintable():
        style = LiteralScalarString
    elif _YAML_1_1.resolve(ScalarNode, value, (True, False)) != Resolver.DEFAULT_SCALAR_TAG:  # type: ignore[no-untyped-call] # it has no types
        style = SingleQuotedScalarString
    return style(value)


def _metadata(manifest: JsonObject, key: str) -> str:
    metadata = manifest.get("metadata")
    return str(metadata.get(key, "")) if isinstance(metadata, Mapping) else ""


def _described(manifests: Sequence[JsonObject]) -> Iterator[str]:
    for manifest in manifests:
        yield f"{manifest.get('kind')} {_metadata(manifest, 'name')}"


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
