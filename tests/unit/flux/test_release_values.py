"""A release has arrived with the values that its `valuesFrom` gives; what cannot be told is said."""

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import Resource
from fluxlab.commands import CommandError
from fluxlab.documents import Json, JsonObject
from fluxlab.flux.release_values import ReleaseValues

REFERENCES: Json = [{"kind": "ConfigMap", "name": "words"}, {"kind": "Secret", "name": "keys", "optional": True}]
UNTOLD = "whether it runs with the values of ConfigMap words and Secret keys is not known: "


class Cluster:
    """Holds what a release reads, what Helm keeps of it, and what flux would say that it gives."""

    def __init__(self, *, given: str, kept: Mapping[str, Any] | None) -> None:
        self.given = given
        self.composed = 0
        self.versions = {"ConfigMap words": "1", "Secret keys": "1"}
        stored = base64.b64encode(base64.b64encode(gzip.compress(json.dumps({"config": kept}).encode()))).decode()
        self.kept: JsonObject = {"kind": "Secret", "metadata": {"name": "kept"}, "data": {"release": stored}}

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        if name.startswith("sh.helm.release.v1."):
            assert (name, namespace) == ("sh.helm.release.v1.demo.v7", "helm")
            return KubeObject(self.kept) if self.kept else None
        assert namespace == "demo"
        version = self.versions.get(f"{resource.kind} {name}")
        return KubeObject({"metadata": {"name": name, "resourceVersion": version}}) if version else None

    def compose(self, release: KubeObject) -> str:
        assert release.name == "demo"
        self.composed += 1
        return self.given

    def values(self) -> ReleaseValues:
        return ReleaseValues(cast("KubeApi", self), self.compose)


def release(**spec: Any) -> KubeObject:
    history: Json = [
        {"name": "demo", "namespace": "demo", "version": 7},
        {"name": "demo", "namespace": "demo", "version": 6},
    ]
    return KubeObject(
        {
            "kind": "HelmRelease",
            "metadata": {"name": "demo", "namespace": "demo", "resourceVersion": "9"},
            "spec": {"valuesFrom": REFERENCES, **spec},
            "status": {"storageNamespace": "helm", "history": history},
        }
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("replicas: 2\nnames: [a, b]\n", {"replicas": 2, "names": ["a", "b"]}),
        ("{}\n", None),
        ("", {}),
        ("far: 1e+21\nday: '2024-01-01'\n\"true\": true\nnothing: null\n",
         {"far": 1e21, "day": "2024-01-01", "true": True, "nothing": None}),
    ],
)  # fmt: skip
def test_what_helm_keeps_is_what_is_given(given: str, kept: Mapping[str, Any] | None) -> None:
    assert Cluster(given=given, kept=kept).values().not_in_use(release()) == ""


@pytest.mark.parametrize(
    "given", ["replicas: 3\n", "replicas: '2'\n", "replicas: true\n", "{}\n", "replicas: 2\nmore: 1\n"]
)
def test_what_differs_has_not_been_released(given: str) -> None:
    told = Cluster(given=given, kept={"replicas": 2}).values().not_in_use(release())
    assert told == "has not been released with the values of ConfigMap words and Secret keys"


@pytest.mark.parametrize(
    "spec", [{"valuesFrom": []}, {"upgrade": {"preserveValues": True}}, {"kubeConfig": {"secretRef": {"name": "far"}}}]
)
def test_where_nothing_can_be_told_nobody_asks(spec: Mapping[str, Any]) -> None:
    cluster = Cluster(given="replicas: 3\n", kept={"replicas": 2})
    assert cluster.values().not_in_use(release(**spec)) == ""
    assert cluster.composed == 0


def test_what_has_not_changed_is_not_compared_again_and_what_has_is() -> None:
    cluster = Cluster(given="replicas: 3\n", kept={"replicas": 2})
    values = cluster.values()
    assert values.not_in_use(release()) == values.not_in_use(release()) != ""
    assert cluster.composed == 1
    cluster.given = "replicas: 2\n"
    cluster.versions["ConfigMap words"] = "2"
    assert values.not_in_use(release()) == ""
    del cluster.versions["Secret keys"]
    cluster.given = "{}\n"
    assert values.not_in_use(release()) != ""


def test_what_cannot_be_composed_is_told_in_the_words_of_flux_and_asked_again() -> None:
    cluster = Cluster(given="replicas: 2\n", kept={"replicas": 2})
    compose, failing = cluster.compose, True

    def fail(subject: KubeObject) -> str:
        if failing:
            raise CommandError(["flux", "debug"], "exit code 1", stderr="✗ could not resolve ConfigMap demo/words\n")
        return compose(subject)

    values = ReleaseValues(cast("KubeApi", cluster), fail)
    assert values.not_in_use(release()) == f"{UNTOLD}✗ could not resolve ConfigMap demo/words"
    failing = False
    assert values.not_in_use(release()) == ""


def test_whoever_may_not_read_what_it_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object, **__: object) -> KubeObject:
        raise failure

    cluster = Cluster(given="", kept=None)
    monkeypatch.setattr(cluster, "find", find)
    failure: Exception = ApiError("secrets demo/keys", status=403, message="forbidden")
    assert cluster.values().not_in_use(release()).startswith(f"{UNTOLD}secrets demo/keys: forbidden")
    failure = ApiUnreachableError("nobody answers")
    with pytest.raises(ApiUnreachableError):
        cluster.values().not_in_use(release())


def test_of_values_that_nobody_may_read_none_is_about_to_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object, **__: object) -> KubeObject:
        raise ApiError("secrets demo/keys", status=403, message="forbidden")

    cluster = Cluster(given="", kept=None)
    assert cluster.values().untried(release()) == "", "nothing is labelled to be watched"
    monkeypatch.setattr(cluster, "find", find)
    assert cluster.values().untried(release()) == ""


def test_what_helm_does_not_keep_is_told() -> None:
    cluster = Cluster(given="", kept=None)
    cluster.kept = {}
    told = cluster.values().not_in_use(release())
    assert told.startswith(f"{UNTOLD}HelmRelease demo/demo: Secret helm/sh.helm.release.v1.demo.v7,")
    assert told.endswith("is not there")
