"""A report on drift: what it says of each difference, what it leaves out, and that it writes nothing."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    chart,
    config_map,
    kustomization,
    namespace,
    patch,
    release,
)

from fluxlab.cluster import Cluster
from fluxlab.commands import CommandError
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import Confidence, DriftClass, Mark
from fluxlab.drift.records import DriftError, DriftReport, Expected
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab

IN_DEFAULT: JsonObject = {"metadata": {"name": "settings", "namespace": "default"}}
SECRET_VALUE = "bm90LWZvci1ldmVyeWJvZHk="
SECRET: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "hidden", "namespace": "shop"},
    "data": {"key": "b3JpZ2luYWwtdmFsdWU="},
}
ROLE: JsonObject = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "off"},
    "rules": [],
}
RULES: Json = [{"paths": ["/data/size"], "target": {"kind": "ConfigMap", "name": "rul.*"}}]


@pytest.fixture(scope="module")
def shop(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with two Kustomizations and a release, before anybody touched it."""
    module_lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "everything"), url=CHARTS)
    repository = module_lab.repository
    objects = [config_map("patched"), config_map("ruled"), SECRET, release("off", [ROLE], mode="disabled")]
    repository.write("apps/all.yaml", objects)
    repository.write("frozen/all.yaml", config_map("frozen"))
    # The namespace comes from the root: one of the two would find it missing, and try again after its hour.
    root = [namespace("shop"), SOURCE, kustomization("apps", ignore=RULES), kustomization("frozen")]
    repository.write(ROOT, root)
    module_lab.converge(repository.commit("Open the shop"))
    return module_lab


