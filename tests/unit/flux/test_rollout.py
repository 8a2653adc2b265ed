"""When a workload is rolled out: the rules that `kubectl rollout status` documents."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.flux.pending import Outlook
from fluxlab.flux.rollout import rollout

Build = Callable[..., KubeObject]
DONE = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}


def why(workload: KubeObject) -> str | None:
    pending = rollout(workload)
    assert pending is None or (pending.object, pending.outlook) == (str(workload), Outlook.WAITING)
    return pending.why if pending else None


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_status_of_the_spec_before_says_nothing(build: Build, kind: str) -> None:
    workload = build(kind, "x", generation=3, observed=2, spec={"replicas": 3}, status=DONE)
    assert why(workload) == "its controller has not seen the new spec yet"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (DONE, None),
        ({}, "0 of 3 replicas updated"),
        ({**DONE, "updatedReplicas": 2}, "2 of 3 replicas updated"),
        ({**DONE, "replicas": 5}, "2 old replicas still there"),
        ({**DONE, "availableReplicas": 1}, "1 of 3 replicas available"),
        ({"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, "0 of 3 replicas available"),
    ],
)
def test_a_deployment(build: Build, status: Mapping[str, int], expected: str | None) -> None:
    assert why(build("Deployment", "x", spec={"replicas": 3}, status=status)) == expected


def test_a_deployment_without_a_number_wants_one_replica(build: Build) -> None:
    assert why(build("Deployment", "x")) == "0 of 1 replicas updated"
    one = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    assert why(build("Deployment", "x", status=one)) is None


def test_a_deployment_scaled_to_nothing_is_rolled_out(build: Build) -> None:
    assert why(build("Deployment", "x", spec={"replicas": 0})) is None


def test_a_deployment_past_its_deadline_has_failed(build: Build) -> None:
    message = 'ReplicaSet "x-1" has timed out progressing.'
    conditions = {"Progressing": ("False", "ProgressDeadlineExceeded", message)}
    pending = rollout(build("Deployment", "x", namespace="demo", conditions=conditions, spec={"replicas": 3}))
    assert pending is not None
    assert pending.outlook is Outlook.FAILED
    assert str(pending) == f"Deployment demo/x: Progressing=False ProgressDeadlineExceeded: {message}"


def test_a_deadline_of_the_spec_before_is_not_yet_a_failure(build: Build) -> None:
    conditions = {"Progressing": ("False", "ProgressDeadlineExceeded", "old")}
    assert why(build("Deployment", "x", generation=3, observed=2, conditions=conditions)) is not None


ROLLING = {"currentRevision": "x-1", "updateRevision": "x-2"}
ROLLED = {"currentRevision": "x-2", "updateRevision": "x-2"}


@pytest.mark.parametrize(
    ("strategy", "status", "expected"),
    [
        ({}, {**DONE, **ROLLED}, None),
        ({}, {**DONE, **ROLLED, "readyReplicas": 2}, "2 of 3 replicas ready"),
        ({}, ROLLED, "0 of 3 replicas ready"),
        ({"type": "RollingUpdate"}, {**DONE, **ROLLING, "updatedReplicas": 1}, "1 of 3 replicas updated"),
        ({"type": "RollingUpdate"}, {**DONE, **ROLLING, "updatedReplicas": 3}, None),
        ({"type": "OnDelete"}, {**DONE, **ROLLING, "updatedReplicas": 0}, None),
        ({"rollingUpdate": {"partition": 2}}, {**DONE, **ROLLING, "updatedReplicas": 0}, "0 of 1 replicas updated"),
        ({"rollingUpdate": {"partition": 2}}, {**DONE, **ROLLING, "updatedReplicas": 1}, None),
        ({"rollingUpdate": {"partition": 7}}, {**DONE, **ROLLING, "updatedReplicas": 0}, None),
    ],
)
def test_a_stateful_set(
    build: Build, strategy: Mapping[str, Any], status: Mapping[str, Any], expected: str | None
) -> None:
    assert why(build("StatefulSet", "x", spec={"replicas": 3, "updateStrategy": strategy}, status=status)) == expected


@pytest.mark.parametrize(
    ("strategy", "updated", "available", "expected"),
    [
        ({}, 3, 3, None),
        ({}, 2, 3, "2 updated and 3 available of 3"),
        ({}, 3, 1, "3 updated and 1 available of 3"),
        ({"type": "OnDelete"}, 0, 3, None),
        ({"type": "OnDelete"}, 0, 2, "0 updated and 2 available of 3"),
    ],
)
def test_a_daemon_set(
    build: Build, strategy: Mapping[str, str], updated: int, available: int, expected: str | None
) -> None:
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available}
    assert why(build("DaemonSet", "x", spec={"updateStrategy": strategy}, status=status)) == expected


def test_a_daemon_set_without_nodes_is_rolled_out(build: Build) -> None:
    assert why(build("DaemonSet", "x", status={"desiredNumberScheduled": 0})) is None
