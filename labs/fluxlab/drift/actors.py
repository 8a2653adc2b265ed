"""Who made a difference: from the timeline, which knows the audit log, else from the object itself."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fluxlab.clusters.managed_fields import Setter
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.paths import overlap
from fluxlab.errors import WaitTimeoutError
from fluxlab.timeline.attribution import APPLIERS, DELETION_ASKED, version_of
from fluxlab.timeline.entries import Detail, Entry, ObjectRef, Source, parse_time
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.query import Query, ask
from fluxlab.waiting import wait_until

from .aspects import Actor, Confidence, Said, Voice
from .fields import FieldDrift
from .saying import Heard, said_in_conditions

_NOBODY = Actor(
    who="", time=None, confidence=Confidence.NONE, reason="neither the timeline nor the object says who it was"
)
_SUSPEND = ".spec.suspend"
_HANDLED = ".status.lastHandledReconcileAt"
TIMELINE_SECONDS = 10.0
"""How long the recorder may take to have seen what was just read; on an idle machine it takes 0.2 s."""
LOOK_SECONDS = 0.1
_LAG = timedelta(seconds=2)
"""More than the second that managed fields cut off, and what one watch may be behind another."""


def up_to_date(
    folder: TimelineFolder,
    *,
    cluster: str,
    there: Sequence[KubeObject],
    made: Sequence[KubeObject] = (),
    gone: Sequence[ObjectRef] = (),
) -> "Actors":
    """As the timeline is once the recorder has seen what was just read; as it is when that takes too long.

    Of what is in `made` only who made it is asked, and it may have changed since.
    """
    fresh = [one for one in made if _is_fresh(one)]
    last = Actors(folder, cluster=cluster)

    def caught_up() -> bool:
        nonlocal last
        if last.know(there, gone) and last.know_makers(fresh):
            return True
        last = Actors(folder, cluster=cluster)
        return False

    # A recorder that is dead, or began after the change, never will: the confidence in each actor says so, and
    # `unseen` names what was made meanwhile.
    with suppress(WaitTimeoutError):
        wait_until(caught_up, what="the recorder", timeout_seconds=TIMELINE_SECONDS, interval_seconds=LOOK_SECONDS)
    return last


class Actors:
    """The changes of one cluster's objects, as the timeline has them now."""

    def __init__(self, folder: TimelineFolder, *, cluster: str) -> None:
        self._changes: dict[ObjectRef, list[Entry]] = defaultdict(list)
        entries = ask(folder, Query(sources=frozenset({Source.OBJECT, Source.EVENT, Source.ALERT})))
        self._heard = Heard(entries)
        self._cluster = cluster
        self._latest = max((entry.time for entry in entries if entry.cluster == cluster), default=None)
        for entry in entries:
            if entry.object and entry.source is Source.OBJECT and entry.cluster == cluster:
                self._changes[entry.object].append(entry)
        self._began = min((told[0].time for told in self._changes.values()), default=None)

    def know(self, there: Sequence[KubeObject], gone: Sequence[ObjectRef]) -> bool:
        """Whether the timeline has these objects as they are, and the end of those that are gone."""
        return all(map(self._knows, there)) and all(self._deletion(one) for one in gone)

    def know_makers(self, made: Sequence[KubeObject]) -> bool:
        """Whether the timeline tells how each of these objects was made."""
        return all(self._making(one) for one in made)

    def unseen(self, made: Sequence[KubeObject]) -> Sequence[KubeObject]:
        """Those of these objects that were made since the timeline began, and that it does not tell of."""
        return [one for one in made if self._should_know(one) and not self._making(one)]

    def _should_know(self, subject: KubeObject) -> bool:
        made = _made(subject)
        return self._began is not None and made is not None and made > self._began

    def _knows(self, subject: KubeObject) -> bool:
        last = self._last(subject.reference)
        return version_of(last) >= int(subject.resource_version or 0) if last else False

    def _last(self, subject: ObjectRef) -> Entry | None:
        """The newest change of an object, by its version: one that was heard of late may have a later time."""
        return max(reversed(self.changes_of(subject)), key=version_of, default=None)

    def _deletion(self, subject: ObjectRef) -> Entry | None:
        last = self._last(subject)
        return last if last and last.details.get(Detail.VERB) == "deleted" else None

    def who_deleted(self, subject: ObjectRef) -> Actor:
        """Who deleted an object that is not there: who asked for it, where finalizers had to be run first."""
        last = self._deletion(subject)
        if last is None:
            return _NOBODY

        def asked(entry: Entry) -> bool:
            return asks_for_deletion(entry) and same_object(entry, last)

        return actor_of(self._newest(subject, asked) or last)

    def who_ends(self, subject: KubeObject) -> Actor:
        """Who asked for the end of an object that is there until its finalizers have run."""
        uid = text_at(subject.raw, "metadata", "uid")

        def asked(entry: Entry) -> bool:
            return asks_for_deletion(entry) and entry.details.get(Detail.UID, uid) == uid

        found = self._newest(subject.reference, asked)
        return actor_of(found) if found else _NOBODY

    def who_made(self, subject: KubeObject) -> Actor:
        """Who made an object that is there, and not an earlier one of its name."""
        found = self._making(subject)
        return actor_of(found) if found else _NOBODY

    def _making(self, subject: KubeObject) -> Entry | None:
        uid = text_at(subject.raw, "metadata", "uid")

        def made(entry: Entry) -> bool:
            return entry.details.get(Detail.VERB) == "created" and entry.details.get(Detail.UID, uid) == uid

        return self._newest(subject.reference, made)

    def took_the_place(self, subject: KubeObject) -> bool:
        """Whether an object was deleted of whose name this is another one."""
        uid = text_at(subject.raw, "metadata", "uid")
        return any(
            entry.details.get(Detail.VERB) == "deleted" and entry.details.get(Detail.UID, uid) != uid
            for entry in self.changes_of(subject.reference)
        )

    def of_field(self, subject: KubeObject, field: FieldDrift) -> Actor:
        """Who changed a field of an object that is there."""

        def changed(entry: Entry) -> bool:
            return any(overlap(change.field, field.change.field) for change in entry.changes)

        setter = field.setter
        newest = self._newest(subject.reference, changed)
        if newest and (self._knows(subject) or _left_as_it_is(newest, field)):
            seen = actor_of(newest)
            same = setter.manager and seen.manager in {"", setter.manager}
            return replace(seen, manager=setter.manager, operation=setter.operation) if same else seen
        if not setter.manager:
            return _NOBODY
        return Actor(
            who=setter.manager,
            time=_parsed(setter.time),
            manager=setter.manager,
            operation=setter.operation,
            subresource=setter.subresource,
            confidence=Confidence.LOW,
            reason="the object's managed fields name the program; the timeline has no such change",
        )

    def set_by_flux(self, subject: KubeObject, field: FieldDrift) -> bool:
        """Whether one of Flux's controllers was the last one that changed a field, or made the object with it."""
        uid = text_at(subject.raw, "metadata", "uid")

        def changed(entry: Entry) -> bool:
            made = entry.details.get(Detail.VERB) == "created" and entry.details.get(Detail.UID, uid) == uid
            return made or any(overlap(change.field, field.change.field) for change in entry.changes)

        newest = self._newest(subject.reference, changed)
        return newest is not None and newest.actor in APPLIERS and (self._knows(subject) or self._knew(field.setter))

    def _knew(self, setter: Setter) -> bool:
        """Whether the timeline goes on after what somebody did, so that it has what could be seen of it.

        Of who sets what is there already only the managed fields tell.
        """
        did = _parsed(setter.time)
        return bool(did and self._latest and self._latest >= did + _LAG)

    def acknowledged_in_sleep(self, owner: KubeObject) -> bool:
        """Whether a suspended owner has acknowledged a request since it was suspended."""
        suspended = acknowledged = 0
        for entry in self.changes_of(owner.reference):
            for change in entry.changes:
                if change.field == _SUSPEND and change.after == "true":
                    suspended = max(suspended, version_of(entry))
                elif change.field == _HANDLED:
                    acknowledged = max(acknowledged, version_of(entry))
        return 0 < suspended < acknowledged

    def flux_said(self, subject: ObjectRef, owner: KubeObject, *, since: datetime | None) -> Said:
        """What the owner of an object said of it: an event may be lost, or told once for many."""
        heard = self._heard.said(subject, owner.reference, cluster=self._cluster, since=since)
        condition = said_in_conditions(subject, owner, since=since)
        return Said(voice=Voice.CONDITION, text=condition) if condition and not heard.text else heard

    def changes_of(self, subject: ObjectRef) -> Sequence[Entry]:
        """What happened to an object, in order of time."""
        return self._changes.get(subject, ())

    def _newest(self, subject: ObjectRef, made: Callable[[Entry], bool]) -> Entry | None:
        return next((entry for entry in reversed(self.changes_of(subject)) if made(entry)), None)


