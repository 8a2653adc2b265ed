"""Drift is reported as it was made: the edits below are the oracle, and what Flux then does with them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fluxlab.cluster import Cluster
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.records import Confidence, Drift, DriftClass, DriftError
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab

ALICE = "--as=alice"
SSA = "kustomize.toolkit.fluxcd.io/ssa"
CHARTS = "https://charts.example.com"
SECRET_VALUE = "bm90LWZvci1ldmVyeWJvZHk="
MODES = {"off": "disabled", "warns": "warn", "corrects": "enabled"}


def config_map(name: str, **annotations: str) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": "shop", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": "red", "size": "1"}}


def deployment(name: str, **spec: int) -> JsonObject:
    labels: JsonObject = {"app": name}
    pod: JsonObject = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {**spec, "selector": {"matchLabels": labels}, "template": pod},
    }


def kustomization(name: str, **more: Json) -> JsonObject:
    spec: JsonObject = {
        "interval": "1h",
        "path": f"./{name}",
        "prune": True,
        "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
        **more,
    }
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": spec,
    }


def release(name: str, mode: str) -> JsonObject:
    source: JsonObject = {"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"}
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "interval": "1h",
            "driftDetection": {"mode": mode},
            "chart": {"spec": {"chart": "tiny", "sourceRef": source}},
        },
    }


OBJECTS: tuple[JsonObject, ...] = (
    *(config_map(name) for name in ("patched", "added", "by-ssa", "cut", "gone", "labelled", "shielded", "ruled")),
    config_map("merged", **{SSA: "Merge"}),
    config_map("once", **{SSA: "IfNotPresent"}),
    deployment("declared", replicas=1),
    deployment("undeclared"),
    {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "hidden", "namespace": "shop"},
        "data": {"key": "b3JpZ2luYWwtdmFsdWU="},
    },
)


RULES: Json = [{"paths": ["/data/size"], "target": {"kind": "ConfigMap", "name": "rul.*"}}]


def chart(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 1.0.0\n")
    (folder / "templates" / "all.yaml").write_text(
        "".join(
            f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{{{ .Release.Name }}}}-{part}\n"
            "data:\n  colour: red\n---\n"
            for part in ("patched", "added", "gone")
        )
    )
    return folder


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
    repository.write("apps/all.yaml", [namespace, *OBJECTS, *(release(*each) for each in MODES.items())])
    repository.write("frozen/all.yaml", config_map("frozen"))
    repository.write(
        "clusters/flux-playground/all.yaml", [source, kustomization("apps", ignore=RULES), kustomization("frozen")]
    )
    module_lab.converge(repository.commit("Open the shop"))
    return module_lab


@dataclass(frozen=True)
class Edit:
    """What somebody does by hand, and what has to be reported of it."""

    subject: str
    command: tuple[str, ...]
    class_: DriftClass
    pointer: str = ""
    live: object = None
    reverted: bool = True
    stdin: JsonObject | None = None
    manager: str = "kubectl"
    also: Mapping[str, object] | None = None
    """Pointers and values of a second field that the same edit adds."""


def patch(name: str, change: JsonObject, *, kind: str = "configmap", namespace: str = "shop") -> tuple[str, ...]:
    return ("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(change))


def in_shop(*words: str) -> tuple[str, ...]:
    return (*words, "-n", "shop")


NODE_FETCH = ("apply", "--server-side", "--field-manager=node-fetch", "-f", "-")
EDITS = (
    Edit(
        "ConfigMap shop/patched",
        patch("patched", {"data": {"colour": "blue"}}),
        DriftClass.MODIFIED,
        "/data/colour",
        "blue",
    ),
    Edit("ConfigMap shop/added", patch("added", {"data": {"more": "x"}}), DriftClass.ADDED, "/data/more", "x"),
    Edit(
        "ConfigMap shop/by-ssa",
        NODE_FETCH,
        DriftClass.ADDED,
        "/metadata/annotations/example.com~1by",
        "x",
        reverted=False,
        stdin={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "by-ssa", "namespace": "shop", "annotations": {"example.com/by": "x"}},
        },
        manager="node-fetch",
    ),
    Edit("ConfigMap shop/cut", patch("cut", {"data": {"colour": None}}), DriftClass.REMOVED, "/data/colour"),
    Edit("ConfigMap shop/gone", in_shop("delete", "configmap", "gone"), DriftClass.DELETED, manager=""),
    Edit(
        "ConfigMap shop/labelled",
        in_shop("label", "configmap", "labelled", "team=blue"),
        DriftClass.ADDED,
        "/metadata/labels/team",
        "blue",
    ),
    Edit(
        "ConfigMap shop/merged",
        patch("merged", {"data": {"more": "x"}}),
        DriftClass.ADDED,
        "/data/more",
        "x",
        reverted=False,
    ),
    Edit(
        "ConfigMap shop/once",
        patch("once", {"data": {"size": "9"}}),
        DriftClass.MODIFIED,
        "/data/size",
        "9",
        reverted=False,
    ),
    Edit(
        "ConfigMap shop/shielded",
        patch("shielded", {"metadata": {"annotations": {SSA: "Ignore"}}, "data": {"size": "9"}}),
        DriftClass.MODIFIED,
        "/data/size",
        "9",
        reverted=False,
        also={"/metadata/annotations/kustomize.toolkit.fluxcd.io~1ssa": "Ignore"},
    ),
    Edit(
        "Deployment shop/declared",
        in_shop("scale", "deployment", "declared", "--replicas=4"),
        DriftClass.MODIFIED,
        "/spec/replicas",
        4,
    ),
    Edit(
        "Deployment shop/undeclared",
        in_shop("scale", "deployment", "undeclared", "--replicas=4"),
        DriftClass.ADDED,
        "/spec/replicas",
        4,
        reverted=False,
    ),
    Edit("ConfigMap shop/mine", in_shop("create", "configmap", "mine"), DriftClass.ORPHAN, reverted=False),
    Edit(
        "ConfigMap shop/frozen",
        patch("frozen", {"data": {"size": "9"}}),
        DriftClass.MODIFIED,
        "/data/size",
        "9",
        reverted=False,
    ),
    *(
        edit
        for name, mode in MODES.items()
        for edit in (
            Edit(
                f"ConfigMap shop/{name}-patched",
                patch(f"{name}-patched", {"data": {"colour": "blue"}}),
                DriftClass.MODIFIED,
                "/data/colour",
                "blue",
                reverted=mode == "enabled",
            ),
            Edit(
                f"ConfigMap shop/{name}-added",
                patch(f"{name}-added", {"data": {"more": "x"}}),
                DriftClass.ADDED,
                "/data/more",
                "x",
                reverted=False,
            ),
            Edit(
                f"ConfigMap shop/{name}-gone",
                in_shop("delete", "configmap", f"{name}-gone"),
                DriftClass.DELETED,
                reverted=mode == "enabled",
                manager="",
            ),
        )
    ),
)


def records(drifts: tuple[Drift, ...]) -> set[tuple[str, str, str, str]]:
    return {(str(one.object), one.class_, one.pointer, one.live or "") for one in drifts}


def expected() -> set[tuple[str, str, str, str]]:
    found = set()
    for edit in EDITS:
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
        "--as-group=system:masters",
    )
    for edit in EDITS:
        stdin = json.dumps(edit.stdin) if edit.stdin else None
        cluster.kubectl(*edit.command, ALICE, "--as-group=system:masters", stdin=stdin)

    cluster.kubectl(*patch("ruled", {"data": {"size": "9"}}), ALICE, "--as-group=system:masters")

    report = lab.drift()
    suspended = ("Kustomization flux-system/frozen", "added field", "/spec/suspend", "true")
    assert records(tuple(report.drifts)) == expected() | {suspended}
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
    left = {(one[0], one[2]) for one in records(tuple(rest.drifts))}
    assert cluster.kubectl("get", "configmap", "ruled", "-n", "shop", "-o", "jsonpath={.data.size}") == "9"
    assert [(str(one.object), one.pointer) for one in rest.ignored] == [("ConfigMap shop/ruled", "/data/size")]
    said = {str(one.object): one.flux_said for one in rest.drifts}
    assert "DriftDetected" in said["ConfigMap shop/warns-patched"]
    assert said["ConfigMap shop/off-patched"] == ""
    for edit in EDITS:
        assert ((edit.subject, edit.pointer) in left) is still_there(cluster, edit), edit
        assert still_there(cluster, edit) is not edit.reverted, edit


def reconcile(cluster: Cluster) -> None:
    """Have Flux look at everything, and wait until it has."""
    cluster.flux("reconcile", "kustomization", "apps")
    for name in MODES:
        cluster.flux("reconcile", "helmrelease", name, "-n", "shop")


def still_there(cluster: Cluster, edit: Edit) -> bool:
    """Whether what was done by hand is as it was done, as kubectl tells it."""
    kind, _, place = edit.subject.partition(" ")
    text = cluster.kubectl("get", kind, place.partition("/")[2], "-n", "shop", "-o", "json", "--ignore-not-found")
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


def test_what_cannot_be_compared_is_never_clean(lab: Lab) -> None:
    lab.repository.write("clusters/flux-playground/other.yaml", kustomization("nowhere"))
    lab.repository.commit("Point at nothing")
    lab.wait_until(lambda: lab.cluster.find("Kustomization", "flux-system/nowhere"), what="the root applies it")
    report = lab.drift()
    assert report.drifts == ()
    assert (report.clean, report.exit_code) == (False, 2)
    assert report.unknown == ("Kustomization flux-system/nowhere has applied nothing yet",)
    with pytest.raises(UnknownError, match="nowhere"):
        report.assert_clean()
