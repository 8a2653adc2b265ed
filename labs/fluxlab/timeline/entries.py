"""The unit of the timeline: one thing that happened, and how it is written as a line of JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum

from fluxlab.errors import UsageError

LONGEST_VERSION = 20
"""Digits of a resource version: it counts in 64 bits."""


class Source(StrEnum):
    """Who tells of it."""

    PUSH = "push"
    COMMIT = "commit"
    OBJECT = "object"
    EVENT = "event"
    AUDIT = "audit"
    REQUEST = "request"
    LOG = "log"
    PROCESS = "process"
    FAULT = "fault"
    ALERT = "alert"
    """What a sink heard of Flux."""
    RECORDER = "recorder"
    """The timeline itself: a gap, a line that was cut off, a clock that jumped."""


class Level(StrEnum):
    """How much it matters."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for the least."""
        return list(Level).index(self)


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith(("s", "x", "ch")) else f"{kind}s"


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRef:
    """Which object of a cluster."""

    kind: str
    namespace: str = ""
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @classmethod
    def parse(cls, text: str) -> "ObjectRef":
        """The inverse of `str`. Raises ValueError."""
        kind, separator, place = text.partition(" ")
        if not separator:
            raise ValueError(f"{text!r} names no object")
        namespace, _, name = place.rpartition("/")
        return cls(kind=kind, namespace=namespace, name=name)

    def answers_to(self, text: str) -> bool:
        """Whether it is what a person typed: `cart`, `shop/cart`, `deployment/cart`, `deployments/shop/cart`."""
        *before, name = text.replace(" ", "/").split("/")
        if name != self.name:
            return False
        kinds = {self.kind.lower(), _plural(self.kind.lower())}
        match before:
            case []:
                return True
            case [one]:
                return one == self.namespace or one.lower() in kinds
            case [kind, namespace]:
                return kind.lower() in kinds and namespace == self.namespace
            case _:
                return False


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """One field of an object before and after, each as JSON; None stands for its absence."""

    field: str
    """As Kubernetes itself writes paths: `.spec.containers[name="app"].image`."""
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.field}: {self.after} added"
        if self.after is None:
            return f"{self.field}: {self.before} removed"
        return f"{self.field}: {self.before} -> {self.after}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing that happened."""

    time: datetime
    source: Source
    text: str
    level: Level = Level.INFO
    cluster: str = ""
    part: str = ""
    """The process that it is about, or that wrote it: `staging/kustomize-controller`."""
    object: ObjectRef | None = None
    changes: Sequence[FieldChange] = ()
    actor: str = ""
    """Who did it: a person, a field manager, a user of the API; empty where it is not known."""
    commit: str = ""
    """The commit that brought it about, or that was pushed (the full name)."""
    issues: Sequence[str] = ()
    """The issue references in the message of that commit: `#42`, `OPS-7`."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What only entries of this source have; see `Detail`."""


class Detail:
    """The keys of `Entry.details`."""

    VERB = "verb"
    """Of a change: created, changed or deleted. Of an audit entry: as the API calls it."""
    VERSION = "version"
    """The resource version after a change; comparable over all kinds, because one etcd counts it."""
    OWNER = "owner"
    """The Kustomization or HelmRelease that owns the object, also through a Deployment."""
    CLAIM = "claim"
    """Of an object that was made: who keeps it by its own account, such as `ReplicaSet cart-1 owns it`."""
    READS = "reads"
    """Of a Flux object: the Secrets and ConfigMaps that it reads, with commas between."""
    REVISION = "revision"
    """The revision that a Flux object speaks of in its status or event."""
    RESOURCE = "resource"
    """The path of the collection that a change was seen in."""
    GAP = "gap"
    """That a change was found when the recorder came back, and may be the sum of several: `yes`."""
    LATE = "late"
    """That a change was heard of when the recorder came back: when it happened, the audit log may know."""
    UID = "uid"
    REASON = "reason"
    SUBJECT = "subject"
    """The first line of the message of the entry's commit."""
    REF = "ref"
    OLD = "old"
    SUBRESOURCE = "subresource"
    USER = "user"
    """The user of the API, impersonated ones as `ada as system:admin`."""
    USER_AGENT = "user agent"
    REQUEST = "request"
    """Of a change: the verb of the request that made it, as the API calls it."""
    MANAGER = "field manager"
    """As whom a request asked to be noted in the managed fields."""
    AUDIT_ID = "audit id"
    CANDIDATES = "candidates"
    """Of a change that requests of several clients fit, or one that need not have meant it: all of them."""
    STATUS = "status"
    HOST = "host"
    URI = "uri"
    RECEIVED = "received"
    """When the API server had a request whole; `Entry.time` is when it had answered."""
    SEEN = "seen"
    """Of a change whose time the audit log tells: when the recorder saw it."""
    DRY_RUN = "dry run"
    NAMESPACE = "namespace"
    """Where the objects are that a request for a collection meant; any other request names its object."""
    SELECTED = "selected"
    """That a request for a collection meant only those of its objects that its selectors fit: `yes`."""
    FAULT = "fault"
    """Which fault of the catalogue."""
    SINK = "sink"
    """The kind of sink at which an alert ended."""
    REFUSED = "refused"
    """Why the sink did not take it."""


