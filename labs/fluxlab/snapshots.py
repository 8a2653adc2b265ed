"""A whole converged lab as one file: etcd, repositories, charts, registry and artifacts, without keys and tokens.

Manifests name public URLs only, so nothing in a snapshot names a port: it starts anywhere, with keys of its own.
"""

import errno
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from .errors import FluxlabError, UsageError
from .files import make_private
from .spec import Host, LabSpec
from .state import PLANTED, LabFolder
from .toolchain.archives import COPY_BYTES, NAME, Archive, Refusal, Stream, add, add_from, compressed, opened
from .toolchain.manifests import FileRecord

KIND: Literal["fluxlab snapshot"] = "fluxlab snapshot"
COMPRESSION_LEVEL = 3
LARGEST_MANIFEST = 64 * 1024 * 1024
_OF_A_REPOSITORY = ("HEAD", "refs", "packed-refs", "objects")
"""The rest is written anew: hooks, configuration, and what a running git leaves for a moment.

As git reads them: what moves from `refs` to `packed-refs` meanwhile is in both for a moment, and never in neither.
"""
_OF_THE_MOMENT = re.compile(r".*\.lock$|git/[^/]+/objects/info/")
"""What programs keep for themselves while they run; what is in `info` may lead to other repositories."""
_UNFINISHED = re.compile(
    r"(.*/)?\.[^/]+$"  # of `write_private`, of charts that are added, of git repack
    r"|git/[^/]+/objects/(.*/)?(tmp_|incoming-)"  # of a push: git's tmp-objdir.c and object-file.c
    r"|registry/data/.*(/_uploads/|\.tmp$)"  # distribution's registry/storage: paths.go, driver/filesystem/driver.go
)
"""What is being written: nothing names it, it may go at any time, and a program that was killed leaves it for good."""
_NAMING = re.compile(
    r"git/[^/]+/(HEAD|refs/.+|packed-refs)|registry/data/docker/registry/v2/repositories/.+/_manifests/tags/.+"
)
"""What says which of the other files count: branches and tags.

It is read before the others are looked for: git and the registry write what is named before what names it, and remove
nothing. (The fault that has git collect garbage moves the main branch, which is noticed.)
"""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _File(_Model):
    sha256: str
    size: int


class Snapshot(_Model):
    """What a snapshot says about itself."""

    kind: Literal["fluxlab snapshot"] = KIND
    format: Literal[1] = 1
    created: datetime
    commit: str
    """The commit that had arrived everywhere."""
    spec: LabSpec
    toolchain: dict[str, str]
    """The version of each program."""
    registries: tuple[Host, ...]
    """The hosts of OCI registries that the lab answered for."""
    files: dict[str, _File]

    @property
    def size(self) -> int:
        """The bytes of all files in it."""
        return sum(file.size for file in self.files.values())


class SnapshotRefusedError(FluxlabError):
    """A file that is no snapshot, was altered or cut short, or was made with another toolchain."""


def save(
    folder: LabFolder,
    spec: LabSpec,
    *,
    commit: str,
    toolchain: Mapping[str, str],
    etcd: Path,
    target: Path,
    unchanged: Callable[[], bool],
) -> Snapshot:
    """Write a snapshot of the lab in `folder`, whole or not at all; for its owner only, for it holds Secrets.

    `etcd` is the folder with `<cluster>.db` for each cluster. `unchanged` says at the end whether `commit` is still
    the newest; what is pushed to other branches or to the registry meanwhile may be in it or not. Raises FluxlabError.
    """
    naming = {name: _content(path) for name, path in _chosen(folder, spec, etcd) if _NAMING.fullmatch(name)}
    others = {name: path for name, path in _chosen(folder, spec, etcd) if not _NAMING.fullmatch(name)}
    chosen: Mapping[str, bytes | Path] = {**others, **naming}
    snapshot = Snapshot(
        created=datetime.now(UTC).replace(microsecond=0),
        commit=commit,
        spec=spec,
        toolchain=dict(toolchain),
        registries=tuple(sorted(path.name for path in folder.registry.glob("hosts/*"))),
        files={name: _record(chosen[name]) for name in sorted(chosen)},
    )
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        for left in _left_by_the_killed(target):
            left.unlink(missing_ok=True)
        with compressed(temporary, level=COMPRESSION_LEVEL, mode=0o600) as archive:
            add(archive, NAME, snapshot.model_dump_json().encode())
            for name, record in snapshot.files.items():
                if not _added(archive, name, chosen[name], record=record):
                    raise FluxlabError(f"no snapshot was made: {name} changed meanwhile", hint="try again")
        if not unchanged():
            raise FluxlabError("no snapshot was made: somebody pushed meanwhile", hint="try again")
        temporary.replace(target)
    except OSError as error:
        raise FluxlabError(f"{target} cannot be written", facts=[str(error)]) from error
    finally:
        with suppress(OSError):  # where nothing can be written, nothing is left; the error that says so matters
            temporary.unlink(missing_ok=True)
    return snapshot


