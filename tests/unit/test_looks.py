"""What a look says of a cluster holds no value of its Secrets, and it does not ask for what cannot have changed."""

import base64
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import GIT_REPOSITORY, SECRET, Resource
from fluxlab.documents import JsonObject
from fluxlab.flux.look import Convergence
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.looks import Looks, _Masked
from fluxlab.redaction import Redactor
from fluxlab.repository import Repository


class Holder:
    """Holds one Secret, which may be forbidden to read."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.forbidden = False
        self.api = self

    def list(self, resource: Resource, *, query: Mapping[str, str]) -> Sequence[KubeObject]:
        assert (resource, list(query)) == (SECRET, ["fieldSelector"])
        if self.forbidden:
            raise ApiError("GET /api/v1/secrets", status=403, message="forbidden")
        data = {"word": base64.b64encode(self.value.encode()).decode()}
        return [KubeObject({"kind": "Secret", "data": data})]


def told(masked: _Masked, *whys: str) -> list[str]:
    pending = tuple(Pending(object=f"Job {why}", outlook=Outlook.FAILED, why=why) for why in whys)
    seen = Convergence(cluster="c", commit="a" * 40, arrived=(), pending=pending)
    found = masked.of(seen)
    assert [each.outlook for each in found.pending] == [Outlook.FAILED for _ in whys]
    return [each.why for each in found.pending]


def test_values_of_secrets_are_masked_also_when_they_were_rotated_meanwhile() -> None:
    cluster = Holder("first-word")
    masked = _Masked(cast("Cluster", cluster), Redactor(["of-the-lab"]))
    assert told(masked, 'invalid: "first-word"', "by of-the-lab") == ['invalid: "[redacted]"', "by [redacted]"]
    cluster.value = "second-word"
    assert told(masked, "second-word instead of first-word") == ["[redacted] instead of [redacted]"]
    assert told(masked, 'invalid: "first-word"', "harmless") == ['invalid: "[redacted]"', "harmless"]


def test_what_cannot_be_masked_is_not_shown_until_it_can() -> None:
    cluster = Holder("first-word")
    masked = _Masked(cast("Cluster", cluster), Redactor())
    cluster.forbidden = True
    [text] = told(masked, "invalid: first-word")
    assert "first-word" not in text
    assert "Secrets" in text
    cluster.forbidden = False
    assert told(masked, "invalid: first-word") == ["invalid: [redacted]"]


class Asked:
    """A cluster with one source that does not become ready; it notes what it was asked for."""

    def __init__(self) -> None:
        self.version = 1
        self.asked: list[str] = []
        self.api = self
        self.root = SimpleNamespace(url="")

    @property
    def source(self) -> KubeObject:
        spec: JsonObject = {"url": "https://github.com/acme/fleet", "ref": {"branch": "main"}}
        ready: JsonObject = {"type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "fetching"}
        return KubeObject(
            {
                "kind": "GitRepository",
                "metadata": {"namespace": "flux-system", "name": "fleet", "resourceVersion": str(self.version)},
                "spec": spec,
                "status": {"conditions": [ready], "artifact": {"revision": f"main@sha1:{'b' * self.version}"}},
            }
        )

    def list(self, resource: Resource, *, query: Mapping[str, str] | None = None) -> Sequence[KubeObject]:
        self.asked.append(f"all {resource.kind}" + (" of one type" if query else ""))
        return [self.source] if resource == GIT_REPOSITORY else []

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject:
        self.asked.append(f"{resource.kind} {namespace}/{name}")
        return self.source


def looks(cluster: Asked) -> Looks:
    repository = SimpleNamespace(
        url="https://github.com/acme/fleet",
        branch="main",
        head=lambda: "a" * 40,
        since=lambda commit: frozenset({commit}),
        text=lambda _commit, _path: "",
    )
    return Looks(
        lab="fluxlab",
        repository=cast("Repository", repository),
        clusters={"c": cast("Cluster", cluster)},
        commit=None,
        redactor=Redactor(),
    )


def test_only_what_must_change_is_asked_for_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxlab.looks.LOOK_ANYWAY_SECONDS", 3600)
    cluster = Asked()
    look_again = looks(cluster)
    [first] = look_again()
    assert "sha1:b (" in first.pending[0].why
    cluster.asked.clear()
    assert look_again() == [first]
    assert look_again() == [first]
    assert cluster.asked == ["GitRepository flux-system/fleet"] * 2
    cluster.version = 2
    [second] = look_again()
    assert "sha1:bb (" in second.pending[0].why
    assert "all GitRepository" in cluster.asked


def test_all_is_looked_at_now_and_then_whatever_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxlab.looks.LOOK_ANYWAY_SECONDS", 0)
    cluster = Asked()
    look_again = looks(cluster)
    look_again()
    cluster.asked.clear()
    look_again()
    assert cluster.asked == ["all GitRepository"]
