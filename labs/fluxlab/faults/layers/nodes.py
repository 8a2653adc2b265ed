"""Faults of nodes: not Ready, lost, cordoned."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar

from fluxlab.clusters.api import ignore_missing
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import NODE, POD
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Fault, FaultTypes, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.faults.means.fates import NODE_FAULT, mark, marked
from fluxlab.faults.means.workloads import STANDS_FOR, condition_of, phase, touched

UNREACHABLE, NOT_READY, CORDONED = (
    f"node.kubernetes.io/{name}" for name in ("unreachable", "not-ready", "unschedulable")
)


def taints(node: KubeObject) -> frozenset[str]:
    """The keys of a node's taints: the controller manager sets those of its conditions."""
    return frozenset(text_at(one, "key") for one in items_at(node.raw, "spec", "taints"))


def pods_on(ground: Ground, node: str) -> Sequence[KubeObject]:
    """The pods of a node."""
    return ground.api.list(POD, query={"fieldSelector": f"spec.nodeName={node}"})


class NodeFault(Fault[NoParameters]):
    """Something with one node, as the controller manager sees it."""

    layer = Layer.NODES
    needs = frozenset({Capability.STAGES})

    def candidates(self, ground: Ground) -> Sequence[str]:
        nodes = ground.api.list(NODE)
        return sorted(node.name for node in nodes if node.ready and not dig(node.raw, "spec", "unschedulable"))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        return Plan(touches=frozenset({f"object:Node {target}", *_deployments(ground, target)}))

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        node = ground.api.find(NODE, injection.target)
        if node is None:
            return "the node is not there any more"
        broken = taints(node) & {UNREACHABLE, NOT_READY, CORDONED}
        pods = pods_on(ground, injection.target)
        unwell = [pod for pod in pods if phase(pod) == "Running" and not pod.ready]
        if broken or not node.ready or unwell or _without_node(ground):
            return ""
        return f"{node} is Ready without a taint, {len(pods)} pods are on it"


class BrokenNode(NodeFault):
    """What KWOK plays with a node while it is marked."""

    ready: ClassVar[str]
    """What the node's condition says then."""
    taint: ClassVar[str]
    """What the controller manager makes of it."""

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        mark(ground.api, NODE, ground.api.get(NODE, injection.target), {NODE_FAULT: self.name})

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        node = ground.api.find(NODE, injection.target)
        ready = node.condition("Ready") if node else None
        if node is None or ready is None or ready.status != self.ready or self.taint not in taints(node):
            return ""
        return f"{node} has taint {self.taint}; {ready}"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        if node := ground.api.find(NODE, injection.target):
            mark(ground.api, NODE, node, {NODE_FAULT: None})

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        return [
            ground.typed("kubectl", "annotate", "node", injection.target, f"{NODE_FAULT}-"),
            ground.typed("kubectl", "annotate", "pods", "--all", "--all-namespaces", f"{NODE_FAULT}-"),
        ]


class NodeNotReady(BrokenNode):
    """The kubelet says so."""

    name = "node-not-ready"
    summary = "a node's kubelet says that it cannot run pods (Ready=False), and goes on saying so"
    expect = (
        "the controller manager taints the node and evicts its pods after their toleration (300 s): until then they "
        "are Ready and Flux says nothing; new pods stay Pending where no other node is, and health checks wait"
    )
    ready, taint = "False", NOT_READY


class NodeLost(BrokenNode):
    """Nobody says anything."""

    name = "node-lost"
    summary = "a node's heartbeats end: nothing is heard of it, and nothing is done on it any more"
    expect = (
        "after 50 s the controller manager declares it Unknown, taints it, marks its pods as not Ready, and evicts "
        "them after their toleration (300 s): they stay Terminating; a Kustomization with `wait` says HealthCheckFailed"
    )
    ready, taint = "Unknown", UNREACHABLE
    proof_seconds = 120.0

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        for pod in pods_on(ground, injection.target):
            mark(ground.api, POD, pod, {NODE_FAULT: self.name})
        super().inject(ground, injection)

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        super().heal(ground, injection)
        for pod in pods_on(ground, injection.target):
            if marked(pod, NODE_FAULT):
                mark(ground.api, POD, pod, {NODE_FAULT: None})


class NodeDrained(NodeFault):
    """`kubectl drain`."""

    name = "node-drained"
    summary = "a node is cordoned and its pods are evicted"
    expect = (
        "the pods are made anew elsewhere; where there is no other node they stay Pending (Unschedulable), and a "
        "Kustomization with `wait` says HealthCheckFailed; pods of Flux stay: they stand for processes of this machine"
    )

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        ground.api.merge(NODE, injection.target, {"spec": {"unschedulable": True}})
        for pod in _evictable(pods_on(ground, injection.target)):
            _evict(ground, pod)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        node = ground.api.find(NODE, injection.target)
        if node is None or CORDONED not in taints(node) or _evictable(pods_on(ground, injection.target)):
            return ""
        return f"{node} has taint {CORDONED} and no pods that could be elsewhere"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        ignore_missing(lambda: ground.api.merge(NODE, injection.target, {"spec": {"unschedulable": None}}))

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        return [ground.typed("kubectl", "uncordon", injection.target)]


def _evictable(pods: Sequence[KubeObject]) -> Sequence[KubeObject]:
    """The pods that `kubectl drain` evicts (a DaemonSet's would come back), but for those that stand for processes."""
    there = [pod for pod in pods if not marked(pod, STANDS_FOR)]
    return [pod for pod in there if "DaemonSet" not in {kind for kind, _ in _owners(pod)}]


def _evict(ground: Ground, pod: KubeObject) -> None:
    path = POD.path(namespace=pod.namespace, name=pod.name, subresource="eviction")
    metadata = {"name": pod.name, "namespace": pod.namespace}
    body: JsonObject = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    ignore_missing(lambda: ground.api.request("POST", path, body=body))


def _without_node(ground: Ground) -> Sequence[KubeObject]:
    """The pods for which the scheduler has found no node because of taints."""
    pending = ground.api.list(POD, query={"fieldSelector": "status.phase=Pending"})
    return [pod for pod in pending if "taint" in str(condition_of(pod, "PodScheduled").get("message", ""))]


def _deployments(ground: Ground, node: str) -> Iterator[str]:
    """The Deployments that have pods on a node, as other faults name them."""
    for pod in pods_on(ground, node):
        for kind, name in _owners(pod):
            if kind == "ReplicaSet":
                yield touched(f"{pod.namespace}/{name.rpartition('-')[0]}")


def _owners(pod: KubeObject) -> Iterator[tuple[str, str]]:
    for one in items_at(pod.raw, "metadata", "ownerReferences"):
        yield text_at(one, "kind"), text_at(one, "name")


FAULTS: FaultTypes = (NodeNotReady, NodeLost, NodeDrained)
