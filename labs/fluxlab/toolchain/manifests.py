"""The small file beside each program that says what it is: digests, sizes, how and when it was built."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .entries import Entry

MANIFEST = "manifest.json"
FORMAT = 1
LARGEST = 2**40


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """The digest and size of one file."""

    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path) -> "FileRecord":
        """The record of a file as it is now."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(sha256=digest, size=path.stat().st_size)

    @classmethod
    def from_fields(cls, content: object) -> "FileRecord":
        """A record from parsed JSON. Raises ValueError when it is not one."""
        fields = Fields(content)
        return cls(sha256=fields.text("sha256"), size=fields.whole("size"))


class Fields:
    """A parsed JSON object whose content may be anything: each access says what it must be.

    Written by hand because `find` reads manifests at every start, and pydantic takes longer to import than that.
    """

    def __init__(self, content: object) -> None:
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        self._content: dict[object, object] = content

    def text(self, name: str) -> str:
        """A text. Raises ValueError."""
        value = self._content.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{name} is no text")
        return value

    def whole(self, name: str) -> int:
        """A whole number that a size or a time can be. Raises ValueError."""
        value = self._content.get(name)
        if type(value) is not int or not 0 <= value < LARGEST:
            raise ValueError(f"{name} is no whole number in range")
        return value

    def seconds(self, name: str) -> float:
        """A duration. Raises ValueError."""
        value = self._content.get(name)
        if type(value) not in {int, float}:
            raise ValueError(f"{name} is no number")
        return float(str(value))

    def items(self, name: str) -> Iterator[tuple[str, object]]:
        """The items of an object. Raises ValueError."""
        value = self._content.get(name)
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no object")
        return iter(value.items())

    def texts(self, name: str) -> list[str]:
        """A list of texts. Raises ValueError."""
        value = self._content.get(name)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValueError(f"{name} is no list of texts")
        return list(value)

    def records(self, name: str) -> dict[str, FileRecord]:
        """Files and their digests. Raises ValueError."""
        return {path: FileRecord.from_fields(record) for path, record in self.items(name)}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is in one entry's folder.

    `modified` is the modification time, in whole seconds, that its files were given: as long as size and time are as
    recorded, a file counts as unchanged without being read. Copies that keep times (`cp -a`, tar, images) stay cheap.
    """

    component: str
    version: str
    key: str
    platform: str
    go: str
    built_at: str
    build_seconds: float
    modified: int
    files: Mapping[str, FileRecord]

    def describes(self, entry: Entry) -> bool:
        """Whether it belongs to `entry`, and lists exactly what an entry holds."""
        belongs = (self.component, self.key, self.platform) == (entry.name, entry.key, str(entry.platform))
        return belongs and set(entry.files) == set(self.files)

    def fields(self) -> dict[str, object]:
        """As what it is written in JSON."""
        return {"format": FORMAT, **asdict(self)}

    def write(self, folder: Path) -> None:
        """Write it into an entry's folder."""
        (folder / MANIFEST).write_text(json.dumps(self.fields(), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest in a folder. Raises FileNotFoundError, or ValueError when it is not one."""
        return cls.parse((folder / MANIFEST).read_bytes())

    @classmethod
    def parse(cls, content: bytes) -> "Manifest":
        """A manifest from its JSON text. Raises ValueError when it is not one."""
        return cls.from_fields(json.loads(content))

    @classmethod
    def from_fields(cls, content: object) -> "Manifest":
        """A manifest from parsed JSON. Raises ValueError when it is not one."""
        fields = Fields(content)
        if fields.whole("format") != FORMAT:
            raise ValueError(f"format {fields.whole('format')} is unknown")
        return cls(
            component=fields.text("component"),
            version=fields.text("version"),
            key=fields.text("key"),
            platform=fields.text("platform"),
            go=fields.text("go"),
            built_at=fields.text("built_at"),
            build_seconds=fields.seconds("build_seconds"),
            modified=fields.whole("modified"),
            files=fields.records("files"),
        )
