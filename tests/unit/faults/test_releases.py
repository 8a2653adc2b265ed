"""Releases that Helm's command line had to do with before a fault took it to them: what it had stays its own."""

import copy
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, HELM_RELEASE, SECRET, Resource
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Fault, Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.humans.owners import Owner

KEPT = ("human-helm-rollback", "human-deletes-release-secret")
"""Those after which the objects are the same ones."""
FLUX: JsonObject = {"f:spec": {"f:replicas": {}}}
THEIRS: JsonObject = {"f:spec": {"f:paused": {}}}
"""What somebody has set by Helm's command line."""


def entry(manager: str, operation: str, fields: JsonObject) -> JsonObject:
    return {"manager": manager, "operation": operation, "fieldsV1": copy.deepcopy(fields)}


class Api:
    """An API server with a release of one Deployment and one ConfigMap."""

    def __init__(self) -> None:
        self.uid = 1
        self.spec: dict[str, Any] = {"replicas": 1}
        self.entries: dict[str, list[Any]] = {
            kind.kind: [entry("helm-controller", "Apply", FLUX)] for kind in (DEPLOYMENT, CONFIG_MAP)
        }

    def resources(self) -> Sequence[Resource]:
        return (DEPLOYMENT, CONFIG_MAP)

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject:
        metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": f"{resource.kind}-{self.uid}"}
        if resource == HELM_RELEASE:
            ready = {"type": "Ready", "status": "True"}
            entries = [{"id": "shop_cart_apps_Deployment"}, {"id": "shop_cart__ConfigMap"}]
            last = {"name": "cart", "namespace": "shop", "version": 3}
            status: Any = {"history": [last], "inventory": {"entries": entries}, "conditions": [ready]}
            return KubeObject({"kind": resource.kind, "metadata": metadata, "status": status})
        if resource in {DEPLOYMENT, CONFIG_MAP}:
            metadata |= {"managedFields": copy.deepcopy(self.entries[resource.kind])}
        content: JsonObject = {"spec": copy.deepcopy(self.spec)} if resource == DEPLOYMENT else {"data": {"a": "1"}}
        made = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}
        return KubeObject(made)

    get = find

    def list(self, *_: object, **__: object) -> Sequence[KubeObject]:
        return ()

    def apply(self, path: str, manifest: Any, *, field_manager: str) -> None:
        """Whoever applies nothing gives up all that they have applied, and what only they wanted goes."""
        assert manifest.keys() == {"apiVersion", "kind", "metadata"}
        given_up = entry(field_manager, "Apply", {})
        for kind in (DEPLOYMENT, CONFIG_MAP):
            if path == kind.path(namespace="shop", name="cart"):
                kept = [one for one in self.entries[kind.kind] if {**one, "fieldsV1": {}} != given_up]
                self.entries[kind.kind] = kept
                if kind == DEPLOYMENT and not any("f:paused" in one["fieldsV1"]["f:spec"] for one in kept):
                    self.spec.pop("paused", None)

    def request(self, method: str, path: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        assert path in {kind.path(namespace="shop", name="cart") for kind in (DEPLOYMENT, CONFIG_MAP)}
        self.entries[body["kind"]] = body["metadata"]["managedFields"]
        return cast("JsonObject", body)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(Owner, "reconcile", lambda *_: None)
    deployed = [{"revision": 3, "status": "deployed"}]
    monkeypatch.setattr("fluxlab.faults.layers.humans.releases.revisions", lambda *_: deployed)
    return api


def planned(api: Api, name: str) -> tuple[Fault[Any], Ground, Injection[Any]]:
    fault, unused = CATALOGUE[name], cast("Any", None)
    cluster = cast("Cluster", SimpleNamespace(api=api, helm_release=lambda _: api.find(HELM_RELEASE, "cart")))
    ground = Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)
    plan = fault.plan(ground, "flux-system/cart", fault.parameters(), Random(1))  # noqa: S311
    assert api.get(SECRET, "x").name
    undo = {**plan.undo}
    return fault, ground, Injection(id="human-1", target="flux-system/cart", parameters=fault.parameters(), undo=undo)


@pytest.mark.parametrize("name", [*KEPT, "human-helm-uninstall"])
@pytest.mark.parametrize("operation", ["Update", "Apply"])
@pytest.mark.parametrize("rolled_back", [False, True])
def test_what_helm_had_before_is_neither_taken_away_nor_in_the_way(
    api: Api, name: str, operation: str, rolled_back: bool
) -> None:
    api.spec["paused"] = True
    api.entries[DEPLOYMENT.kind].append(entry("helm", operation, THEIRS))
    before, spec = copy.deepcopy(api.entries), copy.deepcopy(api.spec)
    fault, ground, injection = planned(api, name)
    if rolled_back:  # a rollback makes what Helm had set what it has applied
        api.entries = {kind: [one for one in known if one["manager"] != "helm"] for kind, known in before.items()}
        api.entries[DEPLOYMENT.kind].append(entry("helm", "Apply", {"f:spec": {"f:paused": {}, "f:replicas": {}}}))
        api.entries[CONFIG_MAP.kind].append(entry("helm", "Apply", FLUX))
        assert not fault.healed(ground, injection), "the ConfigMap was not Helm's"
    for _ in range(2):
        fault.heal(ground, injection)
        assert (api.spec, api.entries) == (spec, before)
        assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", KEPT)
def test_of_an_object_that_is_made_anew_nothing_was_helms(api: Api, name: str) -> None:
    api.entries[DEPLOYMENT.kind].append(entry("helm", "Apply", FLUX))
    fault, ground, injection = planned(api, name)
    api.uid += 1
    assert not fault.healed(ground, injection)
    fault.heal(ground, injection)
    assert api.entries[DEPLOYMENT.kind] == [entry("helm-controller", "Apply", FLUX)]
    assert fault.healed(ground, injection)


def test_what_a_colleague_sets_meanwhile_beside_what_helm_had_stays_theirs(api: Api) -> None:
    api.entries[DEPLOYMENT.kind].append(entry("helm", "Update", FLUX))
    fault, ground, injection = planned(api, "human-helm-rollback")
    api.entries[DEPLOYMENT.kind][-1] = entry("helm", "Apply", FLUX)
    api.entries[DEPLOYMENT.kind].append(entry("carol", "Update", THEIRS))
    fault.heal(ground, injection)
    assert {(one["manager"], one["operation"]) for one in api.entries[DEPLOYMENT.kind]} == {
        *{("helm-controller", "Apply"), ("helm", "Update"), ("carol", "Update")}
    }
    assert fault.healed(ground, injection)