def _is_fresh(subject: KubeObject) -> bool:
    """Whether an object was made so recently that the recorder may not have seen it yet: of others it never will."""
    made = _made(subject)
    return made is not None and made > datetime.now(UTC) - timedelta(seconds=TIMELINE_SECONDS)


def _made(subject: KubeObject) -> datetime | None:
    """When an object was made, cut off to the second."""
    return _parsed(text_at(subject.raw, "metadata", "creationTimestamp"))


def _left_as_it_is(entry: Entry, field: FieldDrift) -> bool:
    """Whether a field is as a change left it: where the recorder lags behind, somebody may have changed it since."""
    return any((change.field, change.after) == (field.change.field, field.change.before) for change in entry.changes)


def _parsed(time: str) -> datetime | None:
    try:
        return parse_time(time) if time else None
    except ValueError:
        return None  # managed fields can be written by anybody


def who_dropped(controller: str) -> Actor:
    """Who took a field away that the kind of its object does not have."""
    reason = "it takes over what the kind has, and nothing tells when it did"
    return Actor(who=controller, time=None, confidence=Confidence.NONE, reason=reason)


def asks_for_deletion(entry: Entry) -> bool:
    """Whether a change is a deletion that waits for finalizers: the last one to run them has not asked for it."""
    return any(change.field == DELETION_ASKED for change in entry.changes)


