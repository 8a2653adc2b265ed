"""Edits of a Deployment that show, and what people change of it meanwhile: neither taken away nor in the way."""

from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT, KUSTOMIZATION, Resource
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.humans.edits import EditFault
from fluxlab.faults.layers.humans.owners import Owner
from fluxlab.faults.means.originals import original

FLUX: JsonObject = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": {"f:spec": {}}}
EDITS = ("human-edit", "human-scale", "human-suspends-and-edits", "human-delete")
APPLIES = ("human-adds-field", "human-takes-over")


def entry(manager: str, operation: str) -> JsonObject:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": {"f:annotations": {"f:x": {}}}}}


class Api:
    """An API server with one Deployment, as git wants it, and what applies it."""

    def __init__(self) -> None:
        self.entries: list[Json] = [FLUX]
        self.more: JsonObject = {}
        """What else its metadata have."""
        self.disowned: list[str] = []
        self.replicas = 2

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject:
        if resource == KUSTOMIZATION:
            return KubeObject({"kind": resource.kind, "metadata": {"name": name, "namespace": "flux-system"}})
        metadata: JsonObject = {"name": "cart", "namespace": "shop", "uid": "1", "managedFields": [*self.entries]}
        metadata = {**metadata, **self.more}
        containers: list[Json] = [{"name": "cart", "image": "cart:1"}]
        spec: JsonObject = {"replicas": self.replicas, "template": {"spec": {"containers": containers}}}
        return KubeObject({"apiVersion": "apps/v1", "kind": DEPLOYMENT.kind, "metadata": metadata, "spec": spec})

    def get(self, resource: Resource, name: str, **_: object) -> KubeObject:
        return self.find(resource, name)

    def list(self, resource: Resource, **_: object) -> Sequence[KubeObject]:
        return [self.find(resource, "cart")] if resource == DEPLOYMENT else []

    def listing(self, *_: object, **__: object) -> object:
        return SimpleNamespace(resource_version="1")

    def apply(self, _: str, manifest: JsonObject, *, field_manager: str) -> None:
        assert "spec" not in manifest
        self.disowned.append(field_manager)
        self.entries = [one for one in self.entries if cast("Any", one)["manager"] != field_manager]

    def request(self, method: str, _: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        self.entries = body["metadata"]["managedFields"]
        return {}

    def managers(self) -> Sequence[str]:
        return [cast("Any", one)["manager"] for one in self.entries]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(Owner, "reconcile", lambda *_: None)
    monkeypatch.setattr(Owner, "merge", lambda *_: None)
    monkeypatch.setattr(
        "fluxlab.faults.layers.humans.owners.Kinds", lambda _: SimpleNamespace(find=lambda _: DEPLOYMENT)
    )
    return Api()


def broken(api: Api, name: str) -> tuple[EditFault[Any], Ground, Injection[Any]]:
    """A fault that is in, as far as git has not corrected it."""
    fault, unused = CATALOGUE[name], cast("Any", None)
    assert isinstance(fault, EditFault)
    cluster = cast("Cluster", SimpleNamespace(api=api, deployment=lambda _: Workload(api.find(DEPLOYMENT, "cart").raw)))
    ground = Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)
    before = api.find(DEPLOYMENT, "cart")
    undo: dict[str, Json] = {
        "original": original(before),
        "owner": Owner.at(KUSTOMIZATION.kind, "flux-system", "shop").note(),
        "managers": [],
        "replicas": 2,
        "image": "cart:1",
        "number": {"value": 2, "owners": [FLUX]},
    }
    injection: Injection[Any] = Injection(id="human-1", target="shop/cart", parameters=fault.parameters(), undo=undo)
    return fault, ground, injection


@pytest.mark.parametrize("name", [*EDITS, *APPLIES])
@pytest.mark.parametrize(("manager", "operation"), [("carol", "Apply"), ("kubectl-annotate", "Update")])
def test_what_a_colleague_sets_meanwhile_stays_and_stays_theirs(
    api: Api, name: str, manager: str, operation: str
) -> None:
    fault, ground, injection = broken(api, name)
    api.entries.append(entry(manager, operation))
    fault.heal(ground, injection)
    assert manager not in api.disowned
    assert api.managers() == ["kustomize-controller", manager]
    assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", APPLIES)
