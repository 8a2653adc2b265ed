"""What looks like a fault and is none proves nothing."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, POD, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, NoParameters
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.api.admission import WEBHOOK
from fluxlab.faults.layers.links.tcp import Client, End, Exchange
from fluxlab.faults.layers.links.toxic import LinkFault
from fluxlab.faults.layers.manifests.rollouts import Unhealthy
from fluxlab.faults.means.fates import NOWHERE

DEPLOYED: JsonObject = {
    "kind": "Deployment",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"selector": {"matchLabels": {"app": "cart"}}, "template": {"metadata": {"labels": {"app": "cart"}}}},
}
CONTROLLER: JsonObject = {"kind": "Deployment", "metadata": {"name": "helm-controller", "namespace": "flux-system"}}


class Api:
    """An API server that holds what it is told, and takes no writes when it is told so."""

    def __init__(self, *there: JsonObject) -> None:
        self.there = list(there)
        self.refusal = ""

    def _of(self, resource: Resource) -> list[KubeObject]:
        return [KubeObject(one) for one in self.there if one["kind"] == resource.kind]

    def list(self, resource: Resource, **_: object) -> Sequence[KubeObject]:
        return self._of(resource)

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        return next((one for one in self._of(resource) if one.name == name), None)

    def get(self, resource: Resource, name: str, **_: object) -> KubeObject:
        found = self.find(resource, name)
        assert found
        return found

    def create(self, resource: Resource, manifest: JsonObject, **_: object) -> None:
        assert resource == CONFIG_MAP
        if self.refusal:
            raise ApiError("POST", status=500, message=self.refusal)
        self.there.append(manifest)

    def delete(self, resource: Resource, name: str, **_: object) -> None:
        self.there = [one for one in self.there if KubeObject(one).name != name or one["kind"] != resource.kind]


def ground(api: Api) -> Ground:
    class Clustered:
        def __init__(self) -> None:
            self.api = api

        def deployment(self, place: str) -> KubeObject:
            del place
            return api.list(DEPLOYMENT)[0]

        def list(self, kind: str, *, namespace: str) -> Sequence[KubeObject]:
            assert (kind, namespace) == ("configmaps", "shop")
            return api.list(CONFIG_MAP)

    unused: Any = None
    return Ground(
        cluster=cast("Cluster", Clustered()), folder=unused, control=unused, open_repository=lambda: unused, links=True
    )


def planned(fault: Fault[Any], where: Ground, target: str) -> Injection[Any]:
    parameters = fault.parameters()
    plan = fault.plan(where, target, parameters, Random(1))  # noqa: S311
    return Injection(id="x-1", target=target, parameters=parameters, undo=plan.undo)


def pod(uid: str, *, phase: str = "Running", container: Mapping[str, Json] | None = None) -> JsonObject:
    status: JsonObject = {
        "phase": phase,
        "reason": "Evicted" if phase == "Failed" else "",
        "containerStatuses": [{"ready": True, **(container or {})}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    return {"kind": POD.kind, "metadata": {"name": uid, "namespace": "shop", "uid": uid}, "status": status}


class Answering(Client):
    """A client that is always told the same."""

    exchange: Exchange

    def ask(self, *, patience_seconds: float = 0) -> Exchange:
        del patience_seconds
        return self.exchange


def answering(end: End, *, seconds: float) -> Client:
    client = Answering(provider="git", port=1)
    object.__setattr__(client, "exchange", Exchange(end=end, seconds=seconds, sent=8000, pieces=(200,)))
    return client


@pytest.mark.parametrize("name", ["link-latency", "link-bandwidth"])
@pytest.mark.parametrize("end", End)
def test_a_link_is_slow_only_when_the_whole_answer_comes_late(name: str, end: End) -> None:
    fault = CATALOGUE[name]
    assert isinstance(fault, LinkFault)
    assert bool(fault.seen(answering(end, seconds=11), fault.parameters())) is (end is End.WHOLE)
    assert not fault.seen(answering(end, seconds=0.01), fault.parameters())


def test_etcd_is_full_only_when_it_says_so() -> None:
    api, fault = Api(), CATALOGUE["etcd-no-space"]
    where, injection = ground(api), Injection(id="x-1", target="etcd", parameters=NoParameters(), undo={})
    assert not fault.injected(where, injection)
    assert api.there == []
    api.refusal = "etcdserver: request timed out"
    assert not fault.injected(where, injection)
    assert not fault.healed(where, injection), "it takes nothing for whatever reason"
    api.refusal = "etcdserver: mvcc: database space exceeded"
    assert "exceeded" in fault.injected(where, injection)


def test_pods_that_were_evicted_before_prove_nothing_and_keep_nothing_in() -> None:
    api, fault = Api(DEPLOYED, pod("old", phase="Failed"), pod("runs")), CATALOGUE["pod-failed"]
    where = ground(api)
    injection = planned(fault, where, "shop/cart")
    assert not fault.injected(where, injection)
    assert fault.healed(where, injection)
    api.there[-1] = pod("runs", phase="Failed")
    api.there.append(pod("new"))
    assert fault.injected(where, injection).startswith("1 pods are Failed")
    assert not fault.healed(where, injection)


def test_where_nothing_can_be_refused_what_would_refuse_it_has_to_be_gone() -> None:
    api, fault = Api(), CATALOGUE["webhook-dead"]
    where, injection = ground(api), Injection(id="x-1", target="shop", parameters=fault.parameters(), undo={})
    assert fault.healed(where, injection)
    api.there.append({"kind": WEBHOOK.kind, "metadata": {"name": injection.id}})
    assert not fault.healed(where, injection)
    assert not fault.injected(where, injection)


def test_a_pod_that_found_no_node_before_proves_nothing_of_a_commit() -> None:
    def waiting(uid: str, selector: JsonObject) -> JsonObject:
        told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
        return {**pod(uid, phase="Pending"), "spec": {"nodeSelector": selector}, "status": {"conditions": [told]}}

    fault, api = CATALOGUE["manifest-unhealthy"], Api(DEPLOYED, waiting("old", {"disk": "fast"}))
    assert isinstance(fault, Unhealthy)
    kustomization = KubeObject({"kind": "Kustomization", "metadata": {"name": "shop"}})
    undo: JsonObject = {"namespace": "shop", "name": "cart"}
    injection = Injection(id="x-1", target="flux-system/shop", parameters=NoParameters(), undo=undo)
    assert not fault.shows(ground(api), injection, kustomization)
    api.there.append(waiting("new", {NOWHERE: "true"}))
    assert "no node" in fault.shows(ground(api), injection, kustomization)


OOM: Mapping[str, Json] = {"lastState": {"terminated": {"reason": "OOMKilled"}}}


def test_a_pod_that_was_killed_for_its_memory_before_proves_nothing() -> None:
    api, fault = Api(CONTROLLER, pod("old", container=OOM)), CATALOGUE["controller-oom"]
    where = ground(api)
    injection = planned(fault, where, "helm-controller")
    assert not fault.injected(where, injection)
    assert fault.healed(where, injection)
    api.there.append(pod("new", container=OOM))
    assert fault.injected(where, injection)
    assert not fault.healed(where, injection)
    api.there[-1] = pod("newer")
    assert fault.healed(where, injection)


def test_an_evicted_pod_of_a_controller_is_no_instance_of_it() -> None:
    api, fault = Api(CONTROLLER, pod("runs")), CATALOGUE["controller-oom"]
    where = ground(api)
    injection = planned(fault, where, "helm-controller")
    api.there.append(pod("old", phase="Failed", container={"ready": False}))
    assert fault.healed(where, injection)
