"""Read a bundle that may come from anywhere: a stream of plain files, each as its manifest says, and nothing else."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from .contents import LARGEST_MANIFEST, LICENCES_FOLDER, NAME, Contents
from .errors import ToolchainError
from .manifests import FileRecord

# Decompressed at once: small, because the worst four kilobytes unfold to a hundred megabytes.
FEED_BYTES = 4096
COPY_BYTES = 1024 * 1024


class BundleRefusedError(ToolchainError):
    """A file that is no bundle, was altered or cut short, or is not the bundle that was asked for."""


class Refusal(Exception):  # noqa: N818  internal: it becomes a BundleRefusedError that names the file
    """Why a bundle is refused."""


class Stream(io.RawIOBase):
    """The decompressed bytes of a bundle; digests the compressed ones on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard  # noqa: PLC0415  most calls of the toolchain need no compression

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
            raise Refusal(f"it is not compressed as a bundle is ({error})") from error

    def _next(self) -> bytes:
        raw = self._file.read(FEED_BYTES)
        self.digest.update(raw)
        return raw


def read_contents(archive: tarfile.TarFile) -> Contents:
    """The manifest, which must be the first member. Raises Refusal."""
    member = archive.next()
    if member is None or member.name != NAME or not _is_plain(member) or member.size > LARGEST_MANIFEST:
        raise Refusal(f"it does not begin with {NAME}")
    source = archive.extractfile(member)
    try:
        return Contents.parse(source.read() if source else b"")
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its {NAME} cannot be read: {error}") from error


def extract(archive: tarfile.TarFile, folder: Path, *, expected: Mapping[str, FileRecord]) -> None:
    """Write what is expected into `folder`, and nothing else; licence texts are checked but not written.

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
        keep = not member.name.startswith(f"{LICENCES_FOLDER}/")
        source = archive.extractfile(member)
        if source is None or _copy(source, folder / member.name if keep else None) != record.sha256:
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
