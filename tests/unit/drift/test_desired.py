"""What an owner depends on is found wherever it is, also beside what stands below the lab's root."""

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.desired import dependencies


def kustomization(name: str, *needed: str, namespace: str = "shop") -> KubeObject:
    asked: Json = [{"name": one} for one in needed]
    metadata: Json = {"name": name, "namespace": namespace}
    return KubeObject({"kind": "Kustomization", "metadata": metadata, "spec": {"dependsOn": asked}})


def test_a_dependency_is_asked_for_where_it_is_none_of_the_known_owners() -> None:
    known, beside = kustomization("database"), kustomization("queue")
    asked: list[tuple[str, str]] = []

    def find(kind: str, place: str) -> KubeObject | None:
        asked.append((kind, place))
        return beside if place == "shop/queue" else None

    subject = kustomization("apps", "database", "queue", "gone")
    found = dependencies(subject, {known.reference: known}, find)
    assert found == {known.reference: known, beside.reference: beside}
    assert asked == [("Kustomization", "shop/queue"), ("Kustomization", "shop/gone")]
