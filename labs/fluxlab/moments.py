"""A point in the order of things, so that what happened after it can be told from what was there before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When, by the clock and by each cluster's own count of changes.

    Clocks and Kubernetes' times of whole seconds cannot tell two quick commits apart; resource versions can.
    """

    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    versions: Mapping[str, int] = field(default_factory=dict)
    """For each cluster that answered the resource version that its newest change had."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit that was pushed, and the moment before it was."""

    sha: str
    message: str
    before: Moment
    follows: str = ""
    """What the branch ended at before."""

    @property
    def short(self) -> str:
        """Enough of its name for a person."""
        return self.sha[:10]

    def __str__(self) -> str:
        return self.sha
