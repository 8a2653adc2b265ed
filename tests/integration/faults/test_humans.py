"""Faults of people: what kubectl and the audit log tell of them, and that nothing of them is left."""

import gzip
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import suspend

from fluxlab.documents import JsonObject
from fluxlab.lab import Lab

FRONTEND, CART = "shop/frontend", "shop/cart"


def _deployment(observer: Observer, name: str) -> Any:
    return observer.get("deployment", name, "-n", "shop", "--show-managed-fields")


def _managers(thing: Any) -> set[str]:
    return {name for name, _ in _entries(thing)}


def _entries(thing: Any) -> list[tuple[str, str]]:
    found = [one for one in thing["metadata"]["managedFields"] if one.get("subresource") != "status"]
    return [(one["manager"], one["operation"]) for one in found]


def _did(lab: Lab, who: str, verb: str) -> list[Any]:
    """What the API server itself has noted of a person."""
    log = lab.folder.cluster(lab.cluster.name) / "audit.log"
    entries = [json.loads(line) for line in log.read_text().splitlines() if f'"{who}"' in line]
    return [one for one in entries if one["verb"] == verb and one.get("impersonatedUser", {}).get("username") == who]


def _is_as_git_wants(lab: Lab, observer: Observer, name: str) -> None:
    def whole() -> bool:
        found = _deployment(observer, name)
        return bool(found["status"].get("availableReplicas") == found["spec"]["replicas"] == _REPLICAS[name])

    lab.wait_until(whole, what=f"{name} has its replicas")
    found = _deployment(observer, name)
    container = found["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == f"registry.shop.example/{name}:1.0.0"
    assert "env" not in container
    assert _entries(found) == [({"frontend": "kustomize-controller", "cart": "helm-controller"}[name], "Apply")]
    lab.drift().assert_clean()
    for kind, owner in (("kustomization", "shop"), ("helmrelease", "cart")):
        one = observer.get(kind, owner, "-n", "flux-system", "--show-managed-fields")
        assert not one["spec"].get("suspend")
        assert not [key for key in one["metadata"].get("annotations", {}) if "reconcile.fluxcd.io" in key]
        assert not _managers(one) & {"fluxlab", "flux", "kubectl-patch"}


_REPLICAS = {"frontend": 2, "cart": 1}


@pytest.mark.parametrize("place", [FRONTEND, CART])
def test_an_edit_reaches_the_pods_and_is_undone(shop: Lab, observer: Observer, place: str) -> None:
    name = place.partition("/")[2]
    who = f"editor-of-{name}"
    with shop.fault("human-edit", target=place, for_=120, who=who) as record:
        images = [
            one["spec"]["template"]["spec"]["containers"][0]["image"]
            for one in observer.get("replicasets", "-n", "shop")["items"]
        ]
        assert f"registry.shop.example/{name}:{record.id}" in images
        assert [one["objectRef"]["name"] for one in _did(shop, who, "patch")] == [name]
    _is_as_git_wants(shop, observer, name)


@pytest.mark.parametrize("place", [FRONTEND, CART])
def test_an_added_field_stays_until_it_is_taken_away(shop: Lab, observer: Observer, place: str) -> None:
    name = place.partition("/")[2]
    kind = {"frontend": "kustomization/shop", "cart": "helmrelease/cart"}[name]
    with shop.fault("human-adds-field", target=place, for_=120, who="adder") as record:
        observer.kubectl(
            "annotate", "-n", "flux-system", kind, f"reconcile.fluxcd.io/requestedAt={record.id}", "--overwrite"
        )
        words = ("get", "-n", "flux-system", kind, "-o", "jsonpath={.status.lastHandledReconcileAt}")
        shop.wait_until(lambda: observer.kubectl(*words) == record.id, what="Flux has looked")
        observer.kubectl("annotate", "-n", "flux-system", kind, "reconcile.fluxcd.io/requestedAt-")
        assert "adder" in _managers(_deployment(observer, name))
        env = _deployment(observer, name)["spec"]["template"]["spec"]["containers"][0]["env"]
        assert [one["value"] for one in env] == [record.id]
    _is_as_git_wants(shop, observer, name)


@pytest.mark.parametrize("fault", ["human-scale", "human-takes-over"])
@pytest.mark.parametrize("place", [FRONTEND, CART])
def test_another_number_of_replicas_is_undone(shop: Lab, observer: Observer, fault: str, place: str) -> None:
    name = place.partition("/")[2]
    with shop.fault(fault, target=place, for_=120, replicas=7):
        events = observer.get("events", "-n", "shop", "--field-selector=reason=ScalingReplicaSet")["items"]
        assert any(one["message"].endswith("to 7") and one["involvedObject"]["name"] == name for one in events)
    _is_as_git_wants(shop, observer, name)


@pytest.fixture
def undeclared(shop: Lab, observer: Observer) -> Iterator[str]:
    """A Deployment of which git does not say how many pods it has, and somebody does: three."""
    labels = {"app": "worker"}
    containers = [{"name": "worker", "image": "registry.shop.example/worker:1.0.0"}]
    template: JsonObject = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    manifest: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "worker", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    file = "clusters/flux-playground/worker.yaml"
    shop.repository.write(file, manifest)
    shop.repository.commit("Add a worker")
    shop.converge()
    observer.kubectl("scale", "-n", "shop", "deployment/worker", "--replicas=3")
    shop.converge()
    yield "shop/worker"
    shop.repository.delete(file)
    shop.repository.commit("Remove the worker")
    shop.converge()


@pytest.mark.parametrize("fault", ["human-scale", "human-takes-over"])
def test_a_number_of_replicas_that_git_does_not_have_is_given_back(
    shop: Lab, observer: Observer, undeclared: str, fault: str
) -> None:
    def fields() -> list[str]:
        found = _deployment(observer, "worker")["metadata"]["managedFields"]
        owned = [
            (one["manager"], one["operation"], one["fieldsV1"]) for one in found if "f:status" not in one["fieldsV1"]
        ]
        return sorted(map(str, owned))

    before = fields()
    with shop.fault(fault, target=undeclared, for_=120, replicas=7):
        assert _deployment(observer, "worker")["spec"]["replicas"] == 7
    assert _deployment(observer, "worker")["spec"]["replicas"] == 3
    assert fields() == before


@pytest.mark.parametrize("place", [FRONTEND, CART])
def test_a_deleted_deployment_is_made_anew(shop: Lab, observer: Observer, place: str) -> None:
    name = place.partition("/")[2]
    before = _deployment(observer, name)["metadata"]["uid"]
    with shop.fault("human-delete", target=place, for_=120):
        found = observer.kubectl(
            "get", "deployment", name, "-n", "shop", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}"
        )
        assert found != before
    _is_as_git_wants(shop, observer, name)
    assert _deployment(observer, name)["metadata"]["uid"] != before


