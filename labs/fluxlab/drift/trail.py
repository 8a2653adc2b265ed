"""The audit trail: edits by hand of what git should own or knows nothing of, asked for once or as they happen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.resources import UNRECORDED, UNRECORDED_GROUPS
from fluxlab.clusters.root import Root
from fluxlab.errors import UnknownError, WaitTimeoutError
from fluxlab.timeline.audit import OWN_AGENT, audit_files, is_person, read_audit
from fluxlab.timeline.entries import Detail, Entry, Source, format_time
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.following import whenever_written
from fluxlab.timeline.journal import segments_of
from fluxlab.timeline.query import Journals, Query, ask
from fluxlab.waiting import wait_until

from .actors import actor_of
from .aspects import DriftClass
from .edits import Edit, edits

LOOK_SECONDS = 0.05
ROTATION_SECONDS = 1.0
_REPORT = "fluxlab drift tells what differs now"
_OWNERS = ("Kustomization", "HelmRelease")


def trail(folder: TimelineFolder, *, cluster: str = "", since: datetime | None = None) -> Sequence[Edit]:
    """The edits of what git should own, in order of time: also those that were reverted since; and what people made
    beside it, in the same namespaces. Of what is not recorded (`UNRECORDED`) only that somebody changed it: unknown.

    What was done while nobody recorded has no user, and only a report has it.
    Raises UnknownError where an audit log, which alone tells people from programs, does not reach back so far, and
    where the recorder missed what happened.
    """
    entries = _entries(folder)
    seen = [one for one in entries if one.source is Source.OBJECT and Detail.GAP not in one.details]
    for name in _chosen(folder, cluster):
        began = next((entry.time for entry in seen if entry.cluster == name), None)
        _check_audit(folder, name, since=max(began, since or began) if began else None)
        _check_recorder(entries, name, since=since, kept_since=since)
    return _told(folder, entries, since, cluster)


def follow(folder: TimelineFolder, *, cluster: str = "", since: datetime | None = None) -> Iterator[Edit]:
    """Each edit from a moment on (default: now) when it is seen, and once more when it has come to an end; for ever.

    Raises UnknownError as `trail` does, also in the end when an audit log goes meanwhile.
    """
    begin = since or datetime.now(UTC)  # now, not when the first is asked for
    trail(folder, cluster=cluster, since=begin)
    return _follow(folder, cluster=cluster, since=begin)


def _follow(folder: TimelineFolder, *, cluster: str, since: datetime) -> Iterator[Edit]:
    told: dict[tuple[str, ...], bool] = {}
    journals = Journals(folder)
    looked = datetime.now(UTC)
    for _ in whenever_written(partial(_files, folder), every_seconds=LOOK_SECONDS):
        entries = _entries(folder, journals)
        for name in _chosen(folder, cluster):  # what has been told already may go
            _check_audit(folder, name, since=looked)
            _check_recorder(entries, name, since=since, kept_since=looked)
        looked = datetime.now(UTC)
        for edit in _told(folder, entries, since, cluster):
            key, ended = (edit.cluster, str(edit.object), edit.field, edit.version), edit.ending is not None
            if told.get(key) in {None, not ended}:
                told[key] = ended
                yield edit


def _chosen(folder: TimelineFolder, cluster: str) -> Sequence[str]:
    return [cluster] if cluster else folder.clusters


def _entries(folder: TimelineFolder, journals: Journals | None = None) -> Sequence[Entry]:
    """Of all clusters: from which one an alert comes, only the events of all tell."""
    sources = frozenset({Source.OBJECT, Source.EVENT, Source.ALERT, Source.RECORDER})
    return ask(folder, Query(sources=sources), journals=journals)


def _told(folder: TimelineFolder, entries: Sequence[Entry], since: datetime | None, cluster: str) -> Sequence[Edit]:
    recorded = (edit for edit in edits(entries) if _is_gits(edit) and edit.cluster == (cluster or edit.cluster))
    found = [edit for edit in recorded if since is None or (edit.actor.time or since) >= since]
    for name in _chosen(folder, cluster):
        found += _unrecorded(folder, name, since)
    return sorted(found, key=lambda edit: edit.actor.time.timestamp() if edit.actor.time else 0)


def _unrecorded(folder: TimelineFolder, cluster: str, since: datetime | None) -> Iterator[Edit]:
    """Requests by which people may have changed what nobody records: only the audit log knows of them."""
    place = folder.lab.cluster(cluster)
    for request in read_audit(place, cluster=cluster, since=since, writes_only=True):
        details = request.details
        if request.object and _changes_unrecorded(details) and is_person(details.get(Detail.USER, "")):
            client = details.get(Detail.MANAGER) or details.get(Detail.USER_AGENT, "").partition("/")[0]
            asked = {**details, Detail.REQUEST: details[Detail.VERB]}
            actor = actor_of(replace(request, actor=f"{request.actor} with {client}", details=asked))
            yield Edit(
                cluster=cluster,
                object=request.object,
                class_=DriftClass.UNKNOWN,
                owner="",
                actor=replace(actor, seen=None),
                version=actor.audit_id,
            )


def _changes_unrecorded(request: Mapping[str, str]) -> bool:
    """Whether a request has changed an object that was there, of a kind that is not recorded."""
    group = request.get(Detail.URI, "").removeprefix("/apis/").partition("/")[0]
    unrecorded = request.get(Detail.RESOURCE, "") in UNRECORDED or group in UNRECORDED_GROUPS
    done = request.get(Detail.STATUS) == f"{HTTPStatus.OK:d}" and Detail.DRY_RUN not in request
    ours = request.get(Detail.USER_AGENT) == OWN_AGENT or request.get(Detail.SUBRESOURCE) == "status"
    return unrecorded and done and not ours


def _check_audit(folder: TimelineFolder, cluster: str, *, since: datetime | None) -> None:
    """Raise UnknownError unless a cluster's audit log has all requests since a moment."""
    place = folder.lab.cluster(cluster)
    newest = audit_files(place)[-1]
    lacks = Root.of(place).lacks(Capability.AUDIT)
    first = None if lacks else next(read_audit(place, cluster=cluster), None)
    if first is None or not _is_there(newest):
        why = lacks or f"there is no audit log {newest}"
        raise UnknownError(f"edits by hand in cluster {cluster} cannot be told", facts=[why], hint=_REPORT)
    if since and first.time > since:
        raise _known_since(cluster, first.time, why="what its audit log had before was rotated away")


