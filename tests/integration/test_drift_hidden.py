"""What Flux hides: it is Ready and says nothing, and the report tells what is so."""

import json

import pytest
from tests.integration.drift_actors import merged
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    SSA,
    chart,
    config_map,
    kustomization,
    namespace,
    patch,
    release,
)

from fluxlab.cluster import Cluster
from fluxlab.documents import JsonObject
from fluxlab.drift.aspects import DriftClass, Mark
from fluxlab.drift.records import Drift
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


def told(lab: Lab, name: str) -> list[Drift]:
    """What is reported of an object of a test, and of its owner."""
    return [one for one in lab.drift().drifts if one.object.name == name]


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