def test_a_new_object_is_left_alone_until_it_is_healed(shop: Lab, observer: Observer) -> None:
    before = set(observer.kubectl("get", "deployments,pods", "-n", "shop", "-o", "name").split())
    with shop.fault("human-new-object", target="shop", for_=120, who="maker"):
        there = set(observer.kubectl("get", "deployments,pods", "-n", "shop", "-o", "name").split())
        assert len(there - before) == 2
        assert _did(shop, "maker", "create")
    assert set(observer.kubectl("get", "deployments,pods", "-n", "shop", "-o", "name").split()) == before


@pytest.mark.parametrize("place", [FRONTEND, CART])
def test_what_is_suspended_and_edited_stays_so_until_it_is_healed(shop: Lab, observer: Observer, place: str) -> None:
    name = place.partition("/")[2]
    kind = {"frontend": "kustomization/shop", "cart": "helmrelease/cart"}[name]
    with shop.fault("human-suspends-and-edits", target=place, for_=120) as record:
        assert observer.kubectl("get", "-n", "flux-system", kind, "-o", "jsonpath={.spec.suspend}") == "true"
        image = _deployment(observer, name)["spec"]["template"]["spec"]["containers"][0]["image"]
        assert image.endswith(record.id)
    _is_as_git_wants(shop, observer, name)


