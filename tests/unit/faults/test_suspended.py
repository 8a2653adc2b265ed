"""What somebody suspends while a fault is in is not the fault's: it is taken out without Flux, as far as it can be."""

import copy
import json
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.clusters.resources import DEPLOYMENT, GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION, NAMESPACE, Resource
from fluxlab.clusters.root import Root
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.controllers import mid_release
from fluxlab.faults.layers.humans.edits import EditFault
from fluxlab.faults.layers.humans.owners import Owner
from fluxlab.faults.layers.manifests import FAULTS as MANIFESTS
from fluxlab.faults.layers.manifests.commits import DeliveredFault

COMMITS = {"Fluxlab-fault": "c1", "Fluxlab-healed": "c2"}
NAME = 'k:{"name":"cart"}'
GIT: JsonObject = {
    "f:spec": {
        "f:replicas": {},
        "f:template": {"f:spec": {"f:containers": {NAME: {".": {}, "f:name": {}, "f:image": {}}}}},
    }
}
SPEC: JsonObject = {"replicas": 2, "template": {"spec": {"containers": [{"name": "cart", "image": "cart:1"}]}}}


class Api:
    """An API server with one Deployment, and with what Flux has between it and git; writers own what they write."""

    def __init__(self) -> None:
        self.suspended: set[str] = set()
        """The kinds that somebody has suspended."""
        self.applied = "c0"
        """The commit that Flux is at."""
        self.uid = 1
        self.spec: Any = copy.deepcopy(SPEC)
        self.entries: list[Any] = [self.entry("kustomize-controller", "Apply", GIT)]

    @staticmethod
    def entry(manager: str, operation: str, fields: JsonObject) -> JsonObject:
        return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": copy.deepcopy(fields)}

    # -- read --

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        if resource == DEPLOYMENT:
            return self._deployment()
        if resource not in {GIT_REPOSITORY, KUSTOMIZATION, HELM_RELEASE}:
            return None
        labels = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
        ready: JsonObject = {"type": "Ready", "status": "True", "reason": "x", "message": "y", "observedGeneration": 1}
        status: JsonObject = {
            "observedGeneration": 1,
            "lastAttemptedGeneration": 1,
            "lastAppliedRevision": f"main@sha1:{self.applied}",
            "conditions": [ready],
        }
        metadata: JsonObject = {"name": name, "namespace": "flux-system", "generation": 1, "labels": {**labels}}
        suspend: JsonObject = {"suspend": True} if resource.kind in self.suspended else {}
        return KubeObject({"kind": resource.kind, "metadata": metadata, "spec": suspend, "status": status})

    def _deployment(self) -> KubeObject | None:
        labels = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
        metadata: JsonObject = {
            "name": "cart",
            "namespace": "shop",
            "uid": str(self.uid),
            "labels": labels,
            "managedFields": copy.deepcopy(self.entries),
        }
        found: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
        return KubeObject({**found, "spec": copy.deepcopy(self.spec)}) if self.spec else None

    def get(self, resource: Resource, name: str, **_: object) -> KubeObject:
        if found := self.find(resource, name):
            return found
        raise ApiError("GET", status=404, message="not found")

    def list(self, *_: object, **__: object) -> Sequence[KubeObject]:
        return ()

    def listing(self, resource: Resource, **_: object) -> object:
        assert resource == NAMESPACE
        return SimpleNamespace(resource_version="1")

    # -- write --

    def apply(self, path: str, manifest: Any, *, field_manager: str) -> None:
        """A server-side apply with force of a number of replicas, an image, or nothing at all."""
        assert path == DEPLOYMENT.path(namespace="shop", name="cart")
        self._disown(field_manager)
        spec = manifest.get("spec", {})
        if "replicas" in spec:
            self.spec["replicas"] = spec["replicas"]
            self._own(field_manager, {"f:spec": {"f:replicas": {}}})
        if "template" in spec:
            (container,) = spec["template"]["spec"]["containers"]
            (there,) = self.spec["template"]["spec"]["containers"]
            there |= container
            self._own(field_manager, having_container({"f:" + key: {} for key in container if key != "name"}))

    def _disown(self, manager: str) -> None:
        """What only a manager has applied goes with it: here the variables of a container."""
        theirs = [one for one in self.entries if one["manager"] == manager]
        self.entries = [one for one in self.entries if one not in theirs]
        if any("f:env" in json.dumps(one) for one in theirs):
            del self.spec["template"]["spec"]["containers"][0]["env"]

    def _own(self, manager: str, fields: Any) -> None:
        for entry in self.entries:
            _without(entry["fieldsV1"], fields)
        self.entries = [one for one in self.entries if one["fieldsV1"]]
        self.entries.append(self.entry(manager, "Apply", fields))

    def edit(self, manager: str, fields: Any, **spec: Json) -> None:
        """A person changes the Deployment by another program than a server-side apply."""
        self._own(manager, fields)
        self.entries[-1]["operation"] = "Update"
        self.spec |= spec

    def create(self, resource: Resource, manifest: Any, *, field_manager: str, **_: object) -> KubeObject:
        assert resource == DEPLOYMENT
        assert not self.spec
        self.spec, self.uid = copy.deepcopy(manifest["spec"]), self.uid + 1
        self.entries = [self.entry(field_manager, "Update", GIT)]
        return self.get(DEPLOYMENT, "cart")

    def request(self, method: str, _: str, *, body: Any, **__: object) -> JsonObject:
        assert method == "PUT"
        assert body["spec"] == self.spec
        self.entries = body["metadata"]["managedFields"]
        return self.get(DEPLOYMENT, "cart").raw

    def merge(self, resource: Resource, _: str, patch: Any, **__: object) -> None:
        if patch == {"spec": {"suspend": None}}:
            self.suspended.discard(resource.kind)


