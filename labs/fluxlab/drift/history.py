"""Ask the timeline for edits by hand of what git should own, once or as they happen."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fluxlab.timeline.audit import audit_files
from fluxlab.timeline.entries import Source
from fluxlab.timeline.folder import RECORDER, TimelineFolder
from fluxlab.timeline.journal import segments_of
from fluxlab.timeline.query import Query, ask

from .edits import Edit, edits

LOOK_SECONDS = 0.05
_OWNERS = ("Kustomization", "HelmRelease")


def history(folder: TimelineFolder, *, cluster: str = "", since: datetime | None = None) -> Sequence[Edit]:
    """The edits of what git should own, in order of time: also those that were reverted since.

    What nobody owns is told by a report; what was done while nobody recorded has no user, and only a report has it.
    """
    told = edits(ask(folder, Query(sources=frozenset({Source.OBJECT, Source.EVENT}), cluster=cluster)))
    return [edit for edit in told if _is_gits(edit) and (since is None or (edit.actor.time or since) >= since)]


def follow(folder: TimelineFolder, *, cluster: str = "", since: datetime | None = None) -> Iterator[Edit]:
    """Each edit from a moment on (default: now) when it is seen, and once more when it has come to an end; for ever."""
    return _follow(folder, cluster=cluster, since=since or datetime.now(UTC))  # now, not when the first is asked for


def _follow(folder: TimelineFolder, *, cluster: str, since: datetime) -> Iterator[Edit]:
    told: dict[tuple[str, ...], bool] = {}
    state: object = None
    while True:
        if state == (state := _written(folder)):
            time.sleep(LOOK_SECONDS)  # files have no event to wait for
            continue
        for edit in history(folder, cluster=cluster, since=since):
            key, ended = (edit.cluster, str(edit.object), edit.field, edit.version), edit.ending is not None
            if told.get(key) in {None, not ended}:
                told[key] = ended
                yield edit


def _is_gits(edit: Edit) -> bool:
    return bool(edit.owner) or edit.object.kind in _OWNERS  # the root Kustomization has no owner but git


def _written(folder: TimelineFolder) -> list[tuple[Path, int]]:
    """How far the files have come that tell of changes and of who made them."""
    audits = (file for cluster in folder.clusters for file in audit_files(folder.lab.cluster(cluster)))
    return [(file, _size(file)) for file in (*segments_of(folder.journal(RECORDER)), *audits)]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0  # the oldest goes, and a log is rotated
