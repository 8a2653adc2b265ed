"""What git alone decides is built once; what depends on a cluster's variables, anew each time."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift import builds
from fluxlab.drift.builds import KEPT_BUILDS, Builds, Trees
from fluxlab.errors import UnknownError


class Named(Cluster):
    """A cluster of which only the name is asked."""

    def __init__(self, name: str) -> None:
        self.name = name


class Folders(Trees):
    """The folders of commits, without files in them."""

    def __init__(self) -> None:
        pass

    def at(self, commit: str) -> Path:
        return Path(commit)


def kustomization(*, uid: str = "one", generation: int = 1, variables: Sequence[Json] = ()) -> KubeObject:
    spec: Json = {"postBuild": {"substituteFrom": list(variables)}} if variables else {}
    metadata: Json = {"name": "apps", "namespace": "flux-system", "uid": uid, "generation": generation}
    return KubeObject({"kind": "Kustomization", "metadata": metadata, "spec": spec})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits that flux was asked to build, in that order; it builds one object that bears the commit's name."""
    asked: list[str] = []

    def build(_: KubeObject, *, cluster: Cluster, tree: Path) -> Sequence[KubeObject]:
        asked.append(f"{cluster.name} {tree}")
        if str(tree) == "bad":
            raise UnknownError("it cannot be built")
        return [KubeObject({"kind": "ConfigMap", "metadata": {"name": str(tree)}})]

    monkeypatch.setattr(builds, "built", build)
    return asked


def names(known: Builds, subject: KubeObject, commit: str, *, cluster: str = "here") -> list[str]:
    return [one.name for one in known.of(subject, commit, cluster=Named(cluster), trees=Folders())]


def test_what_was_built_of_a_commit_is_not_built_again(built: list[str]) -> None:
    known = Builds()
    assert [names(known, kustomization(), "a") for _ in range(3)] == [["a"]] * 3
    assert built == ["here a"]


def test_another_commit_cluster_object_or_spec_is_built(built: list[str]) -> None:
    known = Builds()
    names(known, kustomization(), "a")
    assert names(known, kustomization(), "b") == ["b"]
    names(known, kustomization(), "a", cluster="there")
    names(known, kustomization(uid="another"), "a")
    names(known, kustomization(generation=2), "a")
    assert built == ["here a", "here b", "there a", "here a", "here a"]


def test_what_takes_variables_from_the_cluster_is_built_each_time(built: list[str]) -> None:
    known, subject = Builds(), kustomization(variables=[{"kind": "Secret", "name": "words"}])
    assert [names(known, subject, "a") for _ in range(2)] == [["a"]] * 2
    assert built == ["here a"] * 2


def test_what_cannot_be_built_is_tried_again(built: list[str]) -> None:
    known = Builds()
    for _ in range(2):
        with pytest.raises(UnknownError):
            names(known, kustomization(), "bad")
    assert built == ["here bad"] * 2


def test_what_was_not_asked_for_in_a_long_time_is_forgotten(built: list[str]) -> None:
    known = Builds()
    for number in range(KEPT_BUILDS):
        names(known, kustomization(), f"{number}")
    names(known, kustomization(), "0")
    names(known, kustomization(), "more")
    del built[:]
    names(known, kustomization(), "0")
    assert built == []
    names(known, kustomization(), "1")
    assert built == ["here 1"]