def test_the_command_tells_drift_as_text_and_as_json_and_by_its_exit_code(shop: Lab) -> None:
    def drift(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "fluxlab", "drift", f"--lab={shop.name}", *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    shop.repository.write("clusters/flux-playground/settings.yaml", {**config_map("settings"), **IN_DEFAULT})
    shop.converge(shop.repository.commit("Add settings"))
    clean = drift()
    assert (clean.returncode, clean.stdout) == (0, "")
    shop.cluster.kubectl(*patch("settings", {"data": {"colour": "blue"}}, namespace="default"))
    told = drift()
    assert told.returncode == 1
    assert told.stdout.startswith(
        'ConfigMap default/settings: modified .data.colour: git wants "red", there is "blue"\n'
    )
    assert "1 of " in told.stderr
    found = json.loads(drift("-o", "json").stdout)
    [one] = found["drifts"]
    assert (found["clean"], one["class"], one["pointer"]) == (False, "modified", "/data/colour")
    assert one["object"] == "ConfigMap default/settings"
    assert one["actor"]["user"] == "admin as alice"
    assert drift("--cluster=nope").returncode == 64
    shop.cluster.flux("reconcile", "kustomization", "flux-system")  # which corrects it


def test_what_cannot_be_compared_is_never_clean(shop: Lab) -> None:
    away = kustomization("away", kubeConfig={"secretRef": {"name": "elsewhere"}})
    shop.repository.write("clusters/flux-playground/other.yaml", [away, kustomization("nowhere")])
    shop.repository.commit("Point at nothing")
    shop.wait_until(lambda: shop.cluster.find("Kustomization", "flux-system/nowhere"), what="the root applies it")
    report = shop.drift()
    assert report.drifts == ()
    assert (report.clean, report.exit_code) == (False, 2)
    assert tuple(map(str, report.unknown)) == (
        "Kustomization flux-system/away applies to another cluster, which is not looked at",
        "Kustomization flux-system/nowhere has applied nothing yet",
    )
    with pytest.raises(UnknownError, match="nowhere"):
        report.assert_clean()
    away_, nowhere = (
        Expected(f"Kustomization flux-system/{name}", class_=DriftClass.UNKNOWN) for name in ("away", "nowhere")
    )
    report.expect(away_, nowhere)
    with pytest.raises(UnknownError, match="nowhere"):
        report.expect(away_)
    shop.repository.delete("clusters/flux-playground/other.yaml")
    shop.repository.commit("Point at nothing no more")
    shop.wait_until(lambda: not shop.cluster.find("Kustomization", "flux-system/nowhere"), what="it is gone")
    shop.wait_until(lambda: not shop.cluster.find("Kustomization", "flux-system/away"), what="it is gone, too")
    shop.converge()


def test_a_report_tells_of_each_difference_where_it_is_who_it_was_and_what_becomes_of_it(shop: Lab) -> None:
    clean = shop.drift()
    clean.assert_clean()
    assert clean.examined > 40
    cluster = shop.cluster
    cluster.kubectl(*patch("frozen", {"spec": {"suspend": True}}, kind="kustomization", namespace="flux-system"))
    cluster.kubectl(*patch("frozen", {"data": {"size": "9"}}))
    cluster.kubectl(*patch("patched", {"metadata": {"labels": {"team": "blue"}}, "data": {"colour": "blue"}}))
    cluster.kubectl(*patch("ruled", {"data": {"size": "9"}}))
    cluster.kubectl("delete", "clusterrole", "off", *AS_ALICE)
    timeout: JsonObject = {"spec": {"timeout": "77s"}}
    cluster.kubectl(*patch("flux-system", timeout, kind="gitrepository", namespace="flux-system"))

    report = shop.drift()
    report.expect(
        Expected("Kustomization flux-system/frozen", "/spec/suspend", DriftClass.ADDED, by="alice"),
        Expected("ConfigMap shop/frozen", "/data/size", DriftClass.MODIFIED, by="alice", marks=[Mark.SUSPENDED]),
        Expected("ConfigMap shop/patched", "/data/colour", DriftClass.MODIFIED, by="alice", cluster="flux-playground"),
        Expected("ConfigMap shop/patched", "/metadata/labels/team", DriftClass.ADDED, by="alice"),
        Expected("ClusterRole off", class_=DriftClass.DELETED, by="alice", marks=[Mark.UNDETECTABLE]),
        Expected("ConfigMap shop/ruled", "/data/size", DriftClass.MODIFIED, by="alice", marks=[Mark.IGNORED]),
        Expected("GitRepository flux-system/flux-system", "/spec/timeout", DriftClass.ADDED, by="alice"),
    )
    assert report.exit_code == 1
    with pytest.raises(DriftError, match=r"ConfigMap shop/patched: modified \.data\.colour"):
        report.assert_clean()
    assert [(str(one.object), one.pointer) for one in report.ignored] == [("ConfigMap shop/ruled", "/data/size")]
    told = {(str(one.object), one.pointer): one for one in report.drifts}
    painted = told["ConfigMap shop/patched", "/data/colour"]
    assert (painted.desired, painted.live) == ('"red"', '"blue"')
    assert painted.source.startswith("apps/all.yaml:")
    by = painted.actor
    assert (by.user, by.verb, by.manager, by.operation) == ("admin as alice", "patch", "kubectl-patch", "Update")
    assert by.confidence is Confidence.HIGH
    assert "suspended" in told["ConfigMap shop/frozen", "/data/size"].fate.why
    assert told["ClusterRole off", ""].chain == [
        "Kustomization flux-system/flux-system",
        "Kustomization flux-system/apps",
        "HelmRelease shop/off",
    ]

    cluster.flux("reconcile", "kustomization", "apps")
    rest = shop.drift()
    assert {(str(one.object), one.pointer) for one in rest.drifts} == {
        place for place, one in told.items() if one.owner != "Kustomization flux-system/apps"
    }
    assert cluster.kubectl("get", "configmap", "ruled", "-n", "shop", "-o", "jsonpath={.data.size}") == "9"
    assert [(str(one.object), one.pointer) for one in rest.ignored] == [("ConfigMap shop/ruled", "/data/size")]


def test_the_report_holds_no_secret_and_writes_nothing(shop: Lab) -> None:
    shop.cluster.kubectl(*patch("hidden", {"data": {"key": SECRET_VALUE}}, kind="secret"))
    audit = shop.cluster.kubeconfig.parent / "audit.log"
    before = audit.stat().st_size
    report = shop.drift()
    [one] = [one for one in report.drifts if one.object.name == "hidden"]
    assert (one.class_, one.pointer) == (DriftClass.MODIFIED, "/data/key")
    assert one.live != one.desired
    told = repr(report)
    assert SECRET_VALUE not in told
    assert "not-for-everybody" not in told
    with audit.open() as lines:
        lines.seek(before)
        requests = [json.loads(line) for line in lines]
    own = [request for request in requests if request["userAgent"].startswith(("fluxlab", "flux/"))]
    wrote = [request for request in own if request["verb"] not in {"get", "list", "watch"}]
    assert wrote
    assert [request for request in wrote if "dryRun=All" not in request["requestURI"]] == []


@pytest.mark.verify
def test_a_commit_that_is_on_its_way_is_no_drift(lab: Lab) -> None:
    lab.converge()

    def push_one_after_the_other() -> None:
        for number in range(10):
            settings = {**config_map("settings"), **IN_DEFAULT, "data": {"number": str(number)}}
            lab.repository.write("clusters/flux-playground/settings.yaml", settings)
            lab.converge(lab.repository.commit(f"Number {number}"))

    reports = []
    with ThreadPoolExecutor(1) as somebody:
        pushing = somebody.submit(push_one_after_the_other)
        while not pushing.done():
            reports.append(lab.drift())
        pushing.result()
    assert reports
    assert [str(drift) for report in reports for drift in report.drifts] == []
    lab.drift().assert_clean()


def test_a_root_that_is_gone_is_told_although_all_that_is_left_is_as_git_wants_it(lab: Lab) -> None:
    lab.repository.write("apps/settings.yaml", {**config_map("settings"), **IN_DEFAULT})
    lab.repository.write("clusters/flux-playground/apps.yaml", kustomization("apps"))
    lab.converge(lab.repository.commit("Add apps"))
    lab.drift().assert_clean()
    root = ("kustomizations.kustomize.toolkit.fluxcd.io", "flux-system", "-n", "flux-system")
    lab.cluster.kubectl("patch", *root, "--type=merge", '--patch={"spec":{"suspend":true}}')  # so it prunes nothing
    lab.cluster.kubectl("delete", *root, *AS_ALICE)
    report = lab.drift()
    [gone] = [one for one in report.drifts if one.class_ is DriftClass.DELETED]
    assert (str(gone.object), gone.actor.user) == ("Kustomization flux-system/flux-system", "admin as alice")
    assert not gone.fate.reverted
    assert report.exit_code == 1


@pytest.mark.verify
def test_a_kind_that_cannot_be_listed_is_unknown_and_hides_nothing_else(lab: Lab) -> None:
    lab.repository.write("clusters/flux-playground/settings.yaml", {**config_map("settings"), **IN_DEFAULT})
    lab.converge(lab.repository.commit("Add settings"))
    cluster = lab.cluster
    versions = [
        {
            "name": name,
            "served": True,
            "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
        for name in ("v1", "v2")
    ]
    names = {"plural": "widgets", "kind": "Widget", "singular": "widget"}
    spec = {"group": "example.org", "scope": "Namespaced", "names": names, "versions": versions}
    metadata = {"name": "widgets.example.org"}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**definition, "spec": spec}))
    cluster.kubectl("wait", "--for=condition=Established", "crd/widgets.example.org")
    widget: JsonObject = {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "default"},
    }
    lab.wait_until(lambda: _applies(cluster, widget), what="widgets are served")
    hook = {"clientConfig": {"url": "https://127.0.0.1:1/"}, "conversionReviewVersions": ["v1"]}
    broken = {"spec": {"conversion": {"strategy": "Webhook", "webhook": hook}}}
    cluster.kubectl("patch", "crd", "widgets.example.org", "--type=merge", f"--patch={json.dumps(broken)}")
    cluster.kubectl(*patch("settings", {"data": {"colour": "blue"}}, namespace="default"))

    def told() -> DriftReport | None:  # the API server serves the old definition a moment longer
        report = lab.drift()
        return report if report.unknown else None

    report = lab.wait_until(told, what="widgets cannot be listed")
    assert [str(one).partition(":")[0] for one in report.unknown] == ["widgets cannot be looked at"]
    assert {(str(one.object), one.pointer) for one in report.drifts} >= {("ConfigMap default/settings", "/data/colour")}


def _applies(cluster: Cluster, manifest: JsonObject) -> bool:
    try:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    except CommandError:
        return False
    return True