def test_what_the_person_has_applied_is_taken_away(api: Api, name: str) -> None:
    fault, ground, injection = broken(api, name)
    api.entries += [entry("alice", "Apply"), entry("carol", "Apply")]
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert api.disowned == ["alice"]
    assert api.managers() == ["kustomize-controller", "carol"]
    assert fault.healed(ground, injection)


def test_what_the_person_had_applied_before_stays(api: Api) -> None:
    api.entries.append(entry("alice", "Apply"))
    fault, ground, injection = broken(api, "human-adds-field")
    injection.undo["managers"].append("alice")  # type: ignore[union-attr] # the record's
    fault.heal(ground, injection)
    assert api.disowned == []
    assert fault.healed(ground, injection)


def test_who_has_corrected_it_owns_what_they_owned(api: Api) -> None:
    fault, ground, injection = broken(api, "human-edit")
    api.entries = [{**FLUX, "fieldsV1": {"f:spec": {"f:replicas": {}}}}, entry("carol", "Apply")]
    fault.heal(ground, injection)
    assert api.entries == [FLUX, entry("carol", "Apply")]


@pytest.mark.parametrize("name", ["human-scale", "human-takes-over"])
def test_the_number_of_replicas_that_is_there_already_is_refused(api: Api, name: str) -> None:
    fault, ground, _ = broken(api, name)
    there = ground.cluster.deployment("shop/cart").replicas
    for replicas in (there + 1, there, 0):
        parameters = fault.parameters.model_validate({"replicas": replicas})
        if replicas != there:
            assert fault.plan(ground, "shop/cart", parameters, Random(1)).undo  # noqa: S311
            continue
        with pytest.raises(UsageError, match=f"has {there} replicas already"):
            fault.plan(ground, "shop/cart", parameters, Random(1))  # noqa: S311


def test_a_deployment_on_its_way_out_is_deleted(api: Api) -> None:
    fault, ground, injection = broken(api, "human-delete")
    api.more = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}
    assert not fault.healed(ground, injection)
    api.more = {}
    assert fault.healed(ground, injection)


def test_a_deployment_that_cannot_go_is_no_target_of_a_deletion(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxlab.faults.layers.humans.edits.managed_deployments", lambda _: ["shop/cart"])
    fault, ground, _ = broken(api, "human-delete")
    assert fault.candidates(ground) == ["shop/cart"]
    api.more = {"finalizers": ["x/y"]}
    assert fault.candidates(ground) == []
    assert CATALOGUE["human-edit"].candidates(ground) == ["shop/cart"]


@pytest.mark.parametrize(
    ("wanted", "kept", "seen"),
    [(5, (5, 0), "keep 5 pods"), (5, (2, 3), "keep 5 pods"), (5, (2, 0), ""), (5, (), ""), (2, (2, 3), "")],
)
def test_a_number_of_which_no_event_tells_is_seen_in_what_the_replica_sets_keep(
    api: Api, monkeypatch: pytest.MonkeyPatch, wanted: int, kept: Sequence[int], seen: str
) -> None:
    owned: JsonObject = {"namespace": "shop", "name": "cart-1", "ownerReferences": [{"uid": "1"}]}
    sets = [KubeObject({"kind": "ReplicaSet", "metadata": owned, "spec": {"replicas": one}}) for one in kept]
    monkeypatch.setattr(api, "list", lambda resource, **_: sets if resource.kind == "ReplicaSet" else [])
    fault, ground, injection = broken(api, "human-scale")
    api.replicas = wanted
    injection.undo.update(uid="1", version="1")  # type: ignore[attr-defined] # the record's
    assert seen in fault.injected(ground, injection)
    assert bool(fault.injected(ground, injection)) == bool(seen)
