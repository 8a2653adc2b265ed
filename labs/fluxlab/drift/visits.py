"""When helm-controller looked at each HelmRelease last: its status does not say, its log does."""

from collections.abc import Mapping
from datetime import datetime

from fluxlab.errors import UsageError
from fluxlab.timeline.entries import ObjectRef
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.query import Query, ask_logs

_IN_SYNC = "release in-sync with desired state"
"""The last thing that it logs of each successful reconcile (internal/reconcile/atomic_release.go): then it sleeps."""


def last_visits(folder: TimelineFolder, *, cluster: str) -> Mapping[ObjectRef, datetime]:
    """When each HelmRelease was last found, or made, as it should be; none of which no log says so."""
    try:
        lines = ask_logs(folder, Query(), component=f"{cluster}/helm-controller")
    except UsageError:
        return {}  # not every backend has its log
    said = [line.entry for line in lines]  # in order of time
    return {entry.object: entry.time for entry in said if entry.object and entry.text == _IN_SYNC}
