"""A broken overlay is refused, and what runs goes on running."""

import pytest

from fluxlab.documents import JsonObject
from fluxlab.flux.convergence import ConvergenceError
from fluxlab.flux.signals import ConditionIs, Event
from fluxlab.lab import Lab

BASE: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "registry.example.org/web:1.0"}]},
        },
    },
}
ENVIRONMENT: JsonObject = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "kind": "Kustomization",
    "metadata": {"name": "production", "namespace": "flux-system"},
    "spec": {
        "interval": "1m",
        "path": "./environments/production",
        "prune": True,
        "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
    },
}
PRODUCTION = ("Kustomization", "flux-system/production")


def overlay(*, name: str, replicas: int) -> JsonObject:
    """The overlay of production: it scales a Deployment of the base."""
    return {"resources": ["../base"], "replicas": [{"name": name, "count": replicas}]}


def test_a_broken_overlay_is_refused_and_what_runs_goes_on_running(lab: Lab) -> None:
    lab.repository.write("environments/base/web.yaml", BASE)
    lab.repository.write("environments/base/kustomization.yaml", {"resources": ["web.yaml"]})
    lab.repository.write("environments/production/kustomization.yaml", overlay(name="web", replicas=2))
    lab.repository.write("clusters/flux-playground/production.yaml", ENVIRONMENT)
    lab.converge(lab.repository.commit("Add production"))
    assert lab.cluster.deployment("default/web").ready_replicas == 2

    lab.repository.write("environments/production/kustomization.yaml", overlay(name="wbe", replicas=5))
    mistake = lab.repository.commit("Scale web (#43)")
    with pytest.raises(ConvergenceError, match="BuildFailed"):
        lab.converge(mistake)
    lab.cluster.expect(ConditionIs(*PRODUCTION, "Ready", status="False", reason="BuildFailed"), after=mistake)
    lab.cluster.expect(Event(*PRODUCTION, reason="BuildFailed", type="Warning"), after=mistake)
    assert lab.cluster.deployment("default/web").ready_replicas == 2

    mended = lab.repository.revert(mistake)
    lab.converge(mended)
    lab.cluster.forbid(Event(*PRODUCTION, type="Warning"), after=mended, for_seconds=1)
