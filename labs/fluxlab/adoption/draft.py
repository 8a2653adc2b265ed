"""The files of a commit while they are being changed: what was changed can be taken back."""

from collections.abc import Mapping
from pathlib import Path

from fluxlab.errors import UsageError

Changes = Mapping[str, str | None]
"""The new texts of files by their paths in the repository; None: the file is gone."""


class Draft:
    """A folder with a commit's files. Folders that become empty go, as they do in git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: dict[str, str | None] = {}
        self._now: dict[str, str | None] = {}

    def read(self, path: str) -> str:
        """The text of a file. Raises UsageError when there is none, or it is no text."""
        try:
            return self._place(path).read_bytes().decode()
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read", facts=[str(error)]) from None

    def has(self, path: str) -> bool:
        """Whether there is a file of that name."""
        return self._place(path).is_file()

    def write(self, path: str, text: str | None) -> None:
        """Write a file, or (None) remove it."""
        if path not in self._before:
            self._before[path] = self.read(path) if self.has(path) else None
        self._now[path] = text
        place = self._place(path)
        if text is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text.encode())
            return
        if not self.has(path):
            return  # it was taken out before, perhaps with its folder
        place.unlink()
        for above in place.parents:
            if above == self.folder or any(above.iterdir()):
                break
            above.rmdir()

    def _place(self, path: str) -> Path:
        place = self.folder / path
        if not place.resolve().is_relative_to(self.folder.resolve()):
            raise UsageError(f"{path!r} leads out of the repository")  # through a link in it
        return place

    @property
    def changes(self) -> Changes:
        """The files that differ from the commit's."""
        return {path: text for path, text in self._now.items() if text != self._before[path]}

    def back_to(self, changes: Changes) -> None:
        """Be as it was when `changes` were what they were then."""
        for path, before in self._before.items():
            self.write(path, changes.get(path, before))
