"""From what differs to what is told of it: who it was, what becomes of it, and no value of a Secret."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.paths import pointer_to
from fluxlab.clusters.resources import SECRET
from fluxlab.clusters.secret_values import values_of
from fluxlab.redaction import Redactor
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.journal import masked_change

from .actors import Actors, up_to_date
from .comparing import Compared
from .fate import NOBODY, fate_of
from .records import Drift, DriftClass


def tell(
    cluster: Cluster, timeline: TimelineFolder, compared: Sequence[Compared], stray: Sequence[KubeObject]
) -> tuple[tuple[Drift, ...], tuple[Drift, ...]]:
    """The drift, and what rules in git leave to others."""
    differing = [one.live for one in compared if one.differs and one.live]
    gone = [one.wanted.reference for one in compared if one.differs and not one.live]
    actors = up_to_date(timeline, cluster=cluster.name, there=[*differing, *stray], gone=gone)
    teller = _Teller(cluster.name, actors, _redactor(cluster, timeline))
    complete = [_with_what_nobody_owns(one, actors) for one in compared]
    found = [drift for one in complete if one.differs for drift in teller.of(one)]
    return (
        (*(drift for drift in found if not drift.fate.ignored), *map(teller.of_orphan, stray)),
        tuple(drift for drift in found if drift.fate.ignored),
    )


def _with_what_nobody_owns(one: Compared, actors: Actors) -> Compared:
    if one.live is None:
        return one
    return replace(one, fields=[*one.fields, *actors.by_hand(one.wanted, one.live, reported=one.fields)])


def _redactor(cluster: Cluster, timeline: TimelineFolder) -> Redactor:
    redactor = Redactor(timeline.known_secrets())
    for secret in cluster.api.list(SECRET):
        for value in values_of(secret):
            redactor.add(value)
    return redactor


@dataclass(frozen=True)
class _Teller:
    """From what differs to what is told of it."""

    cluster: str
    actors: Actors
    redactor: Redactor

    def of(self, one: Compared) -> Iterator[Drift]:
        """The drift of one object."""
        subject = (one.live or one.wanted).reference
        deleted = Drift(
            cluster=self.cluster,
            object=subject,
            class_=DriftClass.DELETED,
            owner=str(one.desired.owner),
            commit=one.desired.commit,
            source=one.desired.places.of(one.wanted) if one.desired.places else "",
            actor=self.actors.behind(subject, DriftClass.DELETED),
            fate=fate_of(DriftClass.DELETED, owner=one.desired.owner, wanted=one.wanted, live=None),
        )
        if one.live is None:
            yield self._with_what_flux_said(deleted, one)
            return
        for field in one.fields:
            change = masked_change(field.change, self.redactor)
            pointer = pointer_to(field.change.field, one.live.raw)
            found = replace(
                deleted,
                class_=field.class_,
                field=change.field,
                pointer=pointer,
                live=change.before,
                desired=change.after,
                actor=self.actors.of_field(subject, field),
                fate=fate_of(
                    field.class_,
                    owner=one.desired.owner,
                    wanted=one.wanted,
                    live=one.live,
                    pointer=pointer,
                    setter=field.setter,
                ),
            )
            yield self._with_what_flux_said(found, one)

    def _with_what_flux_said(self, drift: Drift, one: Compared) -> Drift:
        said = self.actors.flux_said(drift.object, one.desired.owner.reference, since=drift.actor.time)
        return replace(drift, flux_said=said)

    def of_orphan(self, subject: KubeObject) -> Drift:
        """An object that nobody owns."""
        reference = subject.reference
        return Drift(
            cluster=self.cluster,
            object=reference,
            class_=DriftClass.ORPHAN,
            owner="",
            actor=self.actors.behind(reference, DriftClass.ORPHAN),
            fate=NOBODY,
        )
