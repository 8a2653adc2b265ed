"""Compressed archives of plain files, whose first member says what must be in the rest of them."""

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from .manifests import FileRecord

NAME = "manifest.json"
# Decompressed at once: small, because the worst four kilobytes unfold to a hundred megabytes.
FEED_BYTES = 4096
COPY_BYTES = 1024 * 1024


class Refusal(Exception):  # noqa: N818  internal: it becomes an error that names the file
    """Why an archive is refused."""


class Stream(io.RawIOBase):
    """The decompressed bytes of an archive; digests the compressed ones on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard  # noqa: PLC0415  most calls need no compression

        self._file = file
        self._broken = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor().decompressobj()
        self._ready = bytearray()
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes; fewer at the end. Raises Refusal when the file ends too early."""
        while len(self._ready) < size and not self._decompressor.eof:
            raw = self._next()
            if not raw:
                raise Refusal("it is cut short")
            self._ready += self._decompress(raw)
        found = bytes(self._ready[:size])
        del self._ready[:size]
        return found

    def finish(self) -> None:
        """Check that nothing but the padding of the archive is left. Raises Refusal."""
        while content := self.read(COPY_BYTES):
            if any(content):
                raise Refusal("something follows the end of the archive")
        if self._decompressor.unused_data or self._next():
            raise Refusal("something follows the end of the compressed data")

    def _decompress(self, raw: bytes) -> bytes:
        try:
            return self._decompressor.decompress(raw)
        except self._broken as error:
            raise Refusal(f"it is not compressed as it should be ({error})") from error

    def _next(self) -> bytes:
        raw = self._file.read(FEED_BYTES)
        self.digest.update(raw)
        return raw


def read_manifest(archive: tarfile.TarFile, *, largest: int) -> bytes:
    """The manifest, which must be the first member. Raises Refusal."""
    member = archive.next()
    if member is None or member.name != NAME or not _is_plain(member) or member.size > largest:
        raise Refusal(f"it does not begin with {NAME}")
    source = archive.extractfile(member)
    return source.read() if source else b""


def extract(
    archive: tarfile.TarFile,
    folder: Path,
    *,
    expected: Mapping[str, FileRecord],
    keep: Callable[[str], bool] = lambda _: True,
) -> None:
    """Write what is expected, as far as `keep` says yes, into `folder`, and nothing else; the rest is only checked.

    Names come from `expected` alone, which the caller made: a member never chooses a path. Raises Refusal.
    """
    missing = dict(expected)
    while (member := archive.next()) is not None:
        record = missing.pop(member.name, None)
        if record is None:
            raise Refusal(f"{'twice' if member.name in expected else 'not in its manifest'}: {member.name!r}")
        if not _is_plain(member):
            raise Refusal(f"not a plain file: {member.name!r}")
        if member.size != record.size:
            raise Refusal(f"{member.name!r} has {member.size} bytes instead of {record.size}")
        source = archive.extractfile(member)
        if source is None or _copy(source, folder / member.name if keep(member.name) else None) != record.sha256:
            raise Refusal(f"the digest of {member.name!r} is not that of its manifest")
    if missing:
        raise Refusal(f"missing: {', '.join(sorted(missing)[:5])}")


def _is_plain(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not member.issparse()


def _copy(source: IO[bytes], target: Path | None) -> str:
    """Copy to `target`, if there is one, and return the digest."""
    digest = hashlib.sha256()
    if target is None:
        while content := source.read(COPY_BYTES):
            digest.update(content)
        return digest.hexdigest()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        while content := source.read(COPY_BYTES):
            digest.update(content)
            file.write(content)
    return digest.hexdigest()


@contextlib.contextmanager
def compressed(path: Path, *, level: int, mode: int = 0o666) -> Iterator[tarfile.TarFile]:
    """A tar archive that is compressed while it is written, and on disk when the block ends; `mode` as of open(2).

    Matches are looked for over 128 MB, as Go programs share much code: this saves a fifth, and any zstd can read it.
    """
    import zstandard  # noqa: PLC0415  most calls need no compression

    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=27, enable_ldm=True, threads=os.cpu_count() or 1, write_checksum=True
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with open(path, "xb", opener=partial(os.open, mode=mode)) as file:
        with (
            compressor.stream_writer(file, closefd=False) as stream,
            tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            yield archive
        file.flush()
        os.fsync(file.fileno())


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member with this content."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file. Owner, time and mode are left out: they say nothing about what is in it."""
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    with path.open("rb") as file:
        archive.addfile(member, file)
