"""Edits by hand as the timeline saw them, and what became of each; also of those that Flux has reverted since. Pure."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from fluxlab.clusters.loans import BORROWER
from fluxlab.clusters.managed_fields import Setter, setter_of
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.paths import leaves, overlap, value_at
from fluxlab.clusters.resources import NAMESPACE, is_flux
from fluxlab.documents import Json, same
from fluxlab.flux.claims import is_bookkeeping, is_platform
from fluxlab.timeline.attribution import APPLIERS
from fluxlab.timeline.audit import is_person
from fluxlab.timeline.entries import Detail, Entry, FieldChange, ObjectRef, Source

from .actors import actor_of, asks_for_deletion, same_object
from .aspects import SILENT, Actor, Confidence, DriftClass, Said, Times
from .fields import FieldDrift, is_state
from .keepers import Keepers, without_users_of_hubs
from .orphans import is_orphan, maker_of_orphan
from .saying import Heard

WHOLE = ""
"""The field of an edit that concerns the whole object."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Who changed an edited field again, or made a deleted object again."""

    actor: Actor
    reverted: bool
    """Whether that brought back what was there before."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One field that a person changed, or one object that a person deleted or made. Values as those of Drift."""

    cluster: str
    object: ObjectRef
    class_: DriftClass
    field: str = WHOLE
    before: str | None = None
    after: str | None = None
    owner: str
    """`Kustomization flux-system/apps` or `HelmRelease shop/cart`; empty for what nobody owns."""
    actor: Actor
    version: str
    """The object's resource version after it: it tells one edit of a field from the next."""
    subresource: str = ""
    ending: Ending | None = None
    """None: it is as it was made."""
    said: Said = SILENT
    """What Flux said of it since, in an event of the owner or an alert."""

    @property
    def flux_said(self) -> str:
        """What Flux said of it since, in words; empty when it was silent."""
        return self.said.text

    @property
    def times(self) -> Times:
        """When what happened to it."""
        corrected = self.ending.actor.time if self.ending and self.ending.reverted else None
        changed, detected = self.actor.time, self.actor.seen
        return Times(changed=changed, detected=detected, alerted=self.said.alerted, corrected=corrected)

    @property
    def lasted(self) -> timedelta | None:
        """How long it was there; None when it still is, or one of the two times is not known."""
        began, ended = self.actor.time, self.ending.actor.time if self.ending else None
        return ended - began if began and ended else None

    def __str__(self) -> str:
        became = f" {self.field}: {self.before or 'nothing'} became {self.after or 'nothing'}" if self.field else ""
        at = f" at {self.actor.time.astimezone():%Y-%m-%d %H:%M:%S}" if self.actor.time else ""
        return "\n".join(
            [
                f"{self.object}: {self.class_}{became}",
                f"  {self.actor}{at}",
                f"  {self.fortune}",
                f"  Flux: {self.said}",
            ]
        )

    @property
    def fortune(self) -> str:
        """What became of it, in words."""
        if self.class_ is DriftClass.UNKNOWN:
            return f"what that {self.actor.verb} changed, and whether it is still so, was not recorded"
        if self.ending is None:
            return "it is still so"
        what = "reverted" if self.ending.reverted else "changed again"
        if self.class_ is DriftClass.DELETED:
            what = "recreated"
        elif self.class_ is DriftClass.ORPHAN:
            what = "removed" if self.ending.reverted else "taken over"
        after = f" after {self.lasted.total_seconds():.1f} s" if self.lasted is not None else ""
        return f"{what} by {self.ending.actor.who or 'somebody'}{after}"


def edits(entries: Iterable[Entry]) -> list[Edit]:
    """All edits by hand that a timeline tells of, in order of time; of objects in one or in several clusters.

    Of what people made only what is in a namespace that git fills, or has, and no Flux object reads.
    """
    known = without_users_of_hubs(list(entries))
    stories: dict[tuple[str, ObjectRef], _Story] = {}
    keepers = Keepers()
    for entry in known:
        for kept in keepers.go_on(entry):
            if story := stories.get((entry.cluster, kept)):
                story.be_kept(entry)
        if entry.object and entry.source is Source.OBJECT:
            story = stories.setdefault((entry.cluster, entry.object), _Story(entry.cluster, entry.object))
            story.go_on(entry, keeper=keepers.of(entry.cluster, entry.object))
    heard, filled, read = Heard(known), set(_filled(known)), _read(known)
    told = [
        _with_what_flux_said(edit, heard)
        for story in stories.values()
        for edit in story.edits
        if edit.class_ is not DriftClass.ORPHAN
        or ((edit.cluster, edit.object.namespace) in filled and (edit.cluster, str(edit.object)) not in read)
    ]
    return sorted(told, key=lambda edit: edit.actor.time.timestamp() if edit.actor.time else 0)


