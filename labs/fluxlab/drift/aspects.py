"""What is told of a difference besides what differs: class, marks, who, when, what Flux said and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class DriftClass(StrEnum):
    """What kind of difference it is."""

    MODIFIED = "modified"
    """A field has another value than git wants."""
    ADDED = "added field"
    """A field that git does not name was set by somebody else."""
    REMOVED = "removed field"
    """A field that git names is gone, or its object's kind has none of that name."""
    DELETED = "deleted"
    """An object that git wants is gone, or somebody has asked for its end, which waits for finalizers."""
    RECREATED = "recreated"
    """An object that git wants was deleted, and somebody made another one in its place."""
    ORPHAN = "orphan"
    """An object that nobody owns, in a namespace that git fills."""
    UNKNOWN = "unknown"
    """It could not be compared: whether it differs, and how, is not known."""


class Mark(StrEnum):
    """What is so of a difference besides how it differs; one may bear several, and what stays bears one."""

    IGNORED = "ignored by rule"
    """A rule in git leaves the field to others: it is no drift."""
    SUSPENDED = "suspended"
    """Its owner is suspended."""
    ACKNOWLEDGED = "acknowledged"
    """Its owner is suspended, and has acknowledged a request since, without having done anything."""
    UNDETECTABLE = "undetectable"
    """Flux does not look at it, however often it reconciles."""
    WARNED = "only warned of"
    """driftDetection of its HelmRelease warns, and corrects nothing."""
    EXEMPT = "exempt"
    """An annotation or label in git keeps Flux from correcting the object."""
    SELF_EXEMPT = "exempts itself"
    """An annotation or label that git does not have keeps Flux from correcting the object."""
    FAILING = "owner fails"
    """Its owner fails before it corrects anything, or will: it depends on one that is not ready."""
    STOPPED = "controller stopped"
    """The controller that would correct it is scaled to 0, or the one from which that has its artifacts."""
    HELD_BACK = "held back"
    """report-only keeps its owner from correcting it."""
    FORCED = "forced"
    """Its controller cannot change it back: told to by `force`, it deletes the object and makes it again."""
    LEFT_BEHIND = "left behind"
    """A field that a controller made its own when it corrected it, and that git has dropped since."""
    CO_OWNED = "co-owned"
    """A field that Flux had set and somebody else, too, and that git has dropped since."""
    FOLLOWED = "followed"
    """Of a HelmRelease: a release was made from it already, so that the workload has followed."""


class Voice(StrEnum):
    """In what Flux said something."""

    EVENT = "event"
    ALERT = "alert"
    """One that reached a sink of the lab; nobody saw its event."""
    CONDITION = "condition"
    SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What Flux said of a difference since it was made."""

    voice: Voice = Voice.SILENT
    text: str = ""
    alerted: datetime | None = None
    """When the first alert of it reached a sink of the lab."""

    def __str__(self) -> str:
        alerted = f" (alerted at {self.alerted.astimezone():%Y-%m-%d %H:%M:%S})" if self.alerted else ""
        return f"{self.text or self.voice}{alerted}"


SILENT = Said()


@dataclass(frozen=True, kw_only=True)
class Times:
    """When what happened to a difference. None: it has not, or nobody saw when."""

    changed: datetime | None = None
    """When somebody made it: as the API server tells, else as the lab's recorder does."""
    detected: datetime | None = None
    """When the lab's recorder saw it."""
    alerted: datetime | None = None
    """When the first alert of it reached a sink of the lab."""
    corrected: datetime | None = None
    """When what was there before came back."""


class Confidence(StrEnum):
    """How sure it is who did it."""

    HIGH = "high"
    """The API server's audit log names the user."""
    MEDIUM = "medium"
    """The change was seen, and the object names the program that made it; the user is not known."""
    LOW = "low"
    """Only the object itself says so, in fields that anybody may write."""
    NONE = "none"
    """Nothing says who."""


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who made a change."""

    who: str
    """`alice with kubectl-edit`; empty where nothing says who."""
    time: datetime | None
    seen: datetime | None = None
    """When the lab's recorder saw it."""
    user: str = ""
    """The user of the API, impersonated ones as `ada as system:admin`."""
    user_agent: str = ""
    verb: str = ""
    """Of the request, as the API calls it."""
    audit_id: str = ""
    manager: str = ""
    """The field manager: `kubectl-edit`."""
    operation: str = ""
    """Apply or Update, where the object's managed fields tell it."""
    subresource: str = ""
    """Through which it was changed, such as `scale`."""
    confidence: Confidence
    reason: str
    """Where that is known from."""

    def __str__(self) -> str:
        return f"by {self.who or 'somebody'} ({self.confidence} confidence: {self.reason})"


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What will become of a difference, if nobody does anything."""

    reverted: bool
    why: str
    marks: Sequence[Mark] = ()
    within: timedelta | None = None
    """Of what will be reverted: the time from one reconcile of its owner to the next; a commit comes sooner."""
    due: datetime | None = None
    """When that is, give or take some percent by which Flux varies it; None where nobody says when the last one was."""

    @property
    def ignored(self) -> bool:
        """Whether git itself says that the field is not its to say."""
        return Mark.IGNORED in self.marks

    def __str__(self) -> str:
        return f"{'will be reverted' if self.reverted else 'stays'}: {self.why}"
