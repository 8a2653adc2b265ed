"""What the tests of drift put into git, and what somebody then does to it by hand: the oracle of what is reported."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fluxlab.documents import Json, JsonObject
from fluxlab.drift.records import DriftClass

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


ROLE = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
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
        + f"{ROLE}metadata:\n  name: {{{{ .Release.Name }}}}\nrules: []\n"
    )
    return folder


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
    Edit("ClusterRole off", ("delete", "clusterrole", "off"), DriftClass.DELETED, reverted=False, manager=""),
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
