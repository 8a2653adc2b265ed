"""Faults of pods: what kubectl shows of them, of what was there and what is made meanwhile, and what is left."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.conftest import Observer

from fluxlab.clusters.api import ApiError
from fluxlab.clusters.capabilities import Capability
from fluxlab.errors import UsageError
from fluxlab.lab import Lab

FRONTEND = "shop/frontend"


def _pods(observer: Observer, app: str = "frontend") -> Sequence[Any]:
    found = observer.get("pods", "-n", "shop", "-l", f"app={app}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _waiting(observer: Observer) -> set[str]:
    statuses = [status for pod in _pods(observer) for status in pod["status"].get("containerStatuses", [])]
    return {status["state"].get("waiting", {}).get("reason", "") for status in statuses}


def _available(observer: Observer, app: str = "frontend") -> int:
    status = observer.get("deployment", app, "-n", "shop")["status"]
    return int(status.get("availableReplicas", 0))


def _uids(observer: Observer) -> set[str]:
    return {pod["metadata"]["uid"] for pod in _pods(observer)}


def _await_whole(shop: Lab, observer: Observer) -> None:
    """The Deployment has its two pods, which carry nothing, and no policy is left."""
    shop.wait_until(lambda: _available(observer) == 2 and len(_pods(observer)) == 2, what="two pods are available")
    marks = [name for pod in _pods(observer) for name in pod["metadata"].get("annotations", {})]
    assert set(marks) <= {"fluxlab.dev/simulated"}
    kinds = "mutatingadmissionpolicies,mutatingadmissionpolicybindings"
    assert not observer.kubectl("get", kinds, "-o", "name")


def test_a_fault_ends_in_a_namespace_that_lets_no_more_pods_in(shop: Lab, observer: Observer) -> None:
    try:
        with shop.fault("pod-never-ready", target=FRONTEND, for_=120):
            observer.kubectl("create", "quota", "full", "--hard=pods=0", "-n", "shop")
        with pytest.raises(ApiError, match="exceeded quota"), shop.fault("pod-never-ready", target=FRONTEND):
            raise AssertionError("no new pod could have it")
        assert shop.faults.active() == []
    finally:
        observer.kubectl("delete", "quota", "full", "-n", "shop", "--ignore-not-found")
    _await_whole(shop, observer)


def test_pods_are_marked_where_only_such_pods_are_let_in(shop: Lab, observer: Observer) -> None:
    shop.cluster.flux("suspend", "kustomization", "shop")  # or it would take the requests away
    observer.kubectl("create", "quota", "requests", "--hard=requests.memory=100Gi", "-n", "shop")
    try:
        requests = "--requests=memory=1Mi"
        observer.kubectl("set", "resources", "deployment/frontend", "-n", "shop", requests)
        with shop.fault("pod-crash-loop", target=FRONTEND, for_=120):
            assert "CrashLoopBackOff" in _waiting(observer)
    finally:
        observer.kubectl("delete", "quota", "requests", "-n", "shop")
        shop.cluster.flux("resume", "kustomization", "shop")
    _await_whole(shop, observer)


def test_a_crash_loop_restarts_what_is_there_and_what_comes(shop: Lab, observer: Observer) -> None:
    def restarts() -> list[int]:
        return [status["restartCount"] for pod in _pods(observer) for status in pod["status"]["containerStatuses"]]

    before = _uids(observer)
    with shop.fault("pod-crash-loop", target=FRONTEND, for_=120):
        assert _waiting(observer) == {"CrashLoopBackOff"}
        assert _uids(observer) == before
        assert _available(observer) == 0
        first = max(restarts())
        shop.wait_until(lambda: min(restarts()) > first, what="each is started again")
        observer.kubectl("delete", "pod", "-n", "shop", _pods(observer)[0]["metadata"]["name"])
        shop.wait_until(
            lambda: (
                len(_pods(observer)) == 2 and _uids(observer) != before and _waiting(observer) == {"CrashLoopBackOff"}
            ),
            what="the new pod crashes, too",
        )
        assert _available(observer, "cart") == 1
    _await_whole(shop, observer)
    assert max(restarts()) > first, "the same pods run again"


def test_an_image_that_cannot_be_pulled_keeps_new_pods_pending(shop: Lab, observer: Observer) -> None:
    before = _uids(observer)
    with shop.fault("pod-image-pull", target=FRONTEND, for_=120):
        assert _waiting(observer) == {"ImagePullBackOff"}
        assert {pod["status"]["phase"] for pod in _pods(observer)} == {"Pending"}
        message = _pods(observer)[0]["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
        assert "registry.shop.example/frontend:1.0.0" in message
        pulling = _uids(observer)
        assert not pulling & before
    _await_whole(shop, observer)
    assert _uids(observer) == pulling, "once the image is there the same pods start"


def test_the_scheduler_finds_no_node(shop: Lab, observer: Observer) -> None:
    with shop.fault("pod-pending", target=FRONTEND, for_=120):
        shop.wait_until(lambda: len(_pods(observer)) == 2, what="both are made anew")
        scheduled = [
            condition
            for pod in _pods(observer)
            for condition in pod["status"]["conditions"]
            if condition["type"] == "PodScheduled"
        ]
        assert {condition["reason"] for condition in scheduled} == {"Unschedulable"}
        assert {condition["status"] for condition in scheduled} == {"False"}
    _await_whole(shop, observer)


def test_pods_that_never_get_ready_run(shop: Lab, observer: Observer) -> None:
    before = _uids(observer)
    with shop.fault("pod-never-ready", target=FRONTEND, for_=120):
        assert {pod["status"]["phase"] for pod in _pods(observer)} == {"Running"}
        assert _available(observer) == 0
        endpoints = observer.get("endpointslices", "-n", "shop", "-l", "kubernetes.io/service-name=frontend")["items"]
        conditions = [one["conditions"]["ready"] for slice_ in endpoints for one in slice_["endpoints"] or []]
        assert not any(conditions)
    _await_whole(shop, observer)
    assert _uids(observer) == before


def test_a_slow_start_ends_by_itself(shop: Lab, observer: Observer) -> None:
    with shop.fault("pod-slow-start", target=FRONTEND, for_=120, delay_seconds=30):
        assert _waiting(observer) == {"ContainerCreating"}
        assert _available(observer) == 0
        shop.wait_until(lambda: _available(observer) == 2, what="they have started", timeout_seconds=60)
    _await_whole(shop, observer)


def test_a_slow_start_that_is_healed_is_over_at_once(shop: Lab, observer: Observer) -> None:
    with shop.fault("pod-slow-start", target=FRONTEND, for_=120, delay_seconds=600):
        assert _waiting(observer) == {"ContainerCreating"}
    _await_whole(shop, observer)


def test_failed_pods_are_replaced_by_others_that_fail(shop: Lab, observer: Observer) -> None:
    def failed() -> list[str]:
        return [pod["status"].get("reason", "") for pod in _pods(observer) if pod["status"]["phase"] == "Failed"]

    with shop.fault("pod-failed", target=FRONTEND, for_=120, run_seconds=2):
        assert set(failed()) == {"Evicted"}
        shop.wait_until(lambda: len(failed()) > 2, what="the new ones fail, too")
    _await_whole(shop, observer)
    assert not failed()


def test_deleted_pods_are_made_anew(shop: Lab, observer: Observer) -> None:
    before = _uids(observer)
    with shop.fault("pod-deleted", target=FRONTEND, for_=120):
        assert not _uids(observer) & before
    _await_whole(shop, observer)


def test_two_faults_of_one_deployment_exclude_each_other(shop: Lab, observer: Observer) -> None:
    with shop.fault("pod-never-ready", target=FRONTEND, for_=120):
        with pytest.raises(UsageError, match="excludes"):
            shop.faults.inject("pod-crash-loop", cluster=shop.cluster.name, target=FRONTEND)
        assert _waiting(observer) == {""}
    _await_whole(shop, observer)


def test_flux_itself_is_no_target(shop: Lab) -> None:
    assert not shop.cluster.lacks(Capability.STAGES)
    with pytest.raises(UsageError, match="no target"):
        shop.faults.inject("pod-deleted", cluster=shop.cluster.name, target="flux-system/source-controller")
