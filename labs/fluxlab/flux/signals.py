"""Signals: what a cluster says of a commit, told apart from what it said before.

A signal is bound to its object's UID and to what happened after a moment: an event of an earlier commit, or of an
object of the same name that is gone, is never taken for it. Rehearsals and tests expect some and forbid others.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.objects import Condition, KubeObject, dig, text_at
from fluxlab.clusters.resources import EVENT, KUSTOMIZATION
from fluxlab.errors import FluxlabError, UnknownError, UsageError, WaitTimeoutError
from fluxlab.logs import find_log, matches_anything, read_whole_log
from fluxlab.moments import Moment
from fluxlab.timeline.loglines import read_log_lines
from fluxlab.waiting import check_duration, wait_until

from .ownership import tried_revision
from .subjects import Subject, place_of

LOOK_SECONDS = 0.1
_REVISION = re.compile(r"sha1:([0-9a-f]{40})")
QUOTED_LINES, QUOTED_CHARACTERS = 5, 300


class ExpectationError(FluxlabError):
    """An expected signal that did not come, or a forbidden one that did."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where signals are looked for: one cluster, from a moment on."""

    cluster: str
    api: KubeApi
    kinds: Kinds
    logs: Mapping[str, Path]
    """Log files by component."""
    after: Moment
    earlier: frozenset[str] = frozenset()
    """Commits from before that moment: what is said of one of them, however late, does not count."""
    mask: Callable[[str], str] = str
    """What is quoted passes it."""
    _subjects: dict[tuple[str, str], Subject] = field(default_factory=dict, compare=False)

    def is_of_earlier(self, text: str) -> bool:
        """Whether a text tells revisions, and all of them are earlier ones."""
        told = set(_REVISION.findall(text))
        return bool(told) and told <= self.earlier

    def about(self, kind: str, place: str) -> Subject:
        """The object at a place. Raises UsageError for a kind that is not served, and a place that is none."""
        if (kind, place) not in self._subjects:
            resource = self.kinds.find(kind)
            namespace, name = place_of(resource, place)
            self._subjects[kind, place] = Subject(
                api=self.api, resource=resource, namespace=namespace, name=name, version=self.version
            )
        return self._subjects[kind, place]

    @property
    def version(self) -> int:
        """The cluster's resource version at the moment. Raises UnknownError when it did not tell then."""
        try:
            return self.after.versions[self.cluster]
        except KeyError:
            raise UnknownError(
                f"what happened in {self.cluster} before this moment is not known",
                facts=["its API did not answer when the commit was pushed"],
            ) from None


class Signal(Protocol):
    """Something that a cluster may say."""

    def check(self, scene: Scene) -> None:
        """Raise UsageError when it could never be seen, or always would be."""

    def seen(self, scene: Scene) -> str | None:
        """What was said, if it was."""

    def nearest(self, scene: Scene) -> str:
        """What comes closest to it, for whoever waited in vain."""


@dataclass(frozen=True)
class Event:
    """A Kubernetes Event about an object, by its reason, its type (Normal, Warning) or a part of its message."""

    kind: str
    place: str
    reason: str = ""
    message: str = ""
    type: str = ""

    def check(self, scene: Scene) -> None:
        """Some part of the event must be told, and the kind must be served."""
        if not (self.reason or self.message or self.type):
            raise UsageError(f"{self}: say which event: its reason, message or type")
        scene.about(self.kind, self.place)

    def seen(self, scene: Scene) -> str | None:
        """The newest event that matches."""
        matching = [event for event in self._events(scene) if self._matches(event)]
        return _told(matching[-1]) if matching else None

    def nearest(self, scene: Scene) -> str:
        """All events about the object since the moment."""
        events = self._events(scene)
        return "\n".join(map(_told, events)) or f"no event about {self.kind} {self.place} since then"

    def _events(self, scene: Scene) -> list[KubeObject]:
        subject = scene.about(self.kind, self.place)
        uids = subject.uids()
        namespace, query = subject.namespace or None, {"fieldSelector": f"involvedObject.name={subject.name}"}
        found = [
            event
            for event in scene.api.list(EVENT, namespace=namespace, query=query)
            if int(event.resource_version) > scene.version
            and text_at(event.raw, "involvedObject", "uid") in uids
            and not scene.is_of_earlier(" ".join(map(str, _annotations(event))))
        ]
        return sorted(found, key=lambda event: int(event.resource_version))

    def _matches(self, event: KubeObject) -> bool:
        return (
            self.reason in {"", text_at(event.raw, "reason")}
            and self.type in {"", text_at(event.raw, "type")}
            and self.message in text_at(event.raw, "message")
        )

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value!r}" for name, value in self._parts().items() if value)
        return f"an event about {self.kind} {self.place}{f' with {told}' if told else ''}"

    def _parts(self) -> Mapping[str, str]:
        return {"reason": self.reason, "type": self.type, "message": self.message}


