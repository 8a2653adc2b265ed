"""Chart archives: read what one says about itself without trusting it."""

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from .chart_metadata import METADATA_LIMIT_BYTES, ChartError, ChartMetadata

# Helm's own bounds (pkg/chart/loader/archive): 100 MiB unpacked, 5 MiB for one file.
UNPACKED_LIMIT_BYTES = 100 * 1024 * 1024
ARCHIVE_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
AT_DEPTH_ONE = re.compile(r"(?:\./)?(?!\.\.?/)[^/]+/Chart\.yaml")


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
