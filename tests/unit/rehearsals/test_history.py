"""The history of a run is complete when the run ends, or the run knows that it is not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiUnreachableError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import KUSTOMIZATION, SECRET, Resource
from fluxlab.errors import WaitTimeoutError
from fluxlab.moments import Moment
from fluxlab.recorder.watching import Listed, WatchEvent
from fluxlab.rehearsals import history
from fluxlab.rehearsals.history import History, Sighting

NOW = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)


def made(resource: Resource, name: str, *, version: int) -> KubeObject:
    metadata = {"namespace": "flux-system", "name": name, "resourceVersion": str(version)}
    return KubeObject({"kind": resource.kind, "metadata": metadata})


class Watched:
    """A cluster, and what its watches have told of it."""

    def __init__(self) -> None:
        self.objects = {KUSTOMIZATION: made(KUSTOMIZATION, "shop", version=7), SECRET: made(SECRET, "token", version=8)}
        self.history = History(cast("Cluster", SimpleNamespace(name="one", api=SimpleNamespace(list=self.list))))
        for resource, subject in self.objects.items():
            self.history._news.put(Listed(cluster="one", resource=resource, objects=(subject,), version="8", time=NOW))
        self.asked = 0

    def list(self, resource: Resource) -> Sequence[KubeObject]:
        self.asked += 1
        return [self.objects[resource]]

    def change(self, *, version: int) -> KubeObject:
        self.objects[KUSTOMIZATION] = made(KUSTOMIZATION, "shop", version=version)
        return self.objects[KUSTOMIZATION]

    def hear(self, subject: KubeObject) -> None:
        self.history._news.put(
            WatchEvent(cluster="one", resource=KUSTOMIZATION, kind="MODIFIED", subject=subject, time=NOW)
        )


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(history, "CATCHING_UP_SECONDS", 0.1)
    found = Watched()
    found.history.of("Kustomization")
    return found


def test_who_has_heard_all_has_caught_up(watched: Watched) -> None:
    watched.history.catch_up()
    watched.hear(watched.change(version=9))
    watched.history.catch_up()
    assert watched.asked


def test_what_nobody_has_heard_of_yet_is_waited_for_and_told(watched: Watched) -> None:
    watched.change(version=9)
    with pytest.raises(WaitTimeoutError, match="not yet of Kustomization flux-system/shop"):
        watched.history.catch_up()


def test_where_nobody_tells_what_there_is_nobody_has_caught_up(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Resource) -> Sequence[KubeObject]:
        raise ApiUnreachableError("nobody answers")

    monkeypatch.setattr(watched.history._cluster.api, "list", fail)
    with pytest.raises(ApiUnreachableError):
        watched.history.catch_up()


@pytest.mark.parametrize(
    ("versions", "version", "seconds", "after"),
    [
        ({"one": 8}, 9, -30, True),  # the clock was set back meanwhile
        ({"one": 8}, 8, 30, False),  # it was set forward, or the watch was late
        ({"two": 8}, 9, -30, False),  # where the cluster did not answer then, the clock is all that there is
        ({"two": 8}, 8, 30, True),
    ],
)
def test_what_came_after_a_moment_is_told_by_the_clusters_own_count(
    watched: Watched, versions: dict[str, int], version: int, seconds: float, after: bool
) -> None:
    seen = Sighting(time=NOW + timedelta(seconds=seconds), subject=made(KUSTOMIZATION, "shop", version=version))
    assert watched.history.is_after(seen, Moment(time=NOW, versions=versions)) is after
