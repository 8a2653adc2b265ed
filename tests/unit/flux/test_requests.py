"""Requests to Flux's controllers leave nothing, whatever ends the wait for their answers."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.flux.requests import REQUESTED_AT, RESET_AT, try_again
from fluxlab.timeline.entries import ObjectRef

Build = Callable[..., KubeObject]
FAILED = {"Ready": ("False", "Failed", "why")}
READY = {"Ready": ("True", "Succeeded", "ok")}


class Cluster:
    """What a cluster holds; its controllers answer each request at once, unless they are silent."""

    def __init__(self, *objects: KubeObject, interrupt: bool = False) -> None:
        self.objects = {(one.kind, one.name): one for one in objects}
        self.asked: list[tuple[str, frozenset[str]]] = []
        self._interrupt = interrupt

    def list(self, resource: Resource) -> Sequence[KubeObject]:
        return [one for one in self.objects.values() if one.kind == resource.kind]

    def find(self, resource: Resource, name: str, *, namespace: str) -> KubeObject:
        if self._interrupt:
            raise KeyboardInterrupt
        found = self.objects[resource.kind, name]
        assert found.namespace == namespace
        token = text_at(found.raw, "metadata", "annotations", REQUESTED_AT)
        return KubeObject({**found.raw, "status": {"lastHandledReconcileAt": token}})

    def merge(self, resource: Resource, name: str, patch: Any, *, namespace: str) -> None:
        found = self.objects[resource.kind, name]
        assert found.namespace == namespace
        changed = patch["metadata"]["annotations"]
        if any(changed.values()):
            self.asked.append((f"{resource.kind} {name}", frozenset(changed)))
        metadata = cast("dict[str, Any]", found.raw["metadata"])
        kept = {key: value for key, value in {**metadata.get("annotations", {}), **changed}.items() if value}
        self.objects[resource.kind, name] = KubeObject({**found.raw, "metadata": {**metadata, "annotations": kept}})

    @property
    def annotations(self) -> Sequence[Any]:
        return [cast("dict[str, Any]", one.raw["metadata"]).get("annotations") or {} for one in self.objects.values()]


def test_all_is_fetched_and_what_has_failed_is_tried_again_in_that_order(build: Build) -> None:
    cluster = Cluster(
        build("HelmRelease", "broken", conditions=FAILED),
        build("HelmRelease", "sound", conditions=READY),
        build("Kustomization", "held", conditions=FAILED, spec={"suspend": True}),
        build("HelmChart", "chart", conditions=READY),
        build("HelmRepository", "address", conditions=READY, spec={"type": "oci"}),
        build("GitRepository", "fleet", conditions=READY),
    )
    try_again(cast("KubeApi", cluster), who="test", timeout_seconds=10)
    assert cluster.asked == [
        ("GitRepository fleet", frozenset({REQUESTED_AT})),
        ("HelmChart chart", frozenset({REQUESTED_AT})),
        ("HelmRelease broken", frozenset({REQUESTED_AT, RESET_AT})),
    ]
    assert not any(cluster.annotations)


def test_a_request_is_taken_back_when_the_wait_is_interrupted(build: Build) -> None:
    before = {REQUESTED_AT: "of somebody else"}
    cluster = Cluster(build("GitRepository", "fleet", metadata={"annotations": before}), interrupt=True)
    with pytest.raises(KeyboardInterrupt):
        try_again(cast("KubeApi", cluster), who="test", timeout_seconds=10)
    assert cluster.annotations == [before]


def test_what_an_earlier_one_left_who_was_killed_is_taken_back_too(build: Build) -> None:
    left = {REQUESTED_AT: "test-1234"}
    cluster = Cluster(build("GitRepository", "fleet", metadata={"annotations": left}))
    try_again(cast("KubeApi", cluster), who="test", timeout_seconds=10)
    assert cluster.annotations == [{}]


def test_in_somebodys_cluster_only_what_belongs_to_the_labs_root_is_asked(build: Build) -> None:
    def applied_by(namespace: str, name: str) -> dict[str, str]:
        return {"kustomize.toolkit.fluxcd.io/namespace": namespace, "kustomize.toolkit.fluxcd.io/name": name}

    lab, mine, release = ("fluxlab-mine", "mine"), ("default", "app"), ("default", "release")
    released_by = {"helm.toolkit.fluxcd.io/namespace": release[0], "helm.toolkit.fluxcd.io/name": release[1]}
    cluster = Cluster(
        build("GitRepository", "mine", namespace="fluxlab-mine", conditions=READY),
        build("GitRepository", "flux-system", conditions=READY),
        build("HelmRepository", "charts", namespace="default", conditions=READY, labels=applied_by(*mine)),
        build("HelmRepository", "theirs", namespace="default", conditions=READY, labels=applied_by("default", "their")),
        build("HelmChart", "default-release", namespace="default", conditions=READY, labels=released_by),
        build("Kustomization", "mine", namespace="fluxlab-mine", conditions=FAILED),
        build("Kustomization", "app", namespace="default", conditions=FAILED, labels=applied_by(*lab)),
        build("Kustomization", "their", namespace="default", conditions=FAILED),
        build("HelmRelease", "release", namespace="default", conditions=FAILED, labels=applied_by(*mine)),
    )
    root = ObjectRef(kind="Kustomization", namespace=lab[0], name=lab[1])
    try_again(cast("KubeApi", cluster), who="test", timeout_seconds=10, root=root)
    assert [asked for asked, _ in cluster.asked] == [
        "GitRepository mine",
        "HelmRepository charts",
        "HelmChart default-release",
        "Kustomization mine",
        "Kustomization app",
        "HelmRelease release",
    ]