def _filled(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """The clusters and namespaces of what a Flux object owns, and those that it owns."""
    for entry in entries:
        owned = entry.source is Source.OBJECT and Detail.OWNER in entry.details
        if entry.object and owned and not _by_hand(entry):  # anybody may write the labels of what is owned
            itself = entry.object.name if entry.object.kind == NAMESPACE.kind else ""
            yield entry.cluster, entry.object.namespace or itself


def _read(entries: Iterable[Entry]) -> Collection[tuple[str, str]]:
    """The clusters and objects that Flux objects read, by what each of these said last."""
    found: dict[tuple[str, ObjectRef], Sequence[str]] = {}
    for entry in entries:
        if entry.object and entry.source is Source.OBJECT and is_flux(_group(entry)):
            gone = entry.details.get(Detail.VERB) == "deleted"
            found[entry.cluster, entry.object] = [] if gone else entry.details.get(Detail.READS, "").split(", ")
    return {(cluster, name) for (cluster, _), names in found.items() for name in names}


def _group(entry: Entry) -> str:
    return entry.details.get(Detail.RESOURCE, "").removeprefix("/apis/")


def _with_what_flux_said(edit: Edit, heard: Heard) -> Edit:
    if not edit.owner:
        return edit
    owner = ObjectRef.parse(edit.owner)
    return replace(edit, said=heard.said(edit.object, owner, cluster=edit.cluster, since=edit.actor.time))


class _Story:
    """What happened to one object."""

    def __init__(self, cluster: str, subject: ObjectRef) -> None:
        self._cluster = cluster
        self._subject = subject
        self.edits: list[Edit] = []
        self._open: dict[str, int] = {}
        """The places in `edits` of those that are as they were made, by field."""
        self._first: dict[str, Json] = {}
        """What was there before the first of several edits of a field."""
        self._keeper = ""
        self._asked: Entry | None = None
        """The newest request to delete it, which waits for finalizers."""

    def be_kept(self, entry: Entry) -> None:
        """A Kustomization has said that git wants the object, which Flux may leave as it is."""
        if self._is_nobodys:
            # It was heard in a status, which controllers write under another name than what they apply.
            self._end(WHOLE, replace(entry, actor="kustomize-controller"), reverted=False)

    def go_on(self, entry: Entry, *, keeper: str) -> None:
        """One more change of the object, and which Kustomization keeps it."""
        self._keeper = keeper
        match entry.details.get(Detail.VERB):
            case "created":
                self._create(entry)
            case "deleted":
                nobodys = self._is_nobodys
                by = self._asked if self._asked and same_object(self._asked, entry) else entry
                for field in list(self._open):
                    self._end(field, by, reverted=nobodys)
                self._first.clear()
                if _by_hand(by) and not nobodys:
                    self._begin(by, FieldChange(field=WHOLE, before=None, after=None), DriftClass.DELETED)
            case _:
                if WHOLE in self._open and entry.actor in APPLIERS:  # it was made by hand
                    self._end(WHOLE, entry, reverted=not self._is_nobodys)
                if asks_for_deletion(entry):
                    self._asked = entry  # all that such a request changes belongs to the deletion
                    return
                for change in () if self._is_nobodys else entry.changes:
                    if is_state(change.field):  # a status of a thousand entries need not be followed
                        self._change(entry, change)

    @property
    def _is_nobodys(self) -> bool:
        """Whether a person made it, and Flux has not taken it over."""
        return WHOLE in self._open and self.edits[self._open[WHOLE]].class_ is DriftClass.ORPHAN

    def _create(self, entry: Entry) -> None:
        place = self._open.get(WHOLE)
        self._end(WHOLE, entry, reverted=not _by_hand(entry))
        if not _by_hand(entry):
            return
        if place is not None:
            self._begin(entry, FieldChange(field=WHOLE, before=None, after=None), DriftClass.RECREATED)
            # The new one need not say whose it should be.
            self.edits[-1] = replace(self.edits[-1], owner=self.edits[place].owner)
        elif not self._keeper and _is_orphan(entry):
            self._begin(entry, FieldChange(field=WHOLE, before=None, after=None), DriftClass.ORPHAN)
            made = self.edits[-1]  # whatever its labels say
            actor = maker_of_orphan(entry.details.get(Detail.CLAIM, ""), made.actor)
            self.edits[-1] = replace(made, owner="", actor=actor)

    def _change(self, entry: Entry, change: FieldChange) -> None:
        before, after = _leaves(change.field, change.before), _leaves(change.field, change.after)
        for path in {**before, **after}:
            old, new = before.get(path), after.get(path)
            if same(old, new) or not is_state(path):
                continue
            reverted = path in self._open and same(new, self._first[path])
            self._end(path, entry, reverted=reverted)
            if _by_hand(entry) and not reverted:
                self._first.setdefault(path, old)
                self._begin(entry, FieldChange(field=path, before=_text(old), after=_text(new)), _class(old, new))
            else:
                self._first.pop(path, None)

    def _begin(self, entry: Entry, change: FieldChange, class_: DriftClass) -> None:
        self._open[change.field] = len(self.edits)
        self.edits.append(
            Edit(
                cluster=self._cluster,
                object=self._subject,
                class_=class_,
                field=change.field,
                before=change.before,
                after=change.after,
                owner=entry.details.get(Detail.OWNER, "") or self._keeper,
                actor=actor_of(entry),
                version=entry.details.get(Detail.VERSION, ""),
                subresource=entry.details.get(Detail.SUBRESOURCE, ""),
            )
        )

    def _end(self, field: str, entry: Entry, *, reverted: bool) -> None:
        place = self._open.pop(field, None)
        if place is not None:
            ending = Ending(actor=actor_of(entry), reverted=reverted)
            self.edits[place] = replace(self.edits[place], ending=ending)


def _by_hand(entry: Entry) -> bool:
    # What report-only does is undone by itself.
    return is_person(entry.details.get(Detail.USER, "")) and entry.details.get(Detail.MANAGER) != BORROWER


def _is_orphan(entry: Entry) -> bool:
    """Whether what a person made is nobody's."""
    stray = bool(entry.object and entry.object.namespace and not is_bookkeeping(entry.object))
    return stray and is_orphan(entry.details.get(Detail.CLAIM, ""), actor_of(entry))


def _is_the_platforms(manager: str, actor: Actor) -> bool:
    called_so = manager in {actor.manager, actor.user_agent.partition("/")[0]}
    return is_platform(manager) and not (called_so and actor.confidence is Confidence.HIGH)


def _leaves(path: str, told: str | None) -> dict[str, Json]:
    """A value by its smallest fields; none where there was none. One that was masked stands as it is told."""
    if told is None:
        return {}
    try:
        value: Json = json.loads(told)
    except ValueError:
        value = told
    return dict(leaves(path, value))


def _text(value: Json) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def _class(old: Json, new: Json) -> DriftClass:
    if old is None:
        return DriftClass.ADDED
    return DriftClass.REMOVED if new is None else DriftClass.MODIFIED


def added_by_hand(
    changes: Iterable[Entry], wanted: KubeObject, live: KubeObject, *, reported: Sequence[FieldDrift]
) -> Iterator[FieldDrift]:
    """The fields of one object that a person set last, that git does not name and that are as they were set.

    Managed fields do not show all of them: what was scaled past a default, for example, belongs to nobody. Where they
    do show that the platform set a field, they are right: of several writes within a moment the timeline knows the
    sum, and may take one for another's. Unless the person's own request gave the platform's name for itself.
    """
    known = [field.change.field for field in reported]
    # Git wants it, so it is not nobody's, also if a person made it.
    since_made = (entry for entry in changes if entry.details.get(Detail.VERB) != "created")
    for edit in edits(since_made):
        if edit.ending or edit.after is None:
            continue
        value = value_at(edit.field, live.raw)
        named = value_at(edit.field, wanted.raw) is not None or any(overlap(edit.field, one) for one in known)
        if named or value is None or _is_the_platforms(setter_of(edit.field, live.raw).manager, edit.actor):
            continue
        if _text(value) == edit.after:
            change = FieldChange(field=edit.field, before=edit.after, after=None)
            yield FieldDrift(class_=DriftClass.ADDED, change=change, setter=Setter(subresource=edit.subresource))
