"""Signals are bound to the object and to what came after: nothing stale and nothing of a namesake is one."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import EVENT, KUSTOMIZATION, POD
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.recorder.watching import Seen as Heard
from fluxlab.rehearsals.history import History
from fluxlab.rehearsals.sensing import Senses
from fluxlab.rehearsals.signals import ConditionSpec, EventSpec, PodsSpec, SignalSpec

BEGAN = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
AFTER = Moment(time=BEGAN, versions={"one": 100})


class Cluster1:
    """A cluster that is heard, not asked."""

    def __init__(self) -> None:
        cluster = cast("Cluster", SimpleNamespace(name="one"))
        self.history = History(cluster)
        self.senses = Senses(cast("Lab", SimpleNamespace(cluster=cluster)), self.history)

    def hear(self, resource: Any, raw: dict[str, Any], *, version: int, seconds: float = 1.0) -> None:
        raw.setdefault("metadata", {})["resourceVersion"] = str(version)
        self.history._news.put(
            Heard(
                cluster="one",
                resource=resource,
                kind="MODIFIED",
                subject=KubeObject(raw),
                time=BEGAN + timedelta(seconds=seconds),
            )
        )

    def kustomization(
        self, *, version: int, status: str, uid: str = "u1", observed: int = 2, message: str = "m"
    ) -> None:
        condition = {
            "type": "Ready",
            "status": status,
            "reason": "BuildFailed",
            "message": message,
            "observedGeneration": observed,
        }
        self.hear(
            KUSTOMIZATION,
            {
                "kind": "Kustomization",
                "metadata": {"namespace": "flux-system", "name": "shop", "uid": uid, "generation": 2},
                "status": {"conditions": [condition]},
            },
            version=version,
        )

    def event(self, *, version: int, uid: str = "u1", seconds: float = 1.0) -> None:
        about = {"kind": "Kustomization", "namespace": "flux-system", "name": "shop", "uid": uid}
        self.hear(
            EVENT,
            {"kind": "Event", "involvedObject": about, "type": "Warning", "reason": "BuildFailed", "message": "no"},
            version=version,
            seconds=seconds,
        )


NOT_READY = SignalSpec(condition=ConditionSpec(kind="Kustomization", place="flux-system/shop", status="False"))
FAILED = SignalSpec(event=EventSpec(kind="Kustomization", place="flux-system/shop", reason="BuildFailed"))


@pytest.fixture
def cluster() -> Cluster1:
    return Cluster1()


def test_a_condition_counts_that_changed_after_the_moment(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None
    cluster.kustomization(version=101, status="False", message="broken")
    seen = cluster.senses.find(NOT_READY, after=AFTER)
    assert seen
    assert "broken" in seen.words


def test_a_condition_that_was_so_before_does_not_count_when_it_is_told_again(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="False")
    cluster.kustomization(version=101, status="False")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None


def test_a_condition_of_an_older_generation_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=101, status="False", observed=1)
    assert cluster.senses.find(NOT_READY, after=AFTER) is None


def test_an_event_of_before_the_moment_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True")
    cluster.event(version=99)
    assert cluster.senses.find(FAILED, after=AFTER) is None
    cluster.event(version=102)
    assert cluster.senses.find(FAILED, after=AFTER)


def test_an_event_about_a_namesake_of_before_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True", uid="u2")
    cluster.event(version=102, uid="u1")
    assert cluster.senses.find(FAILED, after=AFTER) is None


def test_an_event_about_an_object_that_was_never_there_does_not_count(cluster: Cluster1) -> None:
    cluster.event(version=102)
    assert cluster.senses.find(FAILED, after=AFTER) is None


def test_a_pod_tells_what_it_waits_for(cluster: Cluster1) -> None:
    waiting = SignalSpec(pods=PodsSpec(namespace="shop", labels={"app": "cart"}, waiting="BackOff"))
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "cart-1", "labels": {"app": "frontend"}},
        "status": {"containerStatuses": [{"state": state}]},
    }
    cluster.hear(POD, pod, version=101)
    assert cluster.senses.find(waiting, after=AFTER) is None
    cluster.hear(POD, {**pod, "metadata": {**pod["metadata"], "labels": {"app": "cart"}}}, version=102)  # type: ignore[dict-item] # a mapping
    seen = cluster.senses.find(waiting, after=AFTER)
    assert seen
    assert "no such image" in seen.words