def same_object(one: Entry, other: Entry) -> bool:
    """Whether two changes are of one object, and not of two that had its name after each other."""
    return one.details.get(Detail.UID) == other.details.get(Detail.UID)


def actor_of(entry: Entry) -> Actor:
    """Who made a change that the timeline tells of."""
    details = entry.details
    seen = Actor(
        who=entry.actor,
        time=entry.time,
        seen=parse_time(details[Detail.SEEN]) if Detail.SEEN in details else entry.time,
        manager=details.get(Detail.MANAGER, ""),
        subresource=details.get(Detail.SUBRESOURCE, ""),
        confidence=Confidence.MEDIUM if entry.actor else Confidence.NONE,
        reason="the watch saw the change, and no request of an audit log is known for it",
    )
    if candidates := details.get(Detail.CANDIDATES, ""):  # the audit log names no fields
        reason = f"requests that may have made it, one of which did: {candidates}"
        return replace(seen, who=f"{entry.actor}, or another", reason=reason)
    if audit_id := details.get(Detail.AUDIT_ID, ""):
        return replace(
            seen,
            user=details.get(Detail.USER, ""),
            user_agent=details.get(Detail.USER_AGENT, ""),
            verb=details.get(Detail.REQUEST, ""),
            audit_id=audit_id,
            confidence=Confidence.HIGH,
            reason="the audit log",
        )
    return seen
