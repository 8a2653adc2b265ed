"""What the tests of drift put into git, and how somebody changes it by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from fluxlab.documents import Json, JsonObject
from fluxlab.drift.records import Drift
from fluxlab.lab import Lab

SSA = "kustomize.toolkit.fluxcd.io/ssa"
ROOT = "clusters/flux-playground/all.yaml"
CHARTS = "https://charts.example.com"
SOURCE: JsonObject = {
    "apiVersion": "source.toolkit.fluxcd.io/v1",
    "kind": "HelmRepository",
    "metadata": {"name": "charts", "namespace": "flux-system"},
    "spec": {"interval": "1h", "url": CHARTS},
}
AS_ALICE = ("--as=alice", "--as-group=system:masters")


def chart(folder: Path) -> Path:
    """A chart that makes the objects that its values say."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: everything\nversion: 1.0.0\n")
    template = "{{- range .Values.objects }}\n---\n{{ toYaml . }}\n{{- end }}\n"
    (folder / "templates" / "all.yaml").write_text(template)
    return folder


def namespace(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(name: str, *, namespace: str = "shop", **annotations: str) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": namespace, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": "red", "size": "1"}}


def deployment(name: str, *, namespace: str = "shop", annotations: JsonObject | None = None, **spec: int) -> JsonObject:
    labels: JsonObject = {"app": name}
    pod: JsonObject = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations or {}},
        "spec": {**spec, "selector": {"matchLabels": labels}, "template": pod},
    }


def autoscaler(name: str, *, namespace: str, least: int, most: int) -> JsonObject:
    """It has no metrics, and so scales only what is out of its bounds."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": least,
            "maxReplicas": most,
        },
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


def release(name: str, objects: Sequence[JsonObject], *, mode: str, namespace: str = "shop") -> JsonObject:
    source: JsonObject = {"kind": "HelmRepository", "name": "charts", "namespace": "flux-system"}
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "interval": "1h",
            "driftDetection": {"mode": mode},
            "chart": {"spec": {"chart": "everything", "sourceRef": source}},
            "values": {"objects": objects},
        },
    }


def patch(name: str, change: JsonObject, *, kind: str = "configmap", namespace: str = "shop") -> tuple[str, ...]:
    """The words by which kubectl merges a change, as alice."""
    return ("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(change), *AS_ALICE)


def told(lab: Lab, name: str) -> list[Drift]:
    """What is reported of an object of a test, and of its owner."""
    return [one for one in lab.drift().drifts if one.object.name == name]
