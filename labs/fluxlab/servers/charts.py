"""A Helm repository: a folder of chart archives, and its index."""

import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import yaml

from fluxlab.errors import FluxlabError, UsageError

from .chart_archives import digest, read_metadata
from .chart_metadata import ChartError, ChartMetadata, archive_name, precedence

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ChartVersion:
    """One archive in a repository."""

    name: str
    version: str
    digest: str
    """SHA-256 in hex, as the index has it."""
    description: str
    app_version: str
    stand_in: bool
    """Whether it only stands in for a chart that could not be had."""

    @property
    def file_name(self) -> str:
        """The name of its archive."""
        return archive_name(self.name, self.version)


@dataclass(frozen=True, kw_only=True)
class Index:
    """The repository's index.yaml, ready to be sent."""

    content: bytes
    etag: str


@dataclass(frozen=True, kw_only=True)
class _Stored:
    metadata: ChartMetadata
    digest: str
    modified: float

    def version(self) -> ChartVersion:
        return ChartVersion(
            name=self.metadata.name,
            version=self.metadata.version,
            digest=self.digest,
            description=self.metadata.description,
            app_version=self.metadata.app_version,
            stand_in=self.metadata.stand_in,
        )

    def entry(self) -> Mapping[str, object]:
        return {
            **self.metadata.entry,
            "created": _rfc3339(self.modified),
            "digest": self.digest,
            "urls": [quote(self.metadata.file_name)],
        }


_Seen = tuple[str, int, int, int]
"""An archive as the folder shows it: name, time, size, inode. Whatever replaces an archive changes one of them."""


class ChartRepository:
    """The chart archives in one folder. Thread-safe; an archive put there by hand is served as well."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._known: dict[_Seen, _Stored | None] = {}
        self._indexed: tuple[dict[_Seen, _Stored | None], Index] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, archive: Path, *, replace: bool = False) -> ChartVersion:
        """Take a copy of an archive into the repository; the same archive again changes nothing.

        Raises:
            ChartError: It is no usable chart archive.
            UsageError: Another archive of that name and version is there, and `replace` is not set.
        """
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".adding-", delete=False) as file:
            copy = Path(file.name)
            try:
                with archive.open("rb") as source:
                    shutil.copyfileobj(source, file)
                file.flush()
                return self._take(copy, archive.name, replace=replace)
            finally:
                copy.unlink(missing_ok=True)

    def _take(self, copy: Path, origin: str, *, replace: bool) -> ChartVersion:
        try:
            metadata = read_metadata(copy)
        except ChartError as error:
            raise ChartError(error.what.replace(copy.name, origin), facts=error.facts, hint=error.hint) from error
        stored = _Stored(metadata=metadata, digest=digest(copy), modified=0)
        target = self.folder / metadata.file_name
        with self._lock:
            if not target.exists() or (digest(target) != stored.digest and _may_replace(metadata, replace=replace)):
                copy.chmod(0o644)
                copy.replace(target)
        return stored.version()

    def yank(self, name: str, version: str) -> None:
        """Remove a version. Raises UsageError when there is none such."""
        with self._lock:
            for seen, stored in self._scan().items():
                if stored and (stored.metadata.name, stored.metadata.version) == (name, version):
                    (self.folder / seen[0]).unlink()
                    return
        versions = [chart.version for chart in self.charts() if chart.name == name]
        raise UsageError(
            f"there is no chart {name} {version}", hint=f"versions of {name}: {', '.join(versions) or 'none'}"
        )

    def charts(self) -> list[ChartVersion]:
        """Every version, by name and newest first."""
        return [stored.version() for stored in _ordered(self._scan())]

    def index(self) -> Index:
        """The index of what is in the folder now; made anew only when the folder has changed."""
        with self._lock:
            known = self._scan()
            if self._indexed is None or self._indexed[0] is not known:
                self._indexed = (known, _index(_ordered(known)))
            return self._indexed[1]

    def digest_of(self, file_name: str) -> str | None:
        """The digest of an archive that is served under this name; None when there is none such."""
        found = (stored for seen, stored in self._scan().items() if stored and seen[0] == file_name)
        return next((stored.digest for stored in found), None)

    def _scan(self) -> dict[_Seen, _Stored | None]:
        with self._lock:
            found = _seen(self.folder)
            if found != set(self._known):
                self._known = {
                    seen: self._known[seen] if seen in self._known else _read(self.folder, seen) for seen in found
                }
            return self._known


def _seen(folder: Path) -> set[_Seen]:
    found = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".tgz") and not entry.name.startswith(".") and entry.is_file():
                with suppress(FileNotFoundError):  # it was yanked just now
                    status = entry.stat()
                    found.add((entry.name, status.st_mtime_ns, status.st_size, status.st_ino))
    return found


def _read(folder: Path, seen: _Seen) -> _Stored | None:
    path = folder / seen[0]
    try:
        metadata = read_metadata(path)
        stored = _Stored(metadata=metadata, digest=digest(path), modified=seen[1] / 1e9)
    except (FluxlabError, FileNotFoundError) as error:
        logger.warning("not served: %s", error)
        return None
    if metadata.file_name != seen[0]:
        logger.warning("not served: %s holds %s", seen[0], metadata.file_name)
        return None
    return stored


def _may_replace(metadata: ChartMetadata, *, replace: bool) -> bool:
    if not replace:
        raise UsageError(
            f"chart {metadata.name} {metadata.version} is there already, with other content",
            hint="raise its version, or replace it on purpose",
        )
    return True


def _ordered(known: Mapping[_Seen, _Stored | None]) -> list[_Stored]:
    served = [stored for stored in known.values() if stored]
    # Versions that differ only in build metadata are equal to SemVer; their text keeps the order stable.
    served.sort(key=lambda stored: (precedence(stored.metadata.version), stored.metadata.version), reverse=True)
    return sorted(served, key=lambda stored: stored.metadata.name)


def _index(ordered: list[_Stored]) -> Index:
    entries: dict[str, list[Mapping[str, object]]] = {}
    for stored in ordered:
        entries.setdefault(stored.metadata.name, []).append(stored.entry())
    newest = max((stored.modified for stored in ordered), default=0.0)
    document = {"apiVersion": "v1", "entries": entries, "generated": _rfc3339(newest)}
    content = yaml.dump(document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, encoding="utf-8")
    return Index(content=content, etag=f'"{hashlib.sha256(content).hexdigest()}"')


class _Dumper(yaml.CSafeDumper):
    """Without anchors, which a document that repeats an object would get."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
