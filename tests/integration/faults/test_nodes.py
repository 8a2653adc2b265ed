"""Faults of nodes: what the controller manager and the scheduler make of them, told by kubectl."""

from collections.abc import Iterator
from typing import Any

from tests.integration.conftest import Observer

from fluxlab.lab import Lab

NODE = "flux-playground-node-0"


def _node(observer: Observer) -> Any:
    return observer.get("node", NODE)


def _taints(observer: Observer) -> set[str]:
    return {taint["key"] for taint in _node(observer)["spec"].get("taints", [])}


def _ready(thing: Any) -> tuple[str, str]:
    (found,) = (one for one in thing["status"]["conditions"] if one["type"] == "Ready")
    return found["status"], found.get("reason", "")


def _pods(observer: Observer, namespace: str = "shop") -> Iterator[Any]:
    yield from observer.get("pods", "-n", namespace)["items"]


def _await_whole(shop: Lab, observer: Observer) -> None:
    def whole() -> bool:
        pods = [*_pods(observer), *_pods(observer, "flux-system")]
        ready = [pod for pod in pods if pod["status"]["phase"] == "Running" and _ready(pod)[0] == "True"]
        return not _taints(observer) and _ready(_node(observer))[0] == "True" and len(ready) == len(pods) == 7

    shop.wait_until(whole, what="the node and all its pods are Ready")
    marked = [_node(observer), *_pods(observer)]
    assert not any("fluxlab.dev/node-fault" in one["metadata"].get("annotations", {}) for one in marked)


def test_a_node_that_is_not_ready_takes_no_new_pods(shop: Lab, observer: Observer) -> None:
    with shop.fault("node-not-ready", target=NODE, for_=120):
        assert _ready(_node(observer)) == ("False", "KubeletNotReady")
        assert "node.kubernetes.io/not-ready" in _taints(observer)
        name = next(_pods(observer))["metadata"]["name"]
        observer.kubectl("delete", "pod", "-n", "shop", name)
        shop.wait_until(lambda: len(list(_pods(observer))) == 3, what="another is made")
        shop.never(lambda: not _unplaced(observer), what="it finds a node", for_seconds=3)
        assert _ready(_node(observer)) == ("False", "KubeletNotReady")
    _await_whole(shop, observer)


def _unplaced(observer: Observer) -> int:
    return [pod["spec"].get("nodeName") for pod in _pods(observer)].count(None)


def test_a_lost_node_is_missed_and_its_pods_stay_terminating(shop: Lab, observer: Observer) -> None:
    with shop.fault("node-lost", target=NODE, for_=300):
        assert _ready(_node(observer)) == ("Unknown", "NodeStatusUnknown")
        assert "node.kubernetes.io/unreachable" in _taints(observer)
        shop.wait_until(lambda: {_ready(pod)[0] for pod in _pods(observer)} == {"False"}, what="its pods are not Ready")
        name = next(_pods(observer))["metadata"]["name"]
        observer.kubectl("delete", "pod", "-n", "shop", name, "--wait=false")
        shop.never(
            lambda: not observer.kubectl("get", "pod", "-n", "shop", name, "--ignore-not-found", "-o", "name"),
            what="somebody on the node ends a pod",
            for_seconds=2,
        )
    _await_whole(shop, observer)
    assert not observer.kubectl("get", "pod", "-n", "shop", name, "--ignore-not-found", "-o", "name")


def test_a_drained_node_leaves_its_pods_pending(shop: Lab, observer: Observer) -> None:
    before = {pod["metadata"]["uid"] for pod in _pods(observer)}
    with shop.fault("node-drained", target=NODE, for_=120):
        assert "node.kubernetes.io/unschedulable" in _taints(observer)
        shop.wait_until(lambda: len(list(_pods(observer))) == 3, what="all are made anew")
        assert not {pod["metadata"]["uid"] for pod in _pods(observer)} & before
        assert {pod["spec"].get("nodeName") for pod in _pods(observer)} == {None}
        assert {pod["spec"].get("nodeName") for pod in _pods(observer, "flux-system")} == {NODE}
    _await_whole(shop, observer)
    assert "unschedulable" not in _node(observer)["spec"]
