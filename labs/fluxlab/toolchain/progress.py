"""What a build tells about its progress; how it looks is the caller's."""

from collections.abc import Sequence
from typing import Protocol


class Progress(Protocol):
    """Called by `build` in the order of events, from the thread that called it."""

    def planned(self, names: Sequence[str]) -> None:
        """These components will be built, in this order; none when everything is there."""

    def waiting(self, name: str) -> None:
        """Another process builds right now; this one goes on with `name` when that one is done."""

    def found(self, name: str) -> None:
        """`name` is in place: the other process has built it."""

    def started(self, name: str) -> None:
        """The work on `name` begins: a component, or `go` when Go itself has to be fetched."""

    def finished(self, name: str, *, seconds: float) -> None:
        """`name` is in place."""

    def failed(self, name: str, *, seconds: float) -> None:
        """`name` failed or was interrupted; the error that says why follows."""


class Silent:
    """Tells nothing."""

    def planned(self, names: Sequence[str]) -> None:
        """Nothing."""

    def waiting(self, name: str) -> None:
        """Nothing."""

    def found(self, name: str) -> None:
        """Nothing."""

    def started(self, name: str) -> None:
        """Nothing."""

    def finished(self, name: str, *, seconds: float) -> None:
        """Nothing."""

    def failed(self, name: str, *, seconds: float) -> None:
        """Nothing."""
