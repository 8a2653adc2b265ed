"""Compare a cluster with what git wants: every object of every Kustomization and HelmRelease, and what nobody owns.

Nothing is written: what the API server would make of a manifest is asked with dry runs.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.differences import without_values
from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.paths import pointer_to
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.clusters.secret_values import values_of
from fluxlab.redaction import Redactor
from fluxlab.repository import Repository
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.journal import masked_change

from .actors import Actors, up_to_date
from .builds import Trees
from .desired import Desired, all_desired
from .fate import NOBODY, fate_of
from .fields import FieldDrift, agrees, compare
from .orphans import orphans
from .records import Drift, DriftClass, DriftReport

REQUESTS_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """One object that git wants, and how what is there differs."""

    desired: Desired
    wanted: KubeObject
    live: KubeObject | None = None
    fields: Sequence[FieldDrift] = ()
    unknown: str = ""

    @property
    def differs(self) -> bool:
        return not self.unknown and (self.live is None or bool(self.fields))


def examine(
    cluster: Cluster,
    *,
    repository: Repository,
    timeline: TimelineFolder,
    progress: Callable[[str], None] = lambda _: None,
) -> DriftReport:
    """All drift of one cluster; one that cannot be read is unknown."""
    try:
        return _examine(cluster, repository, timeline, progress)
    except (ApiError, ApiUnreachableError) as error:
        return DriftReport(drifts=(), unknown=(f"cluster {cluster.name} cannot be read: {error.what}",), examined=0)


def _examine(
    cluster: Cluster, repository: Repository, timeline: TimelineFolder, progress: Callable[[str], None]
) -> DriftReport:
    progress(f"{cluster.name}: building what git wants")
    served = {(found.api_version, found.kind): found for found in cluster.api.resources(verb="list")}
    with (
        tempfile.TemporaryDirectory(prefix="drift-", dir=timeline.lab.scratch) as folder,
        ThreadPoolExecutor(REQUESTS_AT_ONCE) as threads,
    ):
        wants, untold = all_desired(cluster, Trees(repository, Path(folder)), threads)
        pairs = [(desired, _placed(wanted, served)) for desired in wants for wanted in desired.manifests]
        progress(f"{cluster.name}: comparing {len(pairs)} objects")
        known = (served.get((wanted.api_version, wanted.kind)) for _, wanted in pairs)
        there = _Live(cluster.api, filter(None, known), threads)
        compared = list(threads.map(lambda pair: _compare(cluster.api, served, there, *pair), pairs))
    progress(f"{cluster.name}: looking for what nobody owns")
    owners_untold = [one.owner for one in untold]
    stray = orphans(cluster.api, served.values(), [wanted for _, wanted in pairs], untold=owners_untold)
    progress(f"{cluster.name}: finding out who it was")
    differing = [one.live for one in compared if one.differs and one.live]
    gone = [one.wanted.reference for one in compared if one.differs and not one.live]
    actors = up_to_date(timeline, cluster=cluster.name, there=[*differing, *stray], gone=gone)
    compared = [_with_what_nobody_owns(one, actors) for one in compared]
    tell = _Teller(cluster.name, actors, _redactor(cluster, timeline))
    found = [drift for one in compared if one.differs for drift in tell.of(one)]
    return DriftReport(
        drifts=(*(drift for drift in found if not drift.fate.ignored), *map(tell.of_orphan, stray)),
        ignored=tuple(drift for drift in found if drift.fate.ignored),
        unknown=(*(one.why for one in untold), *(one.unknown for one in compared if one.unknown)),
        examined=sum(not one.unknown for one in compared),
    )


def _with_what_nobody_owns(one: _Compared, actors: Actors) -> _Compared:
    if one.live is None:
        return one
    return replace(one, fields=[*one.fields, *actors.by_hand(one.wanted, one.live, reported=one.fields)])


def _placed(wanted: KubeObject, served: Mapping[tuple[str, str], Resource]) -> KubeObject:
    """Where it belongs: a manifest may leave the namespace out, or name one for a kind that is in none."""
    resource = served.get((wanted.api_version, wanted.kind))
    metadata = dig(wanted.raw, "metadata")
    if resource is None or not isinstance(metadata, Mapping):
        return wanted
    place = {"namespace": wanted.namespace or "default"} if resource.namespaced else {}
    kept = {key: value for key, value in metadata.items() if key != "namespace"}
    return KubeObject({**wanted.raw, "metadata": {**kept, **place}})


class _Live:
    """What is there, read once for each resource. Thread-safe after it was filled."""

    def __init__(self, api: KubeApi, resources: Iterable[Resource], threads: ThreadPoolExecutor) -> None:
        """Raises ApiError or ApiUnreachableError."""
        listed = threads.map(api.list, found := list(dict.fromkeys(resources)))
        self._objects = {
            (resource, subject.namespace, subject.name): subject
            for resource, subjects in zip(found, listed, strict=True)
            for subject in subjects
        }

    def find(self, resource: Resource, namespace: str, name: str) -> KubeObject | None:
        return self._objects.get((resource, namespace, name))


def _compare(
    api: KubeApi, served: Mapping[tuple[str, str], Resource], there: _Live, desired: Desired, wanted: KubeObject
) -> _Compared:
    resource = served.get((wanted.api_version, wanted.kind))
    if resource is None:
        unknown = f"{wanted} cannot be compared: the cluster serves no {wanted.kind} in {wanted.api_version}"
        return _Compared(desired=desired, wanted=wanted, unknown=unknown)
    live = there.find(resource, wanted.namespace, wanted.name)
    if live is None:
        return _Compared(desired=desired, wanted=wanted)
    merged = live
    if not agrees(live, wanted, applier=desired.applier):
        path = resource.path(namespace=wanted.namespace, name=wanted.name)
        try:
            merged = api.apply(path, wanted.raw, field_manager=desired.applier, dry_run=True)
        except (ApiError, ApiUnreachableError) as error:
            return _Compared(desired=desired, wanted=wanted, unknown=f"{wanted} cannot be compared: {error.what}")
    if resource == SECRET:  # only by digest from here on
        live, wanted, merged = (KubeObject(without_values(found.raw)) for found in (live, wanted, merged))
    return _Compared(desired=desired, wanted=wanted, live=live, fields=compare(live, wanted, merged))


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

    def of(self, one: _Compared) -> Iterator[Drift]:
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

    def _with_what_flux_said(self, drift: Drift, one: _Compared) -> Drift:
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
