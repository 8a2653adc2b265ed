"""From what differs to what is told of it: who it was, what becomes of it, and no value of a Secret."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.managed_fields import NO_SETTER, Setter
from fluxlab.clusters.masking import Masking
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.paths import pointer_to
from fluxlab.clusters.resources import HELM_RELEASE
from fluxlab.flux.claims import is_platform
from fluxlab.redaction import Redactor
from fluxlab.timeline.entries import ObjectRef
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.journal import masked_change

from .actors import Actors, up_to_date, who_dropped
from .aspects import Actor, DriftClass, Fate, Mark
from .comparing import Compared
from .edits import added_by_hand
from .fate import ROOT_GONE, fate_of, fate_of_undeclared, is_unseen, until_gone, while_stopped, while_waiting
from .fields import FieldDrift
from .orphans import Stray, is_orphan, maker_of_orphan
from .records import Drift, Unknown
from .releases import released_since
from .visits import last_visits


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is told of one cluster."""

    drifts: tuple[Drift, ...]
    ignored: tuple[Drift, ...]
    """What rules in git leave to others."""
    unknown: tuple[Unknown, ...]
    """What the timeline should tell, and does not."""


def tell(
    cluster: Cluster,
    timeline: TimelineFolder,
    compared: Sequence[Compared],
    stray: Sequence[Stray],
    *,
    rootless: bool,
    redactor: Redactor,
    stopped: Mapping[str, str],
) -> Told:
    """What is told of one cluster; `stopped`: controllers that are scaled to 0."""
    differing = [one.live for one in compared if one.differs and one.live]
    roots = [cluster.root.reference] if rootless else []
    gone = [one.wanted.reference for one in compared if one.differs and not one.live]
    there = [*differing, *(one.subject for one in stray if not one.claim)]
    made = [one.subject for one in stray if one.claim]
    actors = up_to_date(timeline, cluster=cluster.name, there=there, made=made, gone=[*gone, *roots])
    teller = _Teller(cluster.name, actors, redactor, stopped, timeline)
    found = [drift for one in compared if not one.unknown for drift in teller.of(one)]
    # Without an audit log nobody can contradict what an object says of itself.
    unseen = set() if cluster.lacks(Capability.AUDIT) else {one.reference for one in actors.unseen(made)}
    return Told(
        drifts=(
            *map(teller.of_root, roots),
            *(drift for drift in found if not drift.fate.ignored),
            *(drift for one in stray for drift in teller.of_stray(one)),
        ),
        ignored=tuple(drift for drift in found if drift.fate.ignored),
        unknown=tuple(_unseen(cluster.name, one) for one in stray if one.subject.reference in unseen),
    )


def _unseen(cluster: str, one: Stray) -> Unknown:
    """What is told of an object that says that somebody keeps it, where nobody saw who made it."""
    why = f"{one.subject} may be an orphan: {one.claim}, as it says itself, and the timeline does not tell who made it"
    return Unknown(cluster=cluster, object=one.subject.reference, why=why)


def redactor_of(clusters: Collection[Cluster], timeline: TimelineFolder) -> Redactor:
    """Masks what the Secrets of clusters and the lab's own files hold. Raises ApiError or ApiUnreachableError."""
    masking = Masking(timeline, {one.name: one for one in clusters})
    for cluster in clusters:
        masking.learn(cluster.name)
    return masking.redactor


