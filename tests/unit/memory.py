"""Programs that may take only so much memory, and headers of archives that make `tarfile` take more."""

import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import zstandard

MEGABYTE = 1024 * 1024
_LIMITED = """\
import resource, sys
from pathlib import Path
import psutil
{imports}
most = psutil.Process().memory_info().vms + {megabytes} * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (most, most))
{code}
"""


def run_in_little_memory(*, imports: str, code: str, words: list[str | Path], megabytes: int) -> str:
    """What a program says that may take some megabytes more than it has after its imports, or what it died of."""
    text = _LIMITED.format(imports=imports, code=code, megabytes=megabytes)
    done = subprocess.run([sys.executable, "-c", text, *words], capture_output=True, text=True, check=False)
    return (done.stderr if done.returncode else done.stdout).strip().rpartition("\n")[2]


def _header(kind: bytes, size: int, *, extended: bool = False) -> bytes:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, size
    content = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    content[482] = extended  # of GNU's sparse files: places of their parts follow
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


def _of(kind: bytes) -> Iterator[bytes]:
    """One header that holds 300 MB."""
    yield _header(kind, 300 * MEGABYTE)
    yield from (bytes(MEGABYTE) for _ in range(300))


def _nested() -> Iterator[bytes]:
    yield _header(tarfile.XHDTYPE, 0) * 5000


def _places() -> Iterator[bytes]:
    yield _header(tarfile.GNUTYPE_SPARSE, 0, extended=True)
    block = b"00000001000\0" * 42 + b"\1" + bytes(7)
    yield from (block * 2048 for _ in range(200))


def _map() -> Iterator[bytes]:
    told = b"".join(b"%d %s\n" % (len(text) + 4, text) for text in (b"GNU.sparse.major=1", b"GNU.sparse.minor=0"))
    yield _header(tarfile.XHDTYPE, len(told)) + told.ljust(512, b"\0")
    yield _header(tarfile.REGTYPE, 0) + b"100000000\n"
    yield from (b"300\n" * (MEGABYTE // 4) for _ in range(80))


BOMBS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "long name": lambda: _of(tarfile.GNUTYPE_LONGNAME),
    "long link": lambda: _of(tarfile.GNUTYPE_LONGLINK),
    "pax": lambda: _of(tarfile.XHDTYPE),
    "pax for all": lambda: _of(tarfile.XGLTYPE),
    "pax of pax": _nested,
    "sparse, by places": _places,
    "sparse, by a map": _map,
}
"""What a header may be that has no end."""


def pack_bomb(path: Path, bomb: str, *, before: bytes = b"") -> Path:
    """Write an archive that goes on with a bomb after some blocks. It is a few kilobytes long."""
    compressor = zstandard.ZstdCompressor().compressobj()
    with path.open("wb") as file:
        file.write(compressor.compress(before))
        for piece in BOMBS[bomb]():
            file.write(compressor.compress(piece))
        file.write(compressor.flush())
    assert path.stat().st_size < MEGABYTE
    return path
