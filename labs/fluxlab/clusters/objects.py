"""Kubernetes objects as read from the API: JSON with typed access to what every object has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fluxlab.documents import Json, JsonObject
from fluxlab.timeline.entries import ObjectRef


def dig(value: Json, *path: str) -> Json:
    """The value below a path of keys, or None where the path ends early."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text_at(value: Json, *path: str) -> str:
    """As `dig`, for a string; anything else is the empty string."""
    found = dig(value, *path)
    return found if isinstance(found, str) else ""


def number_at(value: Json, *path: str) -> int:
    """As `dig`, for an integer; anything else is 0, which is what the API means by leaving a number out."""
    found = dig(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def items_at(value: Json, *path: str) -> Sequence[Json]:
    """As `dig`, for a list; anything else is the empty list."""
    found = dig(value, *path)
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def is_list(value: Json) -> bool:
    """Whether a value is a list: a string is a sequence, too."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def having(document: Json, path: Sequence[str], value: Json) -> JsonObject:
    """A document with another value at a path of keys; with None without any."""
    key, *rest = path
    known = dict(document) if isinstance(document, Mapping) else {}
    if rest:
        value = having(known.get(key), rest, value)
    if value is None:
        known.pop(key, None)
    else:
        known[key] = value
    return known


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One entry of `.status.conditions`."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int

    def __str__(self) -> str:
        return f"{self.type}={self.status} {self.reason}: {self.message}"


@dataclass(frozen=True)
class KubeObject:
    """One object of the API."""

    raw: JsonObject

    @property
    def kind(self) -> str:
        """Its kind, such as `Deployment`."""
        return text_at(self.raw, "kind")

    @property
    def api_version(self) -> str:
        """Its group and version, such as `apps/v1`."""
        return text_at(self.raw, "apiVersion")

    @property
    def name(self) -> str:
        """Its name."""
        return text_at(self.raw, "metadata", "name")

    @property
    def namespace(self) -> str:
        """Its namespace; empty for cluster-scoped objects."""
        return text_at(self.raw, "metadata", "namespace")

    @property
    def reference(self) -> ObjectRef:
        """How the timeline and reports name it."""
        return ObjectRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        found = dig(self.raw, "metadata", "labels")
        return {key: str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}

    @property
    def generation(self) -> int:
        """The number of the spec's version."""
        return number_at(self.raw, "metadata", "generation")

    @property
    def observed_generation(self) -> int:
        """The version of the spec that the status speaks of."""
        return number_at(self.raw, "status", "observedGeneration")

    @property
    def resource_version(self) -> str:
        """The version of the object as a whole."""
        return text_at(self.raw, "metadata", "resourceVersion")

    @property
    def ready(self) -> bool:
        """Whether its condition Ready is true, of whichever generation."""
        found = self.condition("Ready")
        return found is not None and found.status == "True"

    @property
    def suspended(self) -> bool:
        """Whether a Flux object is told not to reconcile."""
        return dig(self.raw, "spec", "suspend") is True

    @property
    def deleting(self) -> bool:
        """Whether it is only there until its finalizers have run."""
        return dig(self.raw, "metadata", "deletionTimestamp") is not None

    def conditions(self) -> Iterator[Condition]:
        """The conditions of its status."""
        for entry in items_at(self.raw, "status", "conditions"):
            yield Condition(
                type=text_at(entry, "type"),
                status=text_at(entry, "status"),
                reason=text_at(entry, "reason"),
                message=text_at(entry, "message"),
                observed_generation=number_at(entry, "observedGeneration"),
            )

    def condition(self, type_: str) -> Condition | None:
        """The condition of that type, if its status has one."""
        return next((condition for condition in self.conditions() if condition.type == type_), None)

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"