def _check_recorder(
    entries: Sequence[Entry], cluster: str, *, since: datetime | None, kept_since: datetime | None
) -> None:
    """Raise UnknownError if something in a cluster was missed after `since`, or rotated away after `kept_since`."""
    for note in reversed(entries):
        missed = note.source is Source.RECORDER and Detail.GAP in note.details and note.cluster in {cluster, ""}
        begin = since if note.cluster else kept_since  # a journal is that of all clusters
        if missed and note.part == RECORDER and (begin is None or note.time > begin):
            raise _known_since(cluster, note.time, why=note.text)


def _known_since(cluster: str, begins: datetime, *, why: str) -> UnknownError:
    moment = format_time(begins)
    what = f"edits by hand in cluster {cluster} can be told since {moment} only"
    return UnknownError(what, facts=[why], hint=f"fluxlab drift --since {moment}; {_REPORT}")


def _is_there(file: Path) -> bool:
    try:  # while it is rotated there is none for a moment
        return wait_until(file.exists, what=str(file), timeout_seconds=ROTATION_SECONDS)
    except WaitTimeoutError:
        return False


def _is_gits(edit: Edit) -> bool:
    # The root Kustomization has no owner but git.
    return bool(edit.owner) or edit.object.kind in _OWNERS or edit.class_ is DriftClass.ORPHAN


def _files(folder: TimelineFolder) -> Iterator[Path]:
    """The files that tell of changes and of who made them."""
    yield from segments_of(folder.journal(RECORDER))
    for cluster in folder.clusters:
        yield from audit_files(folder.lab.cluster(cluster))