def having_container(fields: Mapping[str, Any]) -> JsonObject:
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {NAME: {".": {}, "f:name": {}, **fields}}}}}}


def _without(fields: Any, taken: Any) -> None:
    """Take away what somebody else owns since, but for what only leads to it, which both may own."""
    for key, inner in taken.items():
        if key in {".", "f:name"} or key not in fields:
            continue
        _without(fields[key], inner)
        if not fields[key]:
            del fields[key]


class Git:
    """A repository that has a commit which should not have been, and the one that took it back."""

    name, branch = "fleet", "main"

    def __init__(self) -> None:
        self.commits = dict(COMMITS)

    def saying(self, words: str, **_: object) -> Sequence[str]:
        return [commit for footer, commit in self.commits.items() if words.startswith(footer)]

    def since(self, commit: str) -> frozenset[str]:
        return frozenset({commit})


def ground(api: Api, git: Git | None = None) -> Ground:
    def deployment(_: str) -> Workload:
        return Workload(api.get(DEPLOYMENT, "cart").raw)

    unused: Any = None
    repository = cast("Any", git)
    cluster = cast("Cluster", SimpleNamespace(name="c", api=api, root=Root(), deployment=deployment))
    return Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: repository, links=False)


# -- commits ---------------------------------------------------------------------------------------------------------

UNDO: Mapping[str, Json] = {
    "head": "c0",
    "file": "cart.yaml",
    "kind": "Deployment",
    "name": "cart",
    "namespace": "shop",
    "image": "cart:0",
    "selector": {},
    "template": {},
}


@pytest.mark.parametrize("kind", MANIFESTS, ids=lambda kind: str(kind.name))
def test_a_commit_that_was_taken_back_in_git_is_out_although_somebody_keeps_flux_from_applying_it(kind: Any) -> None:
    fault, api, git = CATALOGUE[kind.name], Api(), Git()
    assert isinstance(fault, DeliveredFault)
    where = ground(api, git)
    injection: Injection[Any] = Injection(
        id="manifest-1", target="flux-system/shop", parameters=fault.parameters(), undo=UNDO
    )
    assert not fault.healed(where, injection), "Flux has it still"
    for suspended in (GIT_REPOSITORY, KUSTOMIZATION, *([HELM_RELEASE] if fault.kind == HELM_RELEASE.kind else [])):
        api.suspended = {suspended.kind}
        assert suspended.kind in fault.healed(where, injection)
        assert "suspended" in fault.healed(where, injection)
    git.commits.pop("Fluxlab-healed")
    assert not fault.healed(where, injection), "git has it still"


def test_a_release_that_was_cut_off_is_out_although_somebody_keeps_flux_from_releasing_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, told in (("stopped", ""), ("find_process", "it"), ("serving", "it works")):
        monkeypatch.setattr(mid_release, name, lambda *_, told=told: told)
    fault, api, git, pending = CATALOGUE["controller-killed-mid-release"], Api(), Git(), ["a Secret"]
    monkeypatch.setattr(mid_release, "_pending", lambda *_: pending)
    where = ground(api, git)
    injection: Injection[Any] = Injection(
        id="x-1", target="flux-system/cart", parameters=fault.parameters(), undo={"head": "c0"}
    )
    assert not fault.healed(where, injection)
    api.suspended = {HELM_RELEASE.kind}
    assert HELM_RELEASE.kind in fault.healed(where, injection)
    for suspended in (GIT_REPOSITORY, KUSTOMIZATION):
        pending[:] = ["a Secret"]
        api.suspended = {suspended.kind}
        assert not fault.healed(where, injection), "helm-controller can unlock it"
        pending.clear()
        assert suspended.kind in fault.healed(where, injection)
    git.commits.pop("Fluxlab-healed")
    assert not fault.healed(where, injection), "git has it still"