@dataclass(frozen=True)
class _Teller:
    """From what differs to what is told of it."""

    cluster: str
    actors: Actors
    redactor: Redactor
    stopped: Mapping[str, str]
    """Controllers that are scaled to 0, and how that is told."""
    timeline: TimelineFolder

    @cached_property
    def visits(self) -> Mapping[ObjectRef, datetime]:
        """When helm-controller looked at its objects last; a log is read only if something is asked of it."""
        return last_visits(self.timeline, cluster=self.cluster)

    def of(self, one: Compared) -> Iterator[Drift]:
        """The drift of one object."""
        if one.live is None or one.live.deleting:
            yield self._of_missing(one)
            return
        if one.never_applied and self.actors.took_the_place(one.live):
            class_ = DriftClass.RECREATED
            yield self._drift(one, class_, self.actors.who_made(one.live), self._fate(one, class_))
        by_hand = added_by_hand(self.actors.changes_of(one.live.reference), one.wanted, one.live, reported=one.fields)
        for field in (*one.fields, *by_hand):
            yield self._of_field(one, one.live, field)

    def _of_missing(self, one: Compared) -> Drift:
        """An object that is gone, or that goes: whatever else differs of that goes with it."""
        class_, live = DriftClass.DELETED, one.live
        fate = self._fate(replace(one, live=None), class_)
        if live is None:
            return self._drift(one, class_, self.actors.who_deleted(one.wanted.reference), fate)
        return self._drift(one, class_, self.actors.who_ends(live), until_gone(fate, live=live))

    def _of_field(self, one: Compared, live: KubeObject, field: FieldDrift) -> Drift:
        change = masked_change(field.change, self.redactor)
        pointer = pointer_to(field.change.field, live.raw)
        if field.undeclared:
            actor = who_dropped(one.desired.applier)
            fate = fate_of_undeclared(one.wanted, controller=one.desired.applier)
        else:
            actor = self.actors.of_field(live, field)
            fate = self._fate(one, field.class_, pointer=pointer, setter=field.setter)
        if field.class_ is DriftClass.ADDED and self.actors.set_by_flux(live, field):
            fate = _marked(fate, Mark.LEFT_BEHIND if is_platform(field.setter.manager) else Mark.CO_OWNED)
        drift = self._drift(one, field.class_, actor, fate)
        drift = replace(drift, field=change.field, pointer=pointer, live=change.before, desired=change.after)
        drift = replace(drift, source=one.desired.source_of(one.wanted, field.change.field))
        if live.kind != HELM_RELEASE.kind or not pointer.startswith("/spec/"):
            return drift
        released = released_since(live, drift.actor.time)
        return replace(drift, released=released, fate=_marked(drift.fate, Mark.FOLLOWED if released else None))

    def _fate(self, one: Compared, class_: DriftClass, *, pointer: str = "", setter: Setter = NO_SETTER) -> Fate:
        fate = fate_of(
            class_,
            owner=one.desired.owner,
            wanted=one.wanted,
            live=one.live,
            pointer=pointer,
            setter=setter,
            made_by_hand=one.desired.made_by_hand,
            applied=bool(one.live and is_unseen(pointer) and self._is_applied(one, one.live)),
        )
        fate = while_stopped(fate, controller=one.desired.applier, stopped=self.stopped)
        fate = while_waiting(fate, owner=one.desired.owner, dependencies=one.desired.dependencies)
        if one.desired.owner.kind == HELM_RELEASE.kind and fate.within and not fate.due:
            visited = self.visits.get(one.desired.owner.reference)
            fate = replace(fate, due=visited + fate.within if visited else None)
        if Mark.SUSPENDED in fate.marks:
            acknowledged = self.actors.acknowledged_in_sleep(one.desired.owner)
            fate = _marked(fate, Mark.ACKNOWLEDGED if acknowledged else None)
        return replace(fate, why=self.redactor.redact(fate.why))  # Flux may quote what it could not apply

    def _is_applied(self, one: Compared, live: KubeObject) -> bool:
        """Whether something of an object that Flux does compare has its controller apply it."""
        return any(
            self._fate(one, field.class_, pointer=pointer, setter=field.setter).reverted
            for field in one.fields
            if not (field.undeclared or is_unseen(pointer := pointer_to(field.change.field, live.raw)))
        )

    def _drift(self, one: Compared, class_: DriftClass, actor: Actor, fate: Fate) -> Drift:
        """What is told of a drift of an object, whatever it is."""
        owner, subject = one.desired.owner, one.wanted.reference
        said = self.actors.flux_said(subject, owner, since=actor.time)
        return Drift(
            cluster=self.cluster,
            object=subject,
            class_=class_,
            owner=str(owner),
            chain=one.desired.chain,
            commit=one.desired.commit,
            source=one.desired.source_of(one.wanted),
            actor=actor,
            fate=fate,
            said=replace(said, text=self.redactor.redact(said.text)),
        )

    def of_stray(self, one: Stray) -> Iterator[Drift]:
        """An object that no owner in git wants, if it is nobody's."""
        maker = self.actors.who_made(one.subject)
        if is_orphan(one.claim, maker):
            yield Drift(
                cluster=self.cluster,
                object=one.subject.reference,
                class_=DriftClass.ORPHAN,
                owner="",
                actor=maker_of_orphan(one.claim, maker),
                fate=one.fate,
            )

    def of_root(self, root: ObjectRef) -> Drift:
        """A root Kustomization that is gone: it would apply itself, and no other one does."""
        return Drift(
            cluster=self.cluster,
            object=root,
            class_=DriftClass.DELETED,
            owner=str(root),
            actor=self.actors.who_deleted(root),
            fate=ROOT_GONE,
        )


def _marked(fate: Fate, mark: Mark | None) -> Fate:
    return replace(fate, marks=(*fate.marks, mark)) if mark else fate
