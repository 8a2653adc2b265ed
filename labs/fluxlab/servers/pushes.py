"""What a push did to a repository: the refs that really moved, as git itself reported them."""

import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Self

from .git_repositories import GitRepository

NO_COMMIT = "0" * 40


@dataclass(frozen=True, kw_only=True)
class RefChange:
    """A ref that moved from one object to another; NO_COMMIT stands for none, as in git."""

    ref: str
    old: str
    new: str

    @property
    def branch(self) -> str | None:
        """The branch's name, if the ref is one."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else None

    @property
    def deleted(self) -> bool:
        """Whether the ref is gone."""
        return self.new == NO_COMMIT


@dataclass(frozen=True, kw_only=True)
class Push:
    """One push that changed refs."""

    repository: GitRepository
    changes: tuple[RefChange, ...]
    who: str
    """The component that came through the gateway, else the user name that git sent."""
    time: datetime


Subscriber = Callable[[Push], Awaitable[None]]


class ChangeSheet:
    """The file without a name into which one receive-pack's hook writes what it changed."""

    def __init__(self, folder: Path) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # closed on exit

    @property
    def descriptor(self) -> int:
        """What the hook inherits."""
        return self._file.fileno()

    def take(self) -> tuple[RefChange, ...]:
        """The changes written since the last call."""
        self._file.seek(0)
        # Not splitlines: the name of a ref may hold U+0085 and the like, which end lines for Python and not for git.
        lines = self._file.read().decode(errors="surrogateescape").split("\n")[:-1]
        os.ftruncate(self.descriptor, 0)
        changes = [RefChange(ref=ref, old=old, new=new) for old, new, ref in (line.split(" ", 2) for line in lines)]
        return tuple(change for change in changes if change.old != change.new)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
