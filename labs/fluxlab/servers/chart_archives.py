"""Chart archives: read what one says about itself without trusting it."""

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import yaml

from fluxlab.errors import FluxlabError

# Helm's own bounds (pkg/chart/loader/archive): 100 MiB unpacked, 5 MiB for one file.
UNPACKED_LIMIT_BYTES = 100 * 1024 * 1024
METADATA_LIMIT_BYTES = 1024 * 1024
ARCHIVE_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,249}[A-Za-z0-9])?")
# SemVer 2, with the leading `v` that several public charts carry and Helm accepts.
VERSION = re.compile(
    r"v?(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})\.(0|[1-9]\d{0,17})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
AT_DEPTH_ONE = re.compile(r"(?:\./)?(?!\.\.?/)[^/]+/Chart\.yaml")
STAND_IN = "fluxlab.dev/stand-in"


class _Loader(yaml.CSafeLoader):
    """Leaves numbers and dates the strings that they were written as: `appVersion: 1.10` is not 1.1."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":bool", ":null", ":merge"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class ChartError(FluxlabError):
    """An archive or a source folder that is no usable chart."""


@dataclass(frozen=True, kw_only=True)
class ChartMetadata:
    """What a Chart.yaml says, as far as a repository needs it, and the whole of it for the index."""

    name: str
    version: str
    description: str
    app_version: str
    stand_in: bool
    """Whether the chart only stands in for one that could not be had (annotation `fluxlab.dev/stand-in`)."""
    document: Mapping[str, object]

    @classmethod
    def parse(cls, text: bytes, *, where: str) -> "ChartMetadata":
        """The metadata in the text of a Chart.yaml. Raises ChartError when it is not usable."""
        try:
            document: object = yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader, and less
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ChartError(f"{where}: Chart.yaml is no YAML", facts=[str(error)]) from error
        if not isinstance(document, dict):
            raise ChartError(f"{where}: Chart.yaml is no mapping")
        annotations = document.get("annotations")
        marks = annotations if isinstance(annotations, dict) else {}
        return cls(
            name=_matching(NAME, document.get("name"), f"{where}: chart name"),
            version=_matching(VERSION, document.get("version"), f"{where}: chart version"),
            description=str(document.get("description") or ""),
            app_version=str(document.get("appVersion") or ""),
            stand_in=str(marks.get(STAND_IN, "")).lower() == "true",
            document=document,
        )

    @property
    def file_name(self) -> str:
        """The archive's name, as Helm has it."""
        return f"{self.name}-{self.version}.tgz"


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value) or ".." in value:
        raise ChartError(f"{what} {value!r} is not usable")
    return value


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


def read_metadata(archive: Path) -> ChartMetadata:
    """What the one Chart.yaml at depth 1 of an archive says; no other member is read, and nothing is unpacked.

    Raises ChartError for anything that is not a chart within Helm's bounds.
    """
    if archive.stat().st_size > ARCHIVE_LIMIT_BYTES:
        raise ChartError(f"{archive.name}: larger than {ARCHIVE_LIMIT_BYTES >> 20} MiB")
    try:
        with gzip.open(archive) as unpacked:
            found = list(_chart_files(_Bounded(cast("BinaryIO", unpacked), archive.name), archive.name))
    except (
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ChartError(f"{archive.name}: no chart archive", facts=[str(error)]) from error
    if len(found) != 1:
        raise ChartError(f"{archive.name}: {len(found)} files <folder>/Chart.yaml instead of one")
    return ChartMetadata.parse(found[0], where=archive.name)


def _chart_files(stream: "_Bounded", name: str) -> Iterator[bytes]:
    # A stream only goes forward, so a hostile header can neither make it seek nor loop.
    with tarfile.open(fileobj=stream, mode="r|") as members:
        for member in members:
            if not AT_DEPTH_ONE.fullmatch(member.name):
                continue
            if not member.isreg() or member.size > METADATA_LIMIT_BYTES:
                raise ChartError(f"{name}: Chart.yaml is no small regular file")
            content = members.extractfile(member)
            yield content.read() if content else b""


class _Bounded(io.RawIOBase):
    """A stream that refuses to unpack more than Helm would."""

    def __init__(self, inner: BinaryIO, name: str) -> None:
        self._inner = inner
        self._name = name
        self._left = UNPACKED_LIMIT_BYTES

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            raise ChartError(f"{self._name}: unpacks to more than {UNPACKED_LIMIT_BYTES >> 20} MiB")
        chunk = self._inner.read(size)
        self._left -= len(chunk)
        return chunk


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
