"""What a Chart.yaml says, in the types that Helm has for it: one odd chart must not make a whole index unreadable.

Helm reads an index strictly (pkg/repo, loadIndex): a field that it does not know, or a bool for a string, is an error
for all charts of the repository, although the same Chart.yaml is fine within its own archive.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import yaml

from fluxlab.documents import check_nesting
from fluxlab.errors import FluxlabError

METADATA_LIMIT_BYTES = 1024 * 1024
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,199}[A-Za-z0-9])?")
# SemVer 2, with the leading `v` that several public charts carry and Helm accepts.
VERSION = re.compile(
    r"v?(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
LONGEST_VERSION = 200
STAND_IN = "fluxlab.dev/stand-in"


class ChartError(FluxlabError):
    """An archive or a source folder that is no usable chart."""


@dataclass(frozen=True, kw_only=True)
class ChartMetadata:
    """The parts of a Chart.yaml that a repository needs."""

    name: str
    version: str
    description: str
    app_version: str
    stand_in: bool
    """Whether the chart only stands in for one that could not be had (annotation `fluxlab.dev/stand-in`)."""
    dependencies: tuple[str, ...]
    entry: Mapping[str, object]
    """All of it that belongs in an index."""

    @classmethod
    def parse(cls, text: bytes, *, where: str) -> "ChartMetadata":
        """The metadata in the text of a Chart.yaml. Raises ChartError when it is not usable."""
        try:
            entry = _fields(_document(text), ENTRY)
            if _size(entry) > METADATA_LIMIT_BYTES:
                raise _TypeError("is too large")
        except (yaml.YAMLError, UnicodeDecodeError, _TypeError) as error:
            raise ChartError(f"{where}: Chart.yaml cannot be used: {error}") from error
        annotations, listed = entry.get("annotations"), entry.get("dependencies")
        return cls(
            name=_matching(NAME, entry.get("name"), f"{where}: chart name"),
            version=_matching(VERSION, entry.get("version"), f"{where}: chart version"),
            description=str(entry.get("description", "")),
            app_version=str(entry.get("appVersion", "")),
            stand_in=isinstance(annotations, dict) and is_stand_in(annotations),
            dependencies=tuple(str(one.get("name", "")) for one in listed) if isinstance(listed, list) else (),
            entry=entry,
        )

    @property
    def file_name(self) -> str:
        """The archive's name."""
        return archive_name(self.name, self.version)


def archive_name(name: str, version: str) -> str:
    """The name of a chart's archive, as Helm has it."""
    return f"{name}-{version}.tgz"


def is_stand_in(annotations: Mapping[str, object]) -> bool:
    """Whether the annotations of a chart say that it only stands in for another."""
    return str(annotations.get(STAND_IN, "")).lower() == "true"


def precedence(version: str) -> tuple[object, ...]:
    """A key that sorts versions as SemVer 2 orders them; build metadata does not count."""
    found = VERSION.fullmatch(version)
    if not found:
        raise ChartError(f"{version!r} is no version")
    numbers = tuple(int(found.group(index)) for index in (1, 2, 3))
    if found.group(4) is None:
        return (*numbers, 1, ())
    # Numeric identifiers come before others, and compare as numbers.
    parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in found.group(4).split(".")]
    return (*numbers, 0, tuple(parts))


def _document(text: bytes) -> object:
    check_nesting(text)
    # Every scalar as it was written: `appVersion: 1.10` is not 1.1.
    return yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506  # it makes nothing but strings


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_VERSION or not pattern.fullmatch(value) or ".." in value:
        raise ChartError(f"{what} {value!r} is not usable")
    return value


class _TypeError(Exception):
    """A value of another type than Helm has for the field."""


Convert = Callable[[object], object]


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise _TypeError("has a list or a mapping where Helm has a text")
    return value


def _bool(value: object) -> bool:
    text = _string(value).lower()
    if text not in {"true", "false"}:
        raise _TypeError(f"has {text[:50]!r} where Helm has true or false")
    return text == "true"


def _list_of(convert: Convert) -> Convert:
    def converted(value: object) -> list[object]:
        if not isinstance(value, list):
            raise _TypeError("has something else where Helm has a list")
        return [convert(one) for one in value]

    return converted


def _mapping_of_strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _TypeError("has something else where Helm has a mapping")
    return {_string(key): _string(one) for key, one in value.items()}


def _record(fields: Mapping[str, Convert]) -> Convert:
    return lambda value: _fields(value, fields)


def _fields(value: object, fields: Mapping[str, Convert]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _TypeError("is no mapping")
    return {name: convert(value[name]) for name, convert in fields.items() if value.get(name, "") not in EMPTY}


def _string_or_mapping(value: object) -> object:
    return value if isinstance(value, str) else _mapping_of_strings(value)


def _size(value: object) -> int:
    # YAML's aliases repeat a value without repeating its text.
    if isinstance(value, dict):
        return sum(_size(key) + _size(one) for key, one in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else len(str(value)) + 1


EMPTY: tuple[object, ...] = ("", "~", "null")
# Helm 4, pkg/chart/v2: Metadata, Maintainer, Dependency.
ENTRY: Mapping[str, Convert] = {
    **dict.fromkeys(
        ("apiVersion", "appVersion", "condition", "description", "home", "icon", "kubeVersion", "name", "tags", "type",
         "version"),
        _string,
    ),
    **dict.fromkeys(("keywords", "sources"), _list_of(_string)),
    "deprecated": _bool,
    "annotations": _mapping_of_strings,
    "maintainers": _list_of(_record(dict.fromkeys(("name", "email", "url"), _string))),
    "dependencies": _list_of(
        _record(
            {
                **dict.fromkeys(("alias", "condition", "name", "repository", "version"), _string),
                "enabled": _bool,
                "tags": _list_of(_string),
                "import-values": _list_of(_string_or_mapping),
            }
        )
    ),
}  # fmt: skip
