"""Flux takes up a history that goes back, also where its controller does not hear of it."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource
from fluxlab.clusters.root import Root
from fluxlab.documents import JsonObject
from fluxlab.faults.base import Ground
from fluxlab.faults.means.taking_up import have_taken_up
from fluxlab.flux.requests import REQUESTED_AT

BACK, AWAY = "a" * 40, "b" * 40
RESTS = {"Ready": ("True", "ReconciliationSucceeded")}
WORKS = {"Ready": ("Unknown", "Progressing"), "Reconciling": ("True", "Progressing")}
FAILS = {"Ready": ("False", "BuildFailed"), "Reconciling": ("True", "ProgressingWithRetry")}


class Cluster:
    """Two Kustomizations of the lab's source, and one of another; they apply what they are asked for, and only then."""

    def __init__(self, conditions: dict[str, tuple[str, str]], *, fetched: str = BACK) -> None:
        self.conditions = {"late": conditions, "there": RESTS, "others": RESTS}
        self.applied = {"late": AWAY, "there": BACK, "others": AWAY}
        self.asked = list[str]()
        self._fetched = fetched
        self._annotations = dict[str, Any]()
        self.looks = 0

    def _kustomization(self, name: str) -> KubeObject:
        conditions = [
            {"type": type_, "status": status, "reason": reason}
            for type_, (status, reason) in self.conditions[name].items()
        ]
        status = {"conditions": conditions, "lastAppliedRevision": f"main@sha1:{self.applied[name]}"}
        source = {"kind": "GitRepository", "name": "theirs" if name == "others" else "flux-system"}
        content: Any = {
            "kind": "Kustomization",
            "metadata": {"namespace": "flux-system", "name": name, "annotations": self._annotations.get(name, {})},
            "spec": {"sourceRef": source},
            "status": {**status, "lastHandledReconcileAt": self._annotations.get(name, {}).get(REQUESTED_AT, "")},
        }
        return KubeObject(content)

    def list(self, resource: Resource) -> Sequence[KubeObject]:
        if resource.kind != "Kustomization":
            return []
        self.looks += 1
        if self.looks == 3 and self.conditions["late"] == WORKS:
            self.conditions["late"] = RESTS
        return [self._kustomization(name) for name in self.applied]

    def find(self, resource: Resource, name: str, *, namespace: str) -> KubeObject:
        assert namespace == "flux-system"
        if resource.kind == "Kustomization":
            return self._kustomization(name)
        status: JsonObject = {"artifact": {"revision": f"main@sha1:{self._fetched}"}}
        return KubeObject({"kind": "GitRepository", "metadata": {"name": name}, "status": status})

    def merge(self, resource: Resource, name: str, patch: Any, *, namespace: str) -> None:
        assert (resource.kind, namespace) == ("Kustomization", "flux-system")
        given = patch["metadata"]["annotations"]
        self._annotations[name] = {key: value for key, value in given.items() if value}
        if given.get(REQUESTED_AT):
            self.asked.append(name)
            self.applied[name] = BACK

    @property
    def left(self) -> Sequence[str]:
        return [name for name, annotations in self._annotations.items() if annotations]


def ground(cluster: Cluster) -> Ground:
    root = Root(footing=Footing.LOCAL, namespace="flux-system", name="flux-system")
    return cast("Ground", SimpleNamespace(cluster=SimpleNamespace(root=root, lacks=root.lacks), api=cluster))


@pytest.mark.parametrize("conditions", [RESTS, WORKS], ids=["rests", "works"])
def test_who_rests_at_what_was_there_in_between_is_asked_to_look(conditions: dict[str, tuple[str, str]]) -> None:
    cluster = Cluster(conditions)
    have_taken_up(ground(cluster), BACK, timeout_seconds=20)
    assert cluster.asked == ["late"]
    assert cluster.applied["late"] == BACK
    assert not cluster.left


def test_who_fails_tries_again_by_itself() -> None:
    cluster = Cluster(FAILS)
    have_taken_up(ground(cluster), BACK, timeout_seconds=20)
    assert not cluster.asked


def test_nobody_is_asked_while_the_commit_is_not_even_fetched() -> None:
    cluster = Cluster(RESTS, fetched=AWAY)
    have_taken_up(ground(cluster), BACK, timeout_seconds=0)
    assert not cluster.asked