# -- edits -----------------------------------------------------------------------------------------------------------


def scaled(api: Api, injection: Injection[Any]) -> None:
    api.edit("kubectl", {"f:spec": {"f:replicas": {}}}, replicas=injection.parameters.replicas)


def taken_over(api: Api, injection: Injection[Any]) -> None:
    replicas = {"replicas": injection.parameters.replicas}
    api.apply(DEPLOYMENT.path(namespace="shop", name="cart"), {"spec": replicas}, field_manager="alice")


def with_another_image(api: Api, injection: Injection[Any]) -> None:
    image: JsonObject = {"f:spec": {"f:template": {"f:spec": {"f:containers": {NAME: {"f:image": {}}}}}}}
    api.edit("kubectl-set", image)
    api.spec["template"]["spec"]["containers"][0]["image"] = f"cart:{injection.id}"


def with_a_variable(api: Api, injection: Injection[Any]) -> None:
    container = {"name": "cart", "env": [{"name": "HOTFIX", "value": injection.id}]}
    path, template = DEPLOYMENT.path(namespace="shop", name="cart"), {"spec": {"containers": [container]}}
    api.apply(path, {"spec": {"template": template}}, field_manager="alice")


def deleted(api: Api, _: Injection[Any]) -> None:
    api.spec, api.entries = None, []


EDITS = {
    "human-edit": with_another_image,
    "human-adds-field": with_a_variable,
    "human-scale": scaled,
    "human-takes-over": taken_over,
    "human-delete": deleted,
}


@pytest.fixture(autouse=True)
def _one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = SimpleNamespace(find=lambda _: DEPLOYMENT)
    monkeypatch.setattr("fluxlab.faults.layers.humans.owners.Kinds", lambda _: kinds)
    monkeypatch.setattr("fluxlab.faults.layers.humans.owners.RECONCILED_SECONDS", 0.1)  # nobody would answer


def edited(api: Api, name: str) -> tuple[EditFault[Any], Ground, Injection[Any]]:
    """A fault that is in, and that nobody has corrected: what applies the Deployment was suspended meanwhile."""
    fault, where = CATALOGUE[name], ground(api)
    assert isinstance(fault, EditFault)
    parameters = fault.parameters()
    plan = fault.plan(where, "shop/cart", parameters, Random(1))  # noqa: S311
    injection: Injection[Any] = Injection(id="human-1", target="shop/cart", parameters=parameters, undo=plan.undo)
    EDITS[name](api, injection)
    api.suspended = {KUSTOMIZATION.kind}
    return fault, where, injection


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("colleague", [False, True])
def test_a_deployment_whose_owner_somebody_has_suspended_is_given_back_directly(name: str, colleague: bool) -> None:
    api = Api()
    before, entries = copy.deepcopy(api.spec), copy.deepcopy(api.entries)
    fault, where, injection = edited(api, name)
    assert not fault.healed(where, injection)
    if colleague and api.spec:
        api.edit("carol", {"f:spec": {"f:paused": {}}}, paused=True)
        before |= {"paused": True}
        entries.append(api.entry("carol", "Update", {"f:spec": {"f:paused": {}}}))
    for _ in range(2):
        fault.heal(where, injection)
        assert api.spec == before
        assert owned(api.entries) == owned(entries)
        assert "suspended" in fault.healed(where, injection)
    assert api.suspended == {KUSTOMIZATION.kind}, "what somebody has suspended stays so"


def owned(entries: Sequence[Json]) -> Mapping[tuple[str, str], Json]:
    """Who owns what."""
    return {(text_at(one, "manager"), text_at(one, "operation")): dig(one, "fieldsV1") for one in entries}


def test_a_suspension_that_is_the_faults_own_is_no_excuse() -> None:
    api = Api()
    fault, where, injection = CATALOGUE["human-suspends-and-edits"], ground(api), cast("Any", None)
    plan = fault.plan(where, "shop/cart", fault.parameters(), Random(1))  # noqa: S311
    injection = Injection(id="human-1", target="shop/cart", parameters=fault.parameters(), undo=plan.undo)
    api.suspended = {KUSTOMIZATION.kind}
    assert not fault.healed(where, injection)
    api.suspended = set()
    assert fault.healed(where, injection)


def test_flux_is_not_waited_for_where_somebody_has_suspended_what_it_should_look_at() -> None:
    api = Api()
    api.suspended = {HELM_RELEASE.kind}
    with pytest.raises(FluxlabError, match="is suspended by somebody"):
        Owner.at(HELM_RELEASE.kind, "flux-system", "cart").reconcile(ground(api), "human-1")
