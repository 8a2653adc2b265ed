"""What Flux hides: it is Ready and says nothing, and the report tells what is so."""

import base64
import json
from datetime import UTC, datetime

import pytest
import trustme
from tests.integration.drift_actors import merged
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    SSA,
    chart,
    config_map,
    deployment,
    kustomization,
    namespace,
    patch,
    release,
    told,
)

from fluxlab.cluster import Cluster
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass, Mark
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

KUSTOMIZATIONS = ("shielded", "shared", "asleep", "broken", "kept")
RELEASES = ("left", "followed")


@pytest.fixture(scope="module")
def lab(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with an owner for each test, as git wants it."""
    module_lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "everything"), url=CHARTS)
    repository = module_lab.repository
    owners = [kustomization(name) for name in KUSTOMIZATIONS]
    releases = [release(name, [config_map(name)], mode="enabled") for name in RELEASES]
    ruled = release("ruled", [config_map("ruled")], mode="enabled")
    detection: JsonObject = {"mode": "enabled", "ignore": [{"paths": ["/data/size"], "target": {"name": "ruled"}}]}
    releases.append(merged(ruled, {"spec": {"driftDetection": detection}}))
    repository.write(ROOT, [namespace("shop"), SOURCE, *owners, *releases])
    for name in KUSTOMIZATIONS:
        repository.write(f"{name}/all.yaml", config_map(name))
    module_lab.converge(repository.commit("Open the shop"))
    module_lab.drift().assert_clean()
    return module_lab


def colour(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("get", "configmap", name, "-n", "shop", "-o", "jsonpath={.data.colour}")


def ready(cluster: Cluster, name: str) -> str:
    words = ("get", "kustomizations.kustomize.toolkit.fluxcd.io", name, "-n", "flux-system")
    return cluster.kubectl(*words, '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}')


def test_an_object_that_exempts_itself(lab: Lab) -> None:
    exempt: JsonObject = {"metadata": {"annotations": {SSA: "Ignore"}}, "data": {"colour": "blue"}}
    lab.cluster.kubectl(*patch("shielded", exempt))
    lab.cluster.flux("reconcile", "kustomization", "shielded")
    assert (ready(lab.cluster, "shielded"), colour(lab.cluster, "shielded")) == ("True", "blue")
    edited, exempted = sorted(told(lab, "shielded"), key=lambda one: one.pointer)
    assert (edited.class_, edited.pointer, edited.flux_said) == (DriftClass.MODIFIED, "/data/colour", "")
    assert edited.fate.reverted is False
    assert f"{SSA}: Ignore only on the live object" in edited.fate.why
    assert set(edited.marks) == {Mark.SELF_EXEMPT, Mark.UNDETECTABLE}
    assert (exempted.class_, exempted.pointer) == (
        DriftClass.ADDED,
        "/metadata/annotations/kustomize.toolkit.fluxcd.io~1ssa",
    )


def test_what_a_correction_leaves_behind_when_git_drops_it(lab: Lab) -> None:
    lab.cluster.kubectl(*patch("left", {"data": {"colour": "blue"}}))
    lab.cluster.flux("reconcile", "helmrelease", "left", "-n", "shop")
    assert colour(lab.cluster, "left") == "red"
    assert told(lab, "left") == []

    without: JsonObject = {**config_map("left"), "data": {"size": "1"}}
    lab.repository.patch(ROOT, {"spec": {"values": {"objects": [without]}}}, kind="HelmRelease", name="left")
    lab.converge(lab.repository.commit("Drop the colour"))
    assert colour(lab.cluster, "left") == "red"  # helm-controller took the field over, and forgot it
    [one] = told(lab, "left")
    assert (one.class_, one.pointer, one.live) == (DriftClass.ADDED, "/data/colour", '"red"')
    assert "helm-controller" in one.actor.who
    assert one.flux_said.startswith("DriftCorrected: ")  # before git dropped it, and nothing since
    assert one.fate.reverted is False
    assert set(one.marks) == {Mark.UNDETECTABLE, Mark.LEFT_BEHIND}


def test_what_flux_was_told_not_to_prune(lab: Lab) -> None:
    keep = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/prune": "disabled"}}}
    lab.repository.patch("kept/all.yaml", keep)
    lab.converge(lab.repository.commit("Keep it whatever git says"))
    assert told(lab, "kept") == []
    lab.repository.write("kept/all.yaml", config_map("in-its-place"))
    lab.converge(lab.repository.commit("Put another in its place"))
    assert (ready(lab.cluster, "kept"), colour(lab.cluster, "kept")) == ("True", "red")
    [one] = told(lab, "kept")
    assert (one.class_, one.flux_said, one.fate.reverted) == (DriftClass.ORPHAN, "", False)
    lab.cluster.kubectl("delete", "configmap", "kept", "-n", "shop")
    assert told(lab, "kept") == []


def follow(lab: Lab, name: str, *documents: JsonObject, **spec: Json) -> str:
    """Have git want objects by a Kustomization of their own, whose file this is."""
    place = f"clusters/flux-playground/{name}.yaml"
    lab.repository.write(place, kustomization(name, **spec))
    lab.repository.write(f"{name}/all.yaml", documents)
    lab.converge(lab.repository.commit(f"Follow {name}"))
    return place


@pytest.mark.verify
def test_what_a_kustomization_that_is_gone_left_behind(lab: Lab) -> None:
    place = follow(lab, "leaving", config_map("leaving"), deletionPolicy="Orphan")
    assert told(lab, "leaving") == []
    lab.repository.delete(place)
    lab.converge(lab.repository.commit("Take it out"))
    lab.wait_until(lambda: lab.cluster.find("Kustomization", "flux-system/leaving") is None, what="it is gone")
    assert colour(lab.cluster, "leaving") == "red"
    [one] = told(lab, "leaving")
    assert (one.class_, one.flux_said, one.fate.reverted) == (DriftClass.ORPHAN, "", False)
    assert one.fate.why.startswith("Kustomization flux-system/leaving left it behind and is gone")
    lab.cluster.kubectl("delete", "configmap", "leaving", "-n", "shop")
    assert told(lab, "leaving") == []


@pytest.mark.verify
def test_a_field_that_is_misspelt(lab: Lab) -> None:
    place = "/spec/replica"
    follow(lab, "misspelt", merged(deployment("misspelt", replicas=1), {"spec": {"replica": 3}}))
    assert ready(lab.cluster, "misspelt") == "True"
    [one] = told(lab, "misspelt")
    assert (one.class_, one.pointer, one.desired, one.live) == (DriftClass.REMOVED, place, "3", None)
    assert set(one.marks) == {Mark.UNDETECTABLE}
    assert "Deployment has no such field" in one.fate.why
    lab.repository.write("misspelt/all.yaml", deployment("misspelt", replicas=1))
    lab.converge(lab.repository.commit("Spell it"))
    assert told(lab, "misspelt") == []


@pytest.mark.verify
def test_a_definition_whose_authority_others_fill_in(lab: Lab) -> None:
    name = "gadgets.example.org"
    version: Json = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    client: JsonObject = {"service": {"namespace": "shop", "name": "hook"}, "caBundle": "Cg=="}
    conversion: JsonObject = {
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client},
    }
    definition: JsonObject = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Gadget", "plural": "gadgets"},
            "scope": "Namespaced",
            "versions": [version],
            "conversion": conversion,
        },
    }
    follow(lab, "definition", definition)
    assert ready(lab.cluster, "definition") == "True"
    report = lab.drift()
    assert [one for one in report.drifts if one.object.name == name] == []
    assert [one for one in report.unknown if one.object and one.object.name == name] == []
    bundle = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    injected: JsonObject = {"spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}}
    lab.cluster.kubectl(*patch(name, injected, kind="crd"), "--field-manager=cainjector")
    [one] = told(lab, name)
    assert (one.class_, one.pointer) == (DriftClass.ADDED, "/spec/conversion/webhook/clientConfig/caBundle")
    assert one.fate.reverted is False
    lab.cluster.flux("reconcile", "kustomization", "definition")
    assert [each.live for each in told(lab, name)] == [one.live]


@pytest.mark.verify
def test_what_waits_for_its_finalizers_and_a_finalizer_that_is_gone(lab: Lab) -> None:
    hold = "example.org/hold"
    follow(lab, "going", merged(config_map("going"), {"metadata": {"finalizers": [hold]}}))
    place = ("configmap", "going", "-n", "shop")

    def finalizers() -> str:
        return lab.cluster.kubectl("get", *place, "-o", "jsonpath={.metadata.finalizers}", "--ignore-not-found")

    lab.cluster.kubectl(*patch("going", {"metadata": {"finalizers": None}}))
    [one] = told(lab, "going")
    assert (one.class_, one.pointer, one.fate.reverted) == (DriftClass.REMOVED, "/metadata/finalizers", False)
    assert set(one.marks) == {Mark.UNDETECTABLE}
    lab.cluster.flux("reconcile", "kustomization", "going")
    assert finalizers() == ""
    lab.cluster.kubectl(*patch("going", {"data": {"colour": "blue"}}))
    assert [each.fate.reverted for each in told(lab, "going")] == [True, True]
    lab.cluster.flux("reconcile", "kustomization", "going")
    assert (hold in finalizers(), colour(lab.cluster, "going")) == (True, "red")

    lab.cluster.kubectl("delete", *place, "--wait=false", *AS_ALICE)
    lab.cluster.flux("reconcile", "kustomization", "going")
    report = lab.drift()
    assert report.exit_code == 1
    [gone] = [one for one in report.drifts if one.object.name == "going"]
    assert (gone.class_, gone.pointer, gone.actor.user) == (DriftClass.DELETED, "", "admin as alice")
    assert (gone.fate.reverted, gone.fate.within) == (True, None)
    assert f"it is being deleted and waits for {hold}" in gone.fate.why
    lab.cluster.kubectl(*patch("going", {"metadata": {"finalizers": None}}))
    lab.cluster.flux("reconcile", "kustomization", "going")
    assert (hold in finalizers(), told(lab, "going")) == (True, [])


@pytest.mark.verify
def test_what_flux_takes_over_as_a_tenant_s_service_account_flux_has_taken_over(lab: Lab) -> None:
    account: JsonObject = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "tenant", "namespace": "flux-system"},
    }
    binding: JsonObject = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "tenant"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "tenant", "namespace": "flux-system"}],
    }
    follow(lab, "tenancy", account, binding)
    began = datetime.now(UTC)
    literal = "--from-literal=colour=blue"
    lab.cluster.kubectl("create", "configmap", "rented", "-n", "shop", literal, *AS_ALICE)
    lab.wait_until(lambda: told(lab, "rented"), what="it is an orphan")
    follow(lab, "rented", config_map("rented"), serviceAccountName="tenant")

    def fortunes() -> list[str]:
        return [one.fortune for one in lab.edits(since=began) if one.object.name == "rented" and one.ending]

    lab.wait_until(fortunes, what="the timeline has that it was taken over")
    assert fortunes()[0].startswith("taken over by kustomize-controller after ")


def test_what_a_rule_of_a_release_leaves_to_others(lab: Lab) -> None:
    lab.cluster.kubectl(*patch("ruled", {"data": {"size": "9", "colour": "blue"}}))
    report = lab.drift()
    [ruled] = [one for one in report.ignored if one.object.name == "ruled"]
    assert (ruled.class_, ruled.pointer, ruled.live) == (DriftClass.MODIFIED, "/data/size", '"9"')
    assert (ruled.marks, ruled.actor.user) == ((Mark.IGNORED,), "admin as alice")
    [edited] = [one for one in report.drifts if one.object.name == "ruled"]
    assert (edited.pointer, edited.fate.reverted) == ("/data/colour", True)
    lab.cluster.flux("reconcile", "helmrelease", "ruled", "-n", "shop")
    lab.wait_until(lambda: colour(lab.cluster, "ruled") == "red", what="what no rule names is corrected")
    rest = lab.drift()
    assert [one.pointer for one in rest.drifts if one.object.name == "ruled"] == []
    assert [(one.pointer, one.live) for one in rest.ignored if one.object.name == "ruled"] == [("/data/size", '"9"')]


@pytest.mark.verify
def test_what_two_own_outlives_git(lab: Lab) -> None:
    same = json.dumps({**config_map("shared"), "data": {"colour": "red"}})
    lab.cluster.kubectl("apply", "--server-side", "--field-manager=node-fetch", "-f", "-", *AS_ALICE, stdin=same)
    assert told(lab, "shared") == []
    lab.repository.patch("shared/all.yaml", {"data": {"colour": None}})
    lab.converge(lab.repository.commit("Drop the colour of what two own"))
    assert (ready(lab.cluster, "shared"), colour(lab.cluster, "shared")) == ("True", "red")
    [one] = told(lab, "shared")
    assert (one.class_, one.pointer, one.live, one.flux_said) == (DriftClass.ADDED, "/data/colour", '"red"', "")
    assert "node-fetch" in one.actor.who
    assert one.fate.reverted is False
    assert set(one.marks) == {Mark.UNDETECTABLE, Mark.CO_OWNED}


def test_a_suspended_kustomization_that_acknowledges_a_request(lab: Lab) -> None:
    place = ("kustomizations.kustomize.toolkit.fluxcd.io", "asleep", "-n", "flux-system")
    lab.cluster.kubectl(*patch("asleep", {"spec": {"suspend": True}}, kind=place[0], namespace="flux-system"))
    lab.cluster.kubectl(*patch("asleep", {"data": {"colour": "blue"}}))
    lab.cluster.kubectl("annotate", *place, "reconcile.fluxcd.io/requestedAt=please")
    lab.cluster.kubectl("wait", *place, "--for=jsonpath={.status.lastHandledReconcileAt}=please", "--timeout=30s")
    assert (ready(lab.cluster, "asleep"), colour(lab.cluster, "asleep")) == ("True", "blue")
    found = {one.pointer: one for one in told(lab, "asleep")}
    assert set(found) == {"/data/colour", "/spec/suspend"}
    assert found["/data/colour"].fate.reverted is False
    assert "suspended" in found["/data/colour"].fate.why
    assert set(found["/data/colour"].marks) == {Mark.SUSPENDED, Mark.ACKNOWLEDGED}


def test_one_bad_file_keeps_a_whole_kustomization_from_being_corrected(lab: Lab) -> None:
    lab.cluster.kubectl(*patch("broken", {"data": {"colour": "blue"}}))
    lab.repository.write("broken/bad.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "No Name"}})
    lab.repository.commit("Break the kustomization")
    lab.wait_until(lambda: ready(lab.cluster, "broken") == "False", what="the bad file is refused")
    assert colour(lab.cluster, "broken") == "blue"
    [one] = told(lab, "broken")
    assert (one.class_, one.pointer) == (DriftClass.MODIFIED, "/data/colour")
    assert one.fate.reverted is False
    assert "corrects nothing while it fails" in one.fate.why
    assert "No Name" in one.fate.why
    assert set(one.marks) == {Mark.FAILING}


def test_a_release_edited_by_hand_whose_workload_has_followed(lab: Lab) -> None:
    blue: JsonObject = {**config_map("followed"), "data": {"colour": "blue", "size": "1"}}
    lab.cluster.kubectl(*patch("followed", {"spec": {"values": {"objects": [blue]}}}, kind="helmrelease"))
    lab.wait_until(lambda: colour(lab.cluster, "followed") == "blue", what="the workload follows")
    [one] = told(lab, "followed")
    assert (str(one.object), one.class_) == ("HelmRelease shop/followed", DriftClass.MODIFIED)
    assert one.pointer == "/spec/values/objects/0/data/colour"
    assert "admin as alice" in one.actor.who
    assert one.fate.reverted is True
    assert set(one.marks) == {Mark.FOLLOWED}
    words = ("get", "helmrelease", "followed", "-n", "shop", "-o", "jsonpath={.status.history[0].configDigest}")
    assert f"release followed v2 was made from it (config digest {lab.cluster.kubectl(*words)})" in str(one)
    lab.cluster.flux("reconcile", "kustomization", "flux-system")
    lab.wait_until(lambda: colour(lab.cluster, "followed") == "red", what="the workload follows git")


@pytest.mark.verify
def test_a_release_that_is_tried_again_reverts_what_its_mode_leaves_alone(lab: Lab) -> None:
    # At the end: no commit arrives any more.
    objects = [config_map("retried"), deployment("retried", replicas=1)]
    quick: JsonObject = {"timeout": "15s", "upgrade": {"strategy": {"name": "RetryOnFailure", "retryInterval": "5m"}}}
    wanted = merged(release("retried", objects, mode="disabled"), {"spec": quick})
    lab.repository.write("clusters/flux-playground/retried.yaml", wanted)
    first = lab.repository.commit("Install it")

    def release_is(status: str) -> bool:
        words = ("get", "helmrelease", "retried", "-n", "shop", "--ignore-not-found")
        return lab.cluster.kubectl(*words, '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}') == status

    lab.wait_until(lambda: release_is("True"), what=f"{first} is installed")
    nowhere: JsonObject = {"spec": {"template": {"spec": {"nodeSelector": {"is": "nowhere"}}}}}
    values: JsonObject = {"values": {"objects": [objects[0], merged(objects[1], nowhere)]}}
    lab.repository.write("clusters/flux-playground/retried.yaml", merged(wanted, {"spec": values}))
    lab.repository.commit("Have its pods run nowhere")
    lab.wait_until(lambda: release_is("False"), what="the upgrade fails", timeout_seconds=60)
    lab.cluster.kubectl(*patch("retried", {"data": {"colour": "blue", "more": "x"}}))
    edits = {one.pointer: one for one in told(lab, "retried") if one.object.kind == "ConfigMap"}
    assert {pointer: one.fate.reverted for pointer, one in edits.items()} == {"/data/colour": True, "/data/more": False}
    assert "upgrades HelmRelease shop/retried again, whatever its driftDetection" in edits["/data/colour"].fate.why
    assert edits["/data/colour"].times.changed
    # Not by `flux reconcile`, which would wait for a success.
    lab.cluster.kubectl("annotate", "helmrelease", "retried", "-n", "shop", "reconcile.fluxcd.io/requestedAt=please")
    lab.wait_until(lambda: colour(lab.cluster, "retried") == "red", what="the next try reverts it")
