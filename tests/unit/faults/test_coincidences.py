"""What looks like a fault and is none proves nothing, nor does what looks like its end."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, POD, Resource
from fluxlab.clusters.root import Root
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.base import Fault, Ground, Injection, NoParameters
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.api.admission import WEBHOOK
from fluxlab.faults.layers.links.tcp import Client, End, Exchange
from fluxlab.faults.layers.links.toxic import LinkFault
from fluxlab.faults.layers.manifests.rollouts import Unhealthy
from fluxlab.faults.layers.pods.fated import PodFault
from fluxlab.faults.means.fates import BINDING, NOWHERE, POLICY

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


def ground(api: Api, repository: Any = None) -> Ground:
    class Clustered:
        root = Root()

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
        cluster=cast("Cluster", Clustered()),
        folder=unused,
        control=unused,
        open_repository=lambda: repository,
        links=True,
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


def answering(end: End, *, seconds: float, pieces: Sequence[int] = (200,)) -> Client:
    client = Answering(provider="git", port=1)
    object.__setattr__(client, "exchange", Exchange(end=end, seconds=seconds, sent=8000, pieces=tuple(pieces)))
    return client


@pytest.mark.parametrize("name", ["link-latency", "link-bandwidth"])
@pytest.mark.parametrize("end", End)
def test_a_link_is_slow_only_when_the_whole_answer_comes_late(name: str, end: End) -> None:
    fault = CATALOGUE[name]
    assert isinstance(fault, LinkFault)
    assert bool(fault.seen(answering(end, seconds=11), fault.parameters())) is (end is End.WHOLE)
    assert not fault.seen(answering(end, seconds=0.01), fault.parameters())


@pytest.mark.parametrize("pieces", [(40, 40, 80, 40), (200,), (120, 80)])
def test_slices_that_come_close_together_are_slices_still(
    monkeypatch: pytest.MonkeyPatch, pieces: Sequence[int]
) -> None:
    fault, clients = CATALOGUE["link-slices"], list[Client]()
    monkeypatch.setattr("fluxlab.faults.layers.links.toxic._client", lambda *_: clients[-1])
    parameters = fault.parameters.model_validate({"slice_bytes": 40, "delay_milliseconds": 10})
    injection: Injection[Any] = Injection(id="x-1", target="a-to-git", parameters=parameters, undo={})
    where = ground(Api())
    clients.append(answering(End.WHOLE, seconds=0.041, pieces=pieces))  # four pauses of 10 ms
    assert not fault.healed(where, injection)
    clients.append(answering(End.WHOLE, seconds=0.004, pieces=pieces))
    assert fault.healed(where, injection)
    clients.append(answering(End.CLOSED, seconds=0.004, pieces=pieces))
    assert not fault.healed(where, injection)


def test_an_answer_that_is_no_longer_than_a_slice_keeps_nothing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    fault, client = CATALOGUE["link-slices"], answering(End.WHOLE, seconds=1, pieces=(30,))
    monkeypatch.setattr("fluxlab.faults.layers.links.toxic._client", lambda *_: client)
    injection: Injection[Any] = Injection(id="x-1", target="a-to-git", parameters=fault.parameters(), undo={})
    assert fault.healed(ground(Api()), injection)


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


FATED = ("pod-crash-loop", "pod-image-pull", "pod-pending", "pod-never-ready", "pod-slow-start", "pod-failed")


@pytest.mark.parametrize("name", FATED)
@pytest.mark.parametrize("there", [(DEPLOYED,), (DEPLOYED, pod("runs")), ()], ids=["no pods", "pods", "no Deployment"])
def test_pods_have_their_fate_as_long_as_new_ones_would_have_it(name: str, there: Sequence[JsonObject]) -> None:
    api, fault = Api(DEPLOYED), CATALOGUE[name]
    where = ground(api)
    injection = planned(fault, where, "shop/cart")
    assert isinstance(fault, PodFault)
    api.there = [*there]
    assert fault.healed(where, injection)
    for made in reversed(fault.fate(injection).manifests()):
        api.there = [*there, made]
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


class Reverted:
    """A repository in which the fault's commit was reverted by the next one."""

    def saying(self, words: str, **_: object) -> Sequence[str]:
        return ["c2" if "healed" in words else "c1"]

    def since(self, commit: str) -> frozenset[str]:
        return frozenset({commit})


APPLIED: JsonObject = {
    "kind": "Kustomization",
    "metadata": {"name": "shop", "namespace": "flux-system"},
    "status": {"lastAppliedRevision": "main@sha1:c2", "conditions": [{"type": "Ready", "status": "True"}]},
}
UNDO: JsonObject = {
    "head": "c0",
    "namespace": "shop",
    "name": "cart",
    "image": "cart:missing",
    "selector": {},
    "template": {},
}


@pytest.mark.parametrize(
    ("name", "asking"),
    [
        ("manifest-unhealthy", {"nodeSelector": {NOWHERE: "true"}}),
        ("manifest-bad-image", {"containers": [{"name": "cart", "image": "cart:missing"}]}),
    ],
)
def test_a_revert_that_leaves_a_deployment_asking_for_what_is_not_there_heals_nothing(
    name: str, asking: JsonObject
) -> None:
    def deployed(spec: JsonObject) -> JsonObject:
        return {**DEPLOYED, "spec": {"template": {"spec": spec}}}

    fault, api = CATALOGUE[name], Api(deployed(asking), APPLIED)
    where = ground(api, Reverted())
    injection = Injection(id="x-1", target="flux-system/shop", parameters=NoParameters(), undo=UNDO)
    assert not fault.healed(where, injection), "without a health check its Kustomization is Ready"
    api.there = [deployed({"containers": [{"name": "cart", "image": "cart:1"}]}), APPLIED]
    assert fault.healed(where, injection)


def test_an_image_is_missing_as_long_as_new_pods_are_told_so() -> None:
    fault, api = CATALOGUE["manifest-bad-image"], Api(DEPLOYED, APPLIED)
    where = ground(api, Reverted())
    injection = Injection(id="x-1", target="flux-system/shop", parameters=NoParameters(), undo=UNDO)
    assert fault.healed(where, injection)
    for kind in (POLICY.kind, BINDING.kind):
        api.there = [DEPLOYED, APPLIED, {"kind": kind, "metadata": {"name": f"fluxlab-{injection.id}"}}]
        assert not fault.healed(where, injection)


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