@pytest.mark.parametrize("place", [FRONTEND, CART])
@pytest.mark.parametrize("fault", ["human-edit", "human-adds-field", "human-scale", "human-takes-over", "human-delete"])
def test_an_edit_is_undone_although_somebody_has_suspended_what_would_correct_it(
    shop: Lab, observer: Observer, fault: str, place: str
) -> None:
    name = place.partition("/")[2]
    kind = {"frontend": "kustomization", "cart": "helmrelease"}[name]
    owner = {"frontend": "shop", "cart": "cart"}[name]

    try:
        with shop.fault(fault, target=place, for_=120):
            suspend(observer, kind, owner, "true")
        assert observer.get(kind, owner, "-n", "flux-system")["spec"]["suspend"]
        found = _deployment(observer, name)
        assert found["spec"]["replicas"] == _REPLICAS[name]
        container = found["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"registry.shop.example/{name}:1.0.0"
        assert "env" not in container
        assert _entries(found) == [({"frontend": "kustomize-controller", "cart": "helm-controller"}[name], "Apply")]
    finally:
        suspend(observer, kind, owner, "null")
    shop.converge()
    _is_as_git_wants(shop, observer, name)


@pytest.fixture
def by_helm(shop: Lab, observer: Observer) -> Iterator[str]:
    """A Deployment of a release of which Helm's command line has set something once, client-side."""
    words = ("annotate", "deployment", "cart", "-n", "shop", "--field-manager=helm")
    observer.kubectl(*words, "example.org/by=hand")
    yield "cart"
    observer.kubectl(*words, "example.org/by-")
    _is_as_git_wants(shop, observer, "cart")


def test_what_helm_had_before_stays_its_own(shop: Lab, observer: Observer, by_helm: str) -> None:
    before = _entries(_deployment(observer, by_helm))
    assert ("helm", "Update") in before
    with shop.fault("human-deletes-release-secret", target="flux-system/cart", for_=120):
        pass
    found = _deployment(observer, by_helm)
    assert sorted(_entries(found)) == sorted(before)
    assert found["metadata"]["annotations"]["example.org/by"] == "hand"


@pytest.mark.parametrize("fault", ["human-helm-rollback", "human-helm-uninstall", "human-deletes-release-secret"])
def test_what_was_done_with_helm_is_undone(shop: Lab, observer: Observer, fault: str) -> None:
    def kept() -> dict[str, str]:
        found = observer.get("secrets", "-n", "shop", "-l", "owner=helm,name=cart")["items"]
        return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}

    before = kept()
    with shop.fault(fault, target="flux-system/cart", for_=120):
        assert kept() != before
    newest = observer.get("helmrelease", "cart", "-n", "flux-system")["status"]["history"][0]
    assert f"sh.helm.release.v1.cart.v{newest['version']}" in kept()
    assert newest["status"] == "deployed"
    _is_as_git_wants(shop, observer, "cart")


def _being_uninstalled(secret: Any) -> str:
    """What Helm has made of its Secret when an uninstallation is cut off."""
    kept = json.loads(gzip.decompress(b64decode(b64decode(secret["data"]["release"]))))
    kept["info"]["status"] = "uninstalling"
    secret["data"]["release"] = b64encode(b64encode(gzip.compress(json.dumps(kept).encode()))).decode()
    known = secret["metadata"]
    secret["metadata"] = {key: known[key] for key in ("name", "namespace", "labels")}
    secret["metadata"]["labels"]["status"] = "uninstalling"
    return json.dumps(secret)


def test_an_uninstallation_that_was_cut_off_is_finished_and_undone(shop: Lab, observer: Observer) -> None:
    newest = observer.get("helmrelease", "cart", "-n", "flux-system")["status"]["history"][0]
    secret = observer.get("secret", f"sh.helm.release.v1.cart.v{newest['version']}", "-n", "shop")
    with shop.fault("human-helm-uninstall", target="flux-system/cart", for_=120):
        observer.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=_being_uninstalled(secret))
    newest = observer.get("helmrelease", "cart", "-n", "flux-system")["status"]["history"][0]
    assert newest["status"] == "deployed"
    there = observer.get("secrets", "-n", "shop", "-l", "owner=helm,name=cart")["items"]
    assert "uninstalling" not in {one["metadata"]["labels"]["status"] for one in there}
    _is_as_git_wants(shop, observer, "cart")