def _left_by_the_killed(target: Path) -> Iterator[Path]:
    """What others began to write and cannot finish: Secrets are in it."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.([0-9]{{1,9}})")
    for path in target.parent.iterdir():
        pid = int(found[1]) if (found := pattern.fullmatch(path.name)) else None
        if pid == os.getpid() or (pid is not None and not psutil.pid_exists(pid)):  # containers give pids again
            yield path


def _chosen(folder: LabFolder, spec: LabSpec, etcd: Path) -> Iterator[tuple[str, Path]]:
    """The files of a snapshot by their names in it, which are their places in a lab's folder."""
    for cluster in spec.clusters:
        yield f"clusters/{cluster.name}/{PLANTED}", etcd / f"{cluster.name}.db"
        yield from _below(folder, folder.cluster(cluster.name) / "artifacts")
    for name in _OF_A_REPOSITORY:
        yield from _below(folder, folder.repositories / f"{spec.repository.name}.git" / name)
    yield from _below(folder, folder.charts)
    yield from _below(folder, folder.sinks)
    yield from _below(folder, folder.registry / "data")


def _below(folder: LabFolder, place: Path) -> Iterator[tuple[str, Path]]:
    for path in _files(place):
        name = path.relative_to(folder.root).as_posix()
        if not _OF_THE_MOMENT.match(name) and not _UNFINISHED.match(name):
            yield name, path


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for parent, folders, names in os.walk(place, onerror=_unlisted):
        folders.sort()  # packs last: git packs objects before it removes the files of each
        yield from (path for name in sorted(names) if (path := Path(parent, name)).is_file())