@dataclass(frozen=True)
class ConditionIs:
    """A condition of an object's current generation, in a status that was written after the moment."""

    kind: str
    place: str
    type: str
    status: str = "True"
    reason: str = ""
    message: str = ""

    def check(self, scene: Scene) -> None:
        """The condition must have a name, and its kind must be served."""
        if not self.type:
            raise UsageError(f"{self}: say which condition")
        scene.about(self.kind, self.place)

    def seen(self, scene: Scene) -> str | None:
        """The condition, once it is so."""
        subject = scene.about(self.kind, self.place)
        now = subject.now()
        condition = now.condition(self.type) if now else None
        if now is None or condition is None or not self._matches(condition, now) or not subject.said_anew(now):
            return None
        tried = tried_revision(now) if now.kind == KUSTOMIZATION.kind else ""
        if scene.is_of_earlier(tried or condition.message):
            return None  # what failed, or succeeded, was at a commit from before
        return f"{now}: {condition}"

    def nearest(self, scene: Scene) -> str:
        """The object's conditions as they are."""
        subject = scene.about(self.kind, self.place)
        now = subject.now()
        if now is None:
            return f"{self.kind} {self.place} is not there"
        stale = "" if subject.said_anew(now) else "\nits status is as it was before"
        return ("\n".join(map(str, now.conditions())) or f"{now} has no conditions") + stale

    def _matches(self, condition: Condition, subject: KubeObject) -> bool:
        # Kubernetes' own kinds say only once for all conditions which generation they speak of, or never.
        current = (condition.observed_generation or subject.observed_generation) in {0, subject.generation}
        return (
            current
            and condition.status == self.status
            and self.reason in {"", condition.reason}
            and self.message in condition.message
        )

    def __str__(self) -> str:
        told = " ".join(filter(None, [self.reason, self.message]))
        return f"{self.kind} {self.place}: {self.type}={self.status}{f' ({told})' if told else ''}"


@dataclass(frozen=True)
class LogLine:
    """A line in the log of a component (`kustomize-controller`) that matches a pattern, written after the moment."""

    component: str
    pattern: str

    def check(self, scene: Scene) -> None:
        """The pattern must be one and match not just anything, and the log must be there."""
        try:
            anything = matches_anything(self.pattern)
        except re.error as error:
            raise UsageError(f"{self}: no regular expression", facts=[str(error)]) from None
        if anything:
            raise UsageError(f"{self}: the pattern matches every line")
        find_log(scene.logs, self.component)

    def seen(self, scene: Scene) -> str | None:
        """The first line that matches."""
        return next((line for line in self._lines(scene) if re.search(self.pattern, line)), None)

    def nearest(self, scene: Scene) -> str:
        """The last lines since the moment."""
        last = [scene.mask(line)[:QUOTED_CHARACTERS] for line in self._lines(scene)[-QUOTED_LINES:]]
        return "\n".join(last) or f"{self.component} has written nothing since then"

    def _lines(self, scene: Scene) -> list[str]:
        name = find_log(scene.logs, self.component)
        return [
            line.raw
            for line in read_whole_log(scene.logs[name], partial(read_log_lines, part=name))
            if _rounded(line.entry.time) >= _rounded(scene.after.time) and not scene.is_of_earlier(line.raw)
        ]

    def __str__(self) -> str:
        return f"a line in the log of {self.component} that matches {self.pattern!r}"


def expect(signal: Signal, scene: Scene, *, within_seconds: float) -> str:
    """Wait for a signal; returns what was said.

    Raises ExpectationError with what came nearest when it does not come in time, and UsageError for a signal that
    could never be seen.
    """
    signal.check(scene)
    try:
        said = wait_until(
            lambda: signal.seen(scene),
            what=str(signal),
            timeout_seconds=within_seconds,
            interval_seconds=LOOK_SECONDS,
        )
    except WaitTimeoutError:
        what = f"{scene.cluster}: not within {within_seconds:g} s: {signal}"
        raise ExpectationError(what, facts=[scene.mask(signal.nearest(scene))]) from None
    return scene.mask(said)


def forbid(signal: Signal, scene: Scene, *, for_seconds: float) -> None:
    """Watch that a signal does not come, from the scene's moment until `for_seconds` from now.

    Raises ExpectationError as soon as it does, and UsageError for one that could not: an object that is not there, no
    time.
    """
    signal.check(scene)
    check_duration(for_seconds, what=str(signal))
    kind, place = getattr(signal, "kind", ""), getattr(signal, "place", "")
    if kind and not scene.about(kind, place).known():
        raise UsageError(f"{kind} {place} is not there: that nothing is said of it proves nothing")
    try:
        said = wait_until(
            lambda: signal.seen(scene),
            what=str(signal),
            timeout_seconds=for_seconds,
            interval_seconds=LOOK_SECONDS,
        )
    except WaitTimeoutError:
        return
    raise ExpectationError(f"{scene.cluster}: there is {signal}", facts=[scene.mask(said)])


def _annotations(event: KubeObject) -> Collection[object]:
    """What Flux notes of an Event: which revision it speaks of."""
    found = dig(event.raw, "metadata", "annotations")
    return found.values() if isinstance(found, Mapping) else ()


def _rounded(time: datetime) -> datetime:
    return time.replace(microsecond=time.microsecond // 1000 * 1000)  # logs have milliseconds


def _told(event: KubeObject) -> str:
    return f"{text_at(event.raw, 'type')} {text_at(event.raw, 'reason')}: {text_at(event.raw, 'message')}"
