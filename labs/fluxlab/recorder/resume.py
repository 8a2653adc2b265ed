"""Where a recorder goes on: how far each resource is in the timeline, from a small file and the journal's end."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fluxlab.files import write_private
from fluxlab.timeline.entries import Detail, parse_version
from fluxlab.timeline.journal import read_journal

FILE = "resume.json"


class Resume:
    """The resource version up to which the timeline has everything, by cluster and resource."""

    def __init__(self, folder: Path) -> None:
        """Read what an earlier recorder left in the journal's folder; nothing, when there was none."""
        self._file = folder / FILE
        self.last_entry: datetime | None = None
        self._versions = _read(self._file)
        for entry in read_journal(folder):
            self.last_entry = entry.time
            resource, version = entry.details.get(Detail.RESOURCE), entry.details.get(Detail.VERSION, "")
            if resource:
                self.advance(entry.cluster, resource, version)

    def version(self, cluster: str, resource: str) -> str:
        """Where a watch goes on; empty where nothing is known."""
        found = self._versions.get(_key(cluster, resource), 0)
        return str(found) if found else ""

    def advance(self, cluster: str, resource: str, version: str) -> None:
        """Everything up to a version is in the journal now."""
        key = _key(cluster, resource)
        if (number := parse_version(version)) > self._versions.get(key, 0):
            self._versions[key] = number

    def save(self) -> None:
        """Write the file: for resources of which nothing was heard but that time goes on. Raises OSError."""
        if not self._file.parent.is_dir():
            raise FileNotFoundError(f"{self._file.parent} was removed")  # with its lab, and must not come back
        write_private(self._file, json.dumps(self._versions, sort_keys=True))


def _key(cluster: str, resource: str) -> str:
    return f"{cluster} {resource}"


def _read(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}  # the journal's own entries are what counts
    entries: Mapping[str, object] = content if isinstance(content, dict) else {}
    return {key: version for key, version in entries.items() if isinstance(version, int)}
