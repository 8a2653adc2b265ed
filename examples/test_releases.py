"""A release is a commit, and a rollback is a revert: nobody touches the cluster."""

from pathlib import Path

import pytest

from fluxlab.flux.signals import Event
from fluxlab.lab import Lab

DEMO = "clusters/flux-playground/oteldemo.yaml"


@pytest.fixture(scope="session")
def fluxlab_snapshot(demo: Path) -> Path:
    """Every lab of this module begins with the demo."""
    return demo


def test_a_release_is_a_commit(lab: Lab) -> None:
    lab.repository.edit(DEMO, values={"components": {"cart": {"replicas": 3}}})
    commit = lab.repository.commit("Scale cart for the sale (#42)")
    lab.converge(commit)
    assert lab.cluster.deployment("otel-demo/cart").ready_replicas == 3
    lab.cluster.expect(Event("HelmRelease", "flux-system/otel-demo", reason="UpgradeSucceeded"), after=commit)


def test_a_rollback_is_a_revert(lab: Lab) -> None:
    before = lab.cluster.deployment("otel-demo/cart").replicas
    lab.repository.edit(DEMO, values={"components": {"cart": {"replicas": before + 2}}})
    release = lab.repository.commit("Scale cart for the sale (#42)", author="Ada <ada@example.org>")
    lab.converge(release)
    assert lab.cluster.deployment("otel-demo/cart").replicas == before + 2
    lab.converge(lab.repository.revert(release))
    assert lab.cluster.deployment("otel-demo/cart").replicas == before