def _unlisted(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # programs remove folders that they do not need any more
        raise _unsaved(Path(error.filename), error) from error


class _Reading(io.FileIO):
    """A file that is read: what is wrong with it is told apart from what is wrong where its content goes."""

    def __init__(self, path: Path, trouble: Callable[[Path, OSError], FluxlabError]) -> None:
        self._path = path
        self._trouble = trouble
        try:
            super().__init__(path)
        except OSError as error:
            raise trouble(path, error) from error

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes. Raises what `trouble` makes of an OSError."""
        try:
            return super().read(size)
        except OSError as error:
            raise self._trouble(self._path, error) from error


def _opened_part(source: Path | bytes) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else _Reading(source, _unsaved)


def _unsaved(path: Path, error: OSError) -> FluxlabError:
    return FluxlabError(f"no snapshot was made: {path} cannot be read", facts=[str(error)], hint="try again")


def _content(path: Path) -> bytes:
    with _opened_part(path) as file:
        return file.read()


def _record(source: Path | bytes) -> _File:
    digest, size = hashlib.sha256(), 0
    with _opened_part(source) as file:
        while content := file.read(COPY_BYTES):
            digest.update(content)
            size += len(content)
    return _File(sha256=digest.hexdigest(), size=size)


def _added(archive: tarfile.TarFile, name: str, source: Path | bytes, *, record: _File) -> bool:
    """Add a file to the archive; returns whether it still is what is on record of it."""
    with _opened_part(source) as file:
        try:
            return add_from(archive, name, file, size=record.size) == record.sha256 and not file.read(1)
        except EOFError:
            return False


def read(file: Path) -> Snapshot:
    """What a snapshot says about itself; the rest of it is not looked at. Raises SnapshotRefusedError, UsageError."""
    with _Reading(file, _unreadable) as raw:
        try:
            with opened(Stream(raw)) as archive:
                return _parsed(archive)
        except Refusal as error:
            raise _refused(file, error) from error


def unpack(file: Path, folder: LabFolder, *, toolchain: Mapping[str, str], sha256: str | None = None) -> Snapshot:
    """Verify a snapshot while unpacking it into the folder of a lab that is about to start.

    Raises SnapshotRefusedError for one that is altered or cut short, was made with another toolchain, or, with
    `sha256`, is another file than that; UsageError for one that cannot be read.
    """
    with _Reading(file, _unreadable) as raw:
        stream = Stream(raw)
        try:
            with opened(stream) as archive:
                snapshot = _parsed(archive)
                _check_toolchain(snapshot, toolchain)
                expected = {name: FileRecord(sha256=f.sha256, size=f.size) for name, f in snapshot.files.items()}
                _check_places(snapshot)
                archive.extract(folder.root, expected=expected)
            stream.finish()
        except (Refusal, FileExistsError, NotADirectoryError) as error:
            raise _refused(file, error) from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # what that is differs between file systems
                raise
            raise _refused(file, Refusal(f"a name in it is too long for a file below {folder.root}")) from error
    if sha256 is not None and stream.digest.hexdigest() != sha256.strip().lower():
        facts = [f"sha256 {stream.digest.hexdigest()}", f"instead of {sha256}"]
        raise SnapshotRefusedError(f"{file} was refused: it is not the file that was asked for", facts=facts)
    for host in snapshot.registries:
        make_private(folder.registry / "hosts" / host)
    for name in ("refs", "objects"):  # git wants them, also when all is packed
        make_private(folder.repositories / f"{snapshot.spec.repository.name}.git" / name)
    return snapshot


def _unreadable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} cannot be read: {error.strerror}", hint="name a file that `snapshot save` wrote")


def _refused(file: Path, why: Exception) -> SnapshotRefusedError:
    return SnapshotRefusedError(f"{file} was refused: {why}", hint="fluxlab snapshot save makes a new one")


def _parsed(archive: Archive) -> Snapshot:
    try:
        return Snapshot.model_validate_json(archive.manifest(largest=LARGEST_MANIFEST), strict=False)
    except ValidationError as error:
        raise Refusal(f"its {NAME} is none: {error.errors()[0]['msg']}") from error


def _check_toolchain(snapshot: Snapshot, ours: Mapping[str, str]) -> None:
    """Data of another etcd or Kubernetes may look right and be wrong. Raises Refusal."""
    names = sorted({*snapshot.toolchain, *ours})
    different = [
        f"{name} {snapshot.toolchain.get(name, 'missing')} instead of {ours.get(name, 'none')}"
        for name in names
        if snapshot.toolchain.get(name) != ours.get(name)
    ]
    if different:
        raise Refusal(f"it was made with another toolchain: {'; '.join(different)}")


def _check_places(snapshot: Snapshot) -> None:
    """A manifest that was made by hand must not choose where its files go. Raises Refusal."""
    clusters = {cluster.name for cluster in snapshot.spec.clusters}
    repository = f"{snapshot.spec.repository.name}.git"
    for name in snapshot.files:
        first, second, third, *_ = [*name.split("/"), "", ""]
        plain = "\\" not in name and not {"", ".", ".."} & set(name.split("/"))
        allowed = (
            (first == "clusters" and second in clusters and third in {PLANTED, "artifacts"})
            or (first == "git" and second == repository and third in _OF_A_REPOSITORY)
            or first == "charts"
            or (first == "sinks" and name == f"sinks/{second}")
            or (first == "registry" and second == "data")
        )
        plain = plain and not _OF_THE_MOMENT.match(name)
        if not (plain and allowed):
            raise Refusal(f"a file that no snapshot holds: {name!r}")
    for host in snapshot.registries:
        if host in {".", ".."}:
            raise Refusal(f"a registry that has no such name: {host!r}")
