"""Commits that are forced: what shows that a Deployment was made anew, or is gone, and what they ask for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from fluxlab import manifests
from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT, KUSTOMIZATION, Resource
from fluxlab.clusters.root import Root
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground, Injection, NoParameters
from fluxlab.faults.catalogue import CATALOGUE

ANEW, GONE = CATALOGUE["manifest-forced"], CATALOGUE["manifest-forced-invalid"]
FILE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template: {metadata: {labels: {app: cart}}}
"""
UNDO = {"head": "c0", "file": "cart.yaml", "kind": "Deployment", "name": "cart", "namespace": "shop", "uid": "1"}


class Api:
    """An API server with one Deployment, or none, and the Kustomization that applies it."""

    def __init__(self) -> None:
        self.uid = "1"
        self.labels = {"app": "cart"}
        self.ready = "True ReconciliationSucceeded"

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": self.uid}
        if resource == DEPLOYMENT:
            spec = {"selector": {"matchLabels": self.labels}}
            found = {"kind": "Deployment", "metadata": metadata, "spec": spec}
            return KubeObject(cast("JsonObject", found)) if self.uid else None
        assert resource == KUSTOMIZATION
        status, reason = self.ready.split()
        conditions = [{"type": "Ready", "status": status, "reason": reason, "message": "m"}]
        found = {"kind": "Kustomization", "metadata": metadata, "status": {"conditions": conditions}}
        return KubeObject(cast("JsonObject", found))


class Git:
    """A repository whose branch has the commit."""

    def __init__(self) -> None:
        self.text = FILE

    def saying(self, words: str, **_: object) -> list[str]:
        return ["c1"] if words.startswith("Fluxlab-fault") else []

    def patch(self, path: str, change: JsonObject, *, kind: str, name: str) -> None:
        self.text = manifests.merge(self.text, change, path=path, kind=kind, name=name)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def git() -> Git:
    return Git()


@pytest.fixture
def ground(api: Api, git: Git) -> Ground:
    unused: Any = None
    cluster = cast("Cluster", SimpleNamespace(name="c", api=api, root=Root()))
    return Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: cast("Any", git), links=False)


@pytest.fixture
def injection() -> Injection[Any]:
    return Injection(id="forced-1", target="flux-system/shop", parameters=NoParameters(), undo=UNDO)


def committed(fault: Any, git: Git, ground: Ground, injection: Injection[Any]) -> Any:
    """The manifest as the commit has it."""
    fault.change(git, ground, injection)
    return yaml.safe_load(git.text)


def test_a_selector_is_forced(git: Git, ground: Ground, injection: Injection[Any]) -> None:
    found = committed(ANEW, git, ground, injection)
    assert found["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/force": "enabled"}
    selector = found["spec"]["selector"]["matchLabels"]
    assert selector.items() > {"app": "cart"}.items()
    assert found["spec"]["template"]["metadata"]["labels"] == selector, "else it is no valid Deployment"


def test_a_mistake_is_forced(git: Git, ground: Ground, injection: Injection[Any]) -> None:
    found = committed(GONE, git, ground, injection)
    assert found["metadata"]["annotations"] == {"kustomize.toolkit.fluxcd.io/force": "enabled"}
    assert found["spec"]["replicas"] < 0


def test_a_deployment_is_made_anew_when_it_is_another_one_with_that_selector(
    api: Api, git: Git, ground: Ground, injection: Injection[Any]
) -> None:
    assert not ANEW.injected(ground, injection)
    api.uid = "2"
    assert not ANEW.injected(ground, injection), "somebody else has deleted it"
    api.labels = committed(ANEW, git, ground, injection)["spec"]["selector"]["matchLabels"]
    assert "its UID is 2, and was 1" in ANEW.injected(ground, injection)
    api.uid = ""
    assert not ANEW.injected(ground, injection)


@pytest.mark.parametrize(
    ("uid", "ready", "shows"),
    [
        ("1", "False ReconciliationFailed", False),
        ("", "True ReconciliationSucceeded", False),
        ("", "Unknown Progressing", False),
        ("", "False ReconciliationFailed", True),
    ],
)
def test_a_deployment_is_gone_by_force_when_flux_has_failed_over_it(
    ground: Ground, injection: Injection[Any], uid: str, ready: str, *, shows: bool
) -> None:
    api = cast("Api", ground.api)
    api.uid, api.ready = uid, ready
    assert bool(GONE.injected(ground, injection)) is shows