def to_line(entry: Entry) -> str:
    """An entry as one line of JSON, without its end."""
    return json.dumps(as_json(entry), ensure_ascii=False, separators=(",", ":"))


def as_json(entry: Entry) -> dict[str, object]:
    """An entry as JSON, without what is empty; times in UTC with microseconds."""
    found: dict[str, object] = {
        "time": format_time(entry.time),
        "source": entry.source.value,
        "level": entry.level.value,
        "cluster": entry.cluster,
        "part": entry.part,
        "object": str(entry.object) if entry.object else "",
        "text": entry.text,
        "changes": [{"field": one.field, "before": one.before, "after": one.after} for one in entry.changes],
        "actor": entry.actor,
        "commit": entry.commit,
        "issues": list(entry.issues),
        "details": dict(entry.details),
    }
    return {key: value for key, value in found.items() if value or key == "text"}


def from_line(line: str) -> Entry:
    """The inverse of `to_line`. Raises ValueError on anything else."""
    try:
        raw = json.loads(line)
        return Entry(
            time=_moment(raw["time"]),
            source=Source(raw["source"]),
            text=_text(raw["text"]),
            level=Level(raw["level"]),
            cluster=_text(raw.get("cluster", "")),
            part=_text(raw.get("part", "")),
            object=ObjectRef.parse(raw["object"]) if "object" in raw else None,
            changes=tuple(_change(**change) for change in raw.get("changes", ())),
            actor=_text(raw.get("actor", "")),
            commit=_text(raw.get("commit", "")),
            issues=tuple(map(_text, _list(raw.get("issues", [])))),
            details={key: _text(value) for key, value in raw.get("details", {}).items()},
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no entry of a timeline: {line[:100]!r}") from error


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError


def _list(value: object) -> list[object]:
    if isinstance(value, list):
        return value
    raise TypeError


def _change(*, field: object, before: object, after: object) -> FieldChange:
    return FieldChange(
        field=_text(field),
        before=None if before is None else _text(before),
        after=None if after is None else _text(after),
    )


def _moment(text: str) -> datetime:
    """A time that has one in each zone. Raises ValueError."""
    found = parse_time(text)
    if MINYEAR < found.year < MAXYEAR:
        return found
    raise ValueError(text)


def format_time(time: datetime) -> str:
    """RFC 3339 in UTC with microseconds: sorts as text."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """A time in RFC 3339, whose fraction may have any length; one without a zone is in UTC. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def parse_version(text: str) -> int:
    """A resource version, 0 where there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_VERSION else 0


def parse_level(text: str) -> Level:
    """A level by the names that Go's and Python's loggers use. Raises UsageError."""
    found = _LEVELS.get(text.lower())
    if found is None:
        raise UsageError(f"no level is named {text!r}", facts=[", ".join(Level)])
    return found


_LEVELS = {
    **{level.value: level for level in Level},
    "trace": Level.DEBUG,
    "warn": Level.WARNING,
    "err": Level.ERROR,
    "fatal": Level.ERROR,
    "panic": Level.ERROR,
    "dpanic": Level.ERROR,
    "critical": Level.ERROR,
}
