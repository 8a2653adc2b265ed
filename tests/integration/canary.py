"""Where a value lies below a folder: in files as they are, in what they have packed, and in the objects of git."""

import base64
import json
import os
import re
import subprocess
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

_GZIP = b"\x1f\x8b\x08"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PACKED_TEXT = re.compile(rb"(?:H4sI|SDRzSU)[A-Za-z0-9+/]+={0,2}")
"""A gzip stream in base64, or in base64 of that, as a Secret has a Helm release."""


def spellings(value: str) -> set[bytes]:
    """A value as it may lie around: raw, in base64 at any offset, URL-encoded, in JSON."""
    raw = value.encode()
    shifted = [base64.b64encode(b"x" * offset + raw)[4:-4] for offset in range(3)]
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        *shifted,
        quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
    }


def holders(folder: Path, values: set[bytes]) -> list[str]:
    """The files and git repositories below a folder that hold any of the values."""
    return [
        str(path.relative_to(folder))
        for path, content in _contents(folder)
        if any(value in each for each in _unpacked(content) for value in values)
    ]


def _contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent) / name for name in names):
            with suppress(FileNotFoundError):  # a lab that runs writes and removes meanwhile
                if path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()
        if "HEAD" in names and "objects" in folders:
            yield Path(parent), _objects(Path(parent))


def _objects(repository: Path) -> bytes:
    """All that a repository has, reachable or not: loose, or as a difference in a pack."""
    words = ["git", f"--git-dir={repository}", "cat-file", "--batch-all-objects", "--batch", "--buffer"]
    return subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60).stdout


def _unpacked(content: bytes) -> Iterator[bytes]:
    """A content, and what is packed anywhere in it: the members of a tar archive lie in it as they are."""
    yield content
    streams = [content[found.start() :] for found in re.finditer(re.escape(_GZIP), content)]
    if content[:1] == b"\x78":
        streams.append(content)
    for stream in streams:
        with suppress(zlib.error):  # three bytes that only look like one
            yield from _unpacked(_inflated(stream))
    for found in _PACKED_TEXT.findall(content):
        with suppress(ValueError):
            yield from _unpacked(base64.b64decode(found + b"=" * (-len(found) % 4)))


def _inflated(stream: bytes) -> bytes:
    """What there is of a stream, which may be cut off or altered further on. Raises zlib.error for none."""
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    found = unpacking.decompress(stream[:4096])
    with suppress(zlib.error):
        found += unpacking.decompress(stream[4096:])
    return found
