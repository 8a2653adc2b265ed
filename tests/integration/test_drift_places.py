"""What a difference is measured against, and which line of git says what is wanted: git and kubectl know."""

import json
from pathlib import Path

import pytest
from tests.integration.drift_actors import merged
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    chart,
    config_map,
    deployment,
    kustomization,
    namespace,
    patch,
    release,
    told,
)

from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass
from fluxlab.drift.records import Drift
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

OVERLAY: JsonObject = {"resources": ["../base", "release.yaml"], "patches": [{"path": "replicas.yaml"}]}
BIGGER: JsonObject = {**deployment("app", replicas=2), "spec": {"replicas": 2}}
SUBSTITUTE: Json = {"substitute": {"SIZE": "large"}}


@pytest.fixture(scope="module")
def lab(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a base beside an overlay, and a release in the overlay; a later commit touches neither."""
    module_lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "everything"), url=CHARTS)
    repository = module_lab.repository
    settings: JsonObject = {**config_map("settings"), "data": {"colour": "red", "size": "${SIZE}"}}
    repository.write("base/kustomization.yaml", {"resources": ["all.yaml"]})
    repository.write("base/all.yaml", [settings, deployment("app", replicas=1)])
    repository.write("overlay/kustomization.yaml", OVERLAY)
    repository.write("overlay/replicas.yaml", BIGGER)
    repository.write("overlay/release.yaml", release("charted", [config_map("charted")], mode="enabled"))
    repository.write(ROOT, [namespace("shop"), SOURCE, kustomization("overlay", postBuild=SUBSTITUTE)])
    module_lab.converge(repository.commit("Open the shop"))
    repository.write("docs/readme.yaml", {"title": "nothing that Flux applies"})
    module_lab.converge(repository.commit("Write about it"))
    module_lab.drift().assert_clean()
    return module_lab


def test_each_difference_names_the_commit_and_the_line_that_says_what_is_wanted(lab: Lab, tmp_path: Path) -> None:
    cluster = lab.cluster
    cluster.kubectl(*patch("settings", {"data": {"colour": "blue", "size": "small", "more": "x"}}))
    cluster.kubectl("scale", "deployment", "app", "-n", "shop", "--replicas=5", *AS_ALICE)
    cluster.kubectl(*patch("charted", {"data": {"colour": "blue"}}))
    told = {(one.object.name, one.pointer): one for one in lab.drift().drifts}
    clone = lab.repository.clone(tmp_path / "clone")

    def line(one: Drift) -> tuple[str, str]:
        file, _, number = one.source.rpartition(":")
        return file, (clone / file).read_text().splitlines()[int(number) - 1].strip()

    assert {place: line(one) for place, one in told.items()} == {
        ("settings", "/data/colour"): ("base/all.yaml", "colour: red"),
        ("settings", "/data/size"): ("base/all.yaml", "size: ${SIZE}"),
        ("settings", "/data/more"): ("base/all.yaml", "data:"),
        ("app", "/spec/replicas"): ("overlay/replicas.yaml", "replicas: 2"),
        ("charted", "/data/colour"): ("overlay/release.yaml", "apiVersion: helm.toolkit.fluxcd.io/v2"),
    }
    words = ("get", "kustomizations.kustomize.toolkit.fluxcd.io", "overlay", "-n", "flux-system")
    revision = cluster.kubectl(*words, "-o=jsonpath={.status.lastAppliedRevision}")
    assert {one.commit for one in told.values()} == {revision.rpartition(":")[2]}
    assert told["charted", "/data/colour"].chain[-2:] == [
        "Kustomization flux-system/overlay",
        "HelmRelease shop/charted",
    ]


def test_what_the_server_fills_in_is_not_added_by_those_who_made_an_object_without_applying_it(lab: Lab) -> None:
    cluster, plain = lab.cluster, deployment("plain", replicas=2)
    cluster.kubectl("create", "--field-manager=terraform", "-f", "-", stdin=json.dumps(deployment("moved-in")))
    without: JsonObject = {"spec": {"install": {"serverSideApply": False}}}
    lab.repository.write("moved-in/all.yaml", deployment("moved-in"))
    both = [kustomization("moved-in"), merged(release("plain", [plain], mode="disabled"), without)]
    lab.repository.write("clusters/flux-playground/more.yaml", both)
    lab.converge(lab.repository.commit("Adopt one, and install the other as Helm 3 did"))
    for name in ("plain", "moved-in"):  # else the test is of nothing
        shown = cluster.kubectl("get", "deployment", name, "-n", "shop", "-o", "json", "--show-managed-fields")
        entries = json.loads(shown)["metadata"]["managedFields"]
        assert any(one["operation"] == "Update" and "f:strategy" in json.dumps(one) for one in entries)
        assert told(lab, name) == []
    cluster.kubectl(*patch("plain", {"spec": {"minReadySeconds": 7}}, kind="deployment"))
    [edited] = told(lab, "plain")
    assert (edited.class_, edited.pointer, edited.live) == (DriftClass.ADDED, "/spec/minReadySeconds", "7")


@pytest.mark.verify
def test_a_namespace_says_its_name_and_a_service_has_its_port_whoever_made_them(lab: Lab) -> None:
    service: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "counter", "namespace": "shop"},
        "spec": {"type": "NodePort", "selector": {"app": "app"}, "ports": [{"port": 80, "nodePort": 30080}]},
    }
    by_another = ("create", "--field-manager=terraform", "-f", "-")
    for document in (namespace("warehouse"), service):
        lab.cluster.kubectl(*by_another, stdin=json.dumps(document))
    lab.repository.write("counter/all.yaml", [namespace("warehouse"), service])
    lab.repository.write("clusters/flux-playground/counter.yaml", kustomization("counter"))
    lab.converge(lab.repository.commit("Adopt what another tool has made"))
    report = lab.drift()
    names = {"warehouse", "counter"}
    assert [one for one in report.drifts if one.object.name in names] == []
    assert [one for one in report.unknown if one.object and one.object.name in names] == []
