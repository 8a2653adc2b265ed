"""Drift is reported as it was made: the edits are the oracle, and what Flux then does with them."""

import json
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.drift_edits import (
    CHARTS,
    EDITS,
    MODES,
    OBJECTS,
    RULES,
    SECRET_VALUE,
    Edit,
    chart,
    config_map,
    kustomization,
    patch,
    release,
)

from fluxlab.cluster import Cluster
from fluxlab.commands import CommandError
from fluxlab.documents import JsonObject
from fluxlab.drift.records import Confidence, Drift, DriftClass, DriftError, DriftReport
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab

ALICE, MASTERS = "--as=alice", "--as-group=system:masters"
IN_DEFAULT: JsonObject = {"metadata": {"name": "settings", "namespace": "default"}}


@pytest.fixture(scope="module")
def drifted_lab(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with Kustomizations and releases of all sorts, before anybody touched it."""
    module_lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "tiny"), url=CHARTS)
    repository = module_lab.repository
    namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    source: JsonObject = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmRepository",
        "metadata": {"name": "charts", "namespace": "flux-system"},
        "spec": {"interval": "1h", "url": CHARTS},
    }
    repository.write("apps/all.yaml", [*OBJECTS, *(release(*each) for each in MODES.items())])
    repository.write("frozen/all.yaml", config_map("frozen"))
    apps = kustomization("apps", ignore=RULES)
    # The namespace comes from the root: one of the two would find it missing, and try again after its hour.
    root = [namespace, source, apps, kustomization("frozen")]
    repository.write("clusters/flux-playground/all.yaml", root)
    module_lab.converge(repository.commit("Open the shop"))
    return module_lab


def records(drifts: tuple[Drift, ...]) -> set[tuple[str, str, str, str]]:
    return {(str(one.object), one.class_, one.pointer, one.live or "") for one in drifts}


def expected(edits: Iterable[Edit]) -> set[tuple[str, str, str, str]]:
    found = set()
    for edit in edits:
        live = "" if edit.live is None else json.dumps(edit.live)
        found.add((edit.subject, str(edit.class_), edit.pointer, live))
        found |= {
            (edit.subject, "added field", pointer, json.dumps(value)) for pointer, value in (edit.also or {}).items()
        }
    return found


def test_drift_from_the_first_to_the_last(drifted_lab: Lab) -> None:
    lab, cluster = drifted_lab, drifted_lab.cluster
    clean = lab.drift()
    assert (clean.drifts, clean.unknown) == ((), ())
    assert clean.examined > 60
    clean.assert_clean()

    cluster.kubectl(
        "patch",
        "kustomization",
        "frozen",
        "-n",
        "flux-system",
        "--type=merge",
        "-p",
        '{"spec":{"suspend":true}}',
        ALICE,
        MASTERS,
    )
    for edit in EDITS:
        stdin = json.dumps(edit.stdin) if edit.stdin else None
        cluster.kubectl(*edit.command, ALICE, MASTERS, stdin=stdin)

    cluster.kubectl(*patch("ruled", {"data": {"size": "9"}}), ALICE, MASTERS)

    report = lab.drift()
    suspended = ("Kustomization flux-system/frozen", "added field", "/spec/suspend", "true")
    assert records(tuple(report.drifts)) == expected(EDITS) | {suspended}
    assert report.exit_code == 1
    with pytest.raises(DriftError, match=r"ConfigMap shop/patched: modified \.data\.colour"):
        report.assert_clean()
    assert [(str(one.object), one.pointer) for one in report.ignored] == [("ConfigMap shop/ruled", "/data/size")]
    told = {(str(one.object), one.pointer): one for one in report.drifts}
    for edit in EDITS:
        one = told[edit.subject, edit.pointer]
        assert one.fate.reverted is edit.reverted, one
        assert (one.actor.user, one.actor.confidence) == ("admin as alice", Confidence.HIGH), one
        assert edit.manager in f"{one.actor.who} {one.actor.user_agent}", one
    assert told["ConfigMap shop/patched", "/data/colour"].desired == '"red"'
    assert told["ConfigMap shop/patched", "/data/colour"].source.startswith("apps/all.yaml:")
    assert "only on the live object" in told["ConfigMap shop/shielded", "/data/size"].fate.why
    assert "suspended" in told["ConfigMap shop/frozen", "/data/size"].fate.why

    reconcile(cluster)
    rest = lab.drift()
    assert records(tuple(rest.drifts)) == expected(edit for edit in EDITS if not edit.reverted) | {suspended}
    assert cluster.kubectl("get", "configmap", "ruled", "-n", "shop", "-o", "jsonpath={.data.size}") == "9"
    assert [(str(one.object), one.pointer) for one in rest.ignored] == [("ConfigMap shop/ruled", "/data/size")]
    said = {str(one.object): one.flux_said for one in rest.drifts}
    assert "DriftDetected" in said["ConfigMap shop/warns-patched"]
    assert said["ConfigMap shop/off-patched"] == ""
    for edit in EDITS:
        assert still_there(cluster, edit) is not edit.reverted, edit


def reconcile(cluster: Cluster) -> None:
    """Have Flux look at everything, and wait until it has."""
    cluster.flux("reconcile", "kustomization", "apps")
    for name in MODES:
        cluster.flux("reconcile", "helmrelease", name, "-n", "shop")


def still_there(cluster: Cluster, edit: Edit) -> bool:
    """Whether what was done by hand is as it was done, as kubectl tells it."""
    kind, _, place = edit.subject.partition(" ")
    text = cluster.kubectl("get", kind, place.rpartition("/")[2], "-n", "shop", "-o", "json", "--ignore-not-found")
    if edit.class_ is DriftClass.DELETED:
        return not text
    value = json.loads(text)
    for token in edit.pointer.split("/")[1:]:
        value = value.get(token.replace("~1", "/"))
    return bool(value == edit.live or edit.class_ is DriftClass.ORPHAN)


def test_the_report_holds_no_secret_and_writes_nothing(drifted_lab: Lab) -> None:
    lab = drifted_lab
    lab.cluster.kubectl(*patch("hidden", {"data": {"key": SECRET_VALUE}}, kind="secret"))
    audit = lab.cluster.kubeconfig.parent / "audit.log"
    before = audit.stat().st_size
    report = lab.drift()
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
    lab.cluster.flux("reconcile", "kustomization", "apps")  # as the other tests of this lab expect it


def test_the_command_tells_drift_as_text_and_as_json_and_by_its_exit_code(lab: Lab) -> None:
    def drift(*options: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "fluxlab", "drift", f"--lab={lab.name}", *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    lab.repository.write("clusters/flux-playground/settings.yaml", {**config_map("settings"), **IN_DEFAULT})
    lab.converge(lab.repository.commit("Add settings"))
    clean = drift()
    assert (clean.returncode, clean.stdout) == (0, "")
    lab.cluster.kubectl(*patch("settings", {"data": {"colour": "blue"}}, namespace="default"), ALICE, MASTERS)
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


def test_what_cannot_be_compared_is_never_clean(lab: Lab) -> None:
    away = kustomization("away", kubeConfig={"secretRef": {"name": "elsewhere"}})
    lab.repository.write("clusters/flux-playground/other.yaml", [away, kustomization("nowhere")])
    lab.repository.commit("Point at nothing")
    lab.wait_until(lambda: lab.cluster.find("Kustomization", "flux-system/nowhere"), what="the root applies it")
    report = lab.drift()
    assert report.drifts == ()
    assert (report.clean, report.exit_code) == (False, 2)
    assert report.unknown == (
        "Kustomization flux-system/away applies to another cluster, which is not looked at",
        "Kustomization flux-system/nowhere has applied nothing yet",
    )
    with pytest.raises(UnknownError, match="nowhere"):
        report.assert_clean()


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
    cluster.kubectl(*patch("settings", {"data": {"colour": "blue"}}, namespace="default"), ALICE, MASTERS)

    def told() -> DriftReport | None:  # the API server serves the old definition a moment longer
        report = lab.drift()
        return report if report.unknown else None

    report = lab.wait_until(told, what="widgets cannot be listed")
    assert [why.partition(":")[0] for why in report.unknown] == ["widgets cannot be looked at"]
    assert {(str(one.object), one.pointer) for one in report.drifts} >= {("ConfigMap default/settings", "/data/colour")}


def _applies(cluster: Cluster, manifest: JsonObject) -> bool:
    try:
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    except CommandError:
        return False
    return True
