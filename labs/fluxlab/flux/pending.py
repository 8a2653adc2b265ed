"""What keeps a commit from having arrived: one object, and whether waiting can help."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource


class Outlook(StrEnum):
    """Whether an object that is not there yet may still come."""

    ASKING = "asking"
    """It waits for what only a person can give: a Secret, whose value must not be in git."""
    WAITING = "waiting"
    FAILED = "failed"
    """Terminal: this revision will always fail here, or does not come at all."""


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One object that has not arrived, and why."""

    object: str
    outlook: Outlook
    why: str
    next: str = ""
    """What a person may type to help."""
    trying: bool = False
    """Its controller makes an attempt just now, and says no more than that."""
    asked: str = ""
    """What it asked for before that attempt."""

    @property
    def asks(self) -> bool:
        """Whether it waits for a person."""
        return self.outlook is Outlook.ASKING

    def after(self, earlier: "Pending") -> "Pending":
        """The same, with what an earlier look saw it ask for, if an attempt is made since."""
        asked = earlier.why if earlier.asks else earlier.asked
        return replace(self, asked=asked, next=self.next or earlier.next) if self.trying and asked else self

    def __str__(self) -> str:
        asked = f"; before that: {self.asked}" if self.asked else ""
        return f"{self.object}: {self.why}{asked}" + (f" ({self.next})" if self.next else "")


@dataclass(frozen=True, kw_only=True)
class Blocker:
    """An object that must change before a commit can have arrived: to be asked for instead of all."""

    resource: Resource
    name: str
    namespace: str
    seen_version: str
    """Its resource version when it was seen."""

    @classmethod
    def of(cls, resource: Resource, subject: KubeObject) -> Self:
        """An object as it is seen now."""
        return cls(
            resource=resource,
            name=subject.name,
            namespace=subject.namespace,
            seen_version=subject.resource_version,
        )

    def stands(self, api: KubeApi) -> bool:
        """Whether it has not changed since. Raises ApiError or ApiUnreachableError."""
        now = api.find(self.resource, self.name, namespace=self.namespace or None)
        return now is not None and now.resource_version == self.seen_version


def waiting(subject: KubeObject, why: str, *, next_: str = "") -> Pending:
    """An object that may still arrive."""
    return Pending(object=str(subject), outlook=Outlook.WAITING, why=why, next=next_)


def asking(subject: KubeObject, why: str, *, next_: str = "") -> Pending:
    """An object that arrives when a person gives what it asks for."""
    return Pending(object=str(subject), outlook=Outlook.ASKING, why=why, next=next_)


def failed(subject: KubeObject, why: str, *, next_: str = "") -> Pending:
    """An object that will not arrive at this revision."""
    return Pending(object=str(subject), outlook=Outlook.FAILED, why=why, next=next_)
