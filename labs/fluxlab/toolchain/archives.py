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
DESCRIPTION_BYTES = 64 * 1024
"""What may stand before the content of a file: a few kilobytes, of which `tarfile` reads ten ahead."""


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
        self.allowance = DESCRIPTION_BYTES
        """How many bytes may be read before more are allowed: see `Archive`."""

    def read(self, size: int = -1, /) -> bytes:
        """The next `size` bytes; fewer at the end.

        Raises Refusal when the file ends too early, or when more is asked for than is allowed.
        """
        if size > self.allowance:
            raise Refusal("what it says of one of its files has no end")
        found = self._take(size)
        self.allowance -= len(found)
        return found

    def finish(self) -> None:
        """Check that nothing but the padding of the archive is left. Raises Refusal."""
        if any(self._take(COPY_BYTES)) or self._take(1):
            raise Refusal("something follows the end of the archive")
        if self._decompressor.unused_data or self._next():
            raise Refusal("something follows the end of the compressed data")

    def _take(self, size: int) -> bytes:
        while len(self._ready) < size and not self._decompressor.eof:
            raw = self._next()
            if not raw:
                raise Refusal("it is cut short")
            self._ready += self._decompress(raw)
        found = bytes(self._ready[:size])
        del self._ready[:size]
        return found

    def _decompress(self, raw: bytes) -> bytes:
        try:
            return self._decompressor.decompress(raw)
        except self._broken as error:
            raise Refusal(f"it is not compressed as it should be ({error})") from error

    def _next(self) -> bytes:
        raw = self._file.read(FEED_BYTES)
        self.digest.update(raw)
        return raw


@contextlib.contextmanager
def opened(stream: Stream) -> Iterator["Archive"]:
    """An archive that may come from anywhere. Raises Refusal for what is wrong with it, also in the block."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            yield Archive(stream, tar)
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise Refusal(str(error)) from error


class Archive:
    """What is in an archive, read once from its beginning.

    `tarfile` holds all that describes a file in memory, however large that is: names, attributes, the places of the
    parts of a sparse file. So only a little may be read until the size of a file is known and is what it should be.
    """

    def __init__(self, stream: Stream, tar: tarfile.TarFile) -> None:
        self._stream = stream
        self._tar = tar

    def manifest(self, *, largest: int) -> bytes:
        """The manifest, which must be the first member. Raises Refusal."""
        member = self._next()
        if member is None or member.name != NAME or not _is_plain(member) or member.size > largest:
            raise Refusal(f"it does not begin with {NAME}")
        return self._content(member).read()

    def extract(
        self, folder: Path, *, expected: Mapping[str, FileRecord], keep: Callable[[str], bool] = lambda _: True
    ) -> None:
        """Write what is expected, as far as `keep` says yes, into `folder`, and nothing else; the rest is only checked.

        Names come from `expected` alone, which the caller made: a member never chooses a path. Raises Refusal.
        """
        missing = dict(expected)
        while (member := self._next()) is not None:
            record = missing.pop(member.name, None)
            if record is None:
                raise Refusal(f"{'twice' if member.name in expected else 'not in its manifest'}: {member.name!r}")
            if not _is_plain(member):
                raise Refusal(f"not a plain file: {member.name!r}")
            if member.size != record.size:
                raise Refusal(f"{member.name!r} has {member.size} bytes instead of {record.size}")
            target = folder / member.name if keep(member.name) else None
            if _copy(self._content(member), target) != record.sha256:
                raise Refusal(f"the digest of {member.name!r} is not that of its manifest")
        if missing:
            raise Refusal(f"missing: {', '.join(sorted(missing)[:5])}")

    def _next(self) -> tarfile.TarInfo | None:
        self._stream.allowance = DESCRIPTION_BYTES
        return self._tar.next()

    def _content(self, member: tarfile.TarInfo) -> IO[bytes]:
        """The content of a plain file of the right size, to be read to its end."""
        self._stream.allowance = member.size + DESCRIPTION_BYTES
        return self._tar.extractfile(member) or io.BytesIO()


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


class _Read:
    """The next bytes of a file, digested on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """All of `size` bytes. Raises EOFError when there are fewer."""
        content = self._file.read(size)
        if len(content) < size:
            raise EOFError
        self.digest.update(content)
        return content


def add_from(archive: tarfile.TarFile, name: str, file: IO[bytes], *, size: int) -> str:
    """Add a member with the next `size` bytes of a file; returns their SHA-256. Raises EOFError when there are fewer.

    Owner, time and mode are left out: they say nothing about what is in it.
    """
    member = tarfile.TarInfo(name)
    member.size = size
    content = _Read(file)
    archive.addfile(member, content)
    return content.digest.hexdigest()


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a member with this content."""
    add_from(archive, name, io.BytesIO(content), size=len(content))


def add_file(archive: tarfile.TarFile, name: str, path: Path) -> None:
    """Add a file. Raises OSError, also when it is cut short meanwhile."""
    with path.open("rb") as file:
        try:
            add_from(archive, name, file, size=path.stat().st_size)
        except EOFError as error:
            raise OSError(f"{path} changed meanwhile") from error
