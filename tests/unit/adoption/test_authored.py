"""What a person would have written of a live object."""

import pytest

from fluxlab.adoption.authored import authored
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject

METADATA: dict[str, Json] = {
    "name": "hot",
    "namespace": "shop",
    "uid": "1",
    "resourceVersion": "7",
    "generation": 3,
    "creationTimestamp": "2026-11-22T14:00:00Z",
}


def entry(manager: str, fields: Json, subresource: str = "") -> Json:
    return {"manager": manager, "operation": "Update", "subresource": subresource, "fieldsV1": fields}


def test_a_deployment_is_what_its_author_wrote() -> None:
    annotations = {
        "team": "blue",
        "deployment.kubernetes.io/revision": "2",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
    }
    theirs: Json = {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}, "f:team": {}}}}
    ours: Json = {"f:metadata": {"f:annotations": {".": {}, "f:team": {}}}, "f:spec": {"f:replicas": {}}}
    managed = [entry("kubectl-create", ours), entry("kube-controller-manager", theirs, "status")]
    live = KubeObject(
        {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": {**METADATA, "annotations": annotations, "labels": {}, "managedFields": managed},
            "spec": {"replicas": 1},
            "status": {"replicas": 1},
        }
    )
    written = authored(live).raw
    assert written == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "hot", "namespace": "shop", "annotations": {"team": "blue"}},
        "spec": {"replicas": 1},
    }
    assert list(written) == ["apiVersion", "kind", "metadata", "spec"]
    assert live.raw["status"]


def service(address: str) -> KubeObject:
    spec: Json = {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]}
    return KubeObject({"apiVersion": "v1", "kind": "Service", "metadata": METADATA, "spec": spec})


def test_an_assigned_address_is_not_written_but_that_there_is_none_is() -> None:
    assert authored(service("10.0.0.7")).raw["spec"] == {"ports": [{"port": 80}]}
    assert authored(service("None")).raw["spec"] == service("None").raw["spec"]


def test_the_labels_by_which_a_job_finds_its_pods_are_not_written() -> None:
    labels = {"batch.kubernetes.io/controller-uid": "1", "controller-uid": "1", "app": "job"}
    spec: Json = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}
    live = KubeObject({"apiVersion": "batch/v1", "kind": "Job", "metadata": METADATA, "spec": spec})
    assert authored(live).raw["spec"] == {"template": {"metadata": {"labels": {"app": "job"}}}}


@pytest.mark.parametrize("maker", ["kubectl-create", "kube-controller-manager", "kustomize-controller"])
def test_what_was_made_under_a_platforms_name_is_written_whole_and_without_what_came_later(maker: str) -> None:
    fields: Json = {"f:data": {"f:colour": {}}}
    later: Json = {"f:metadata": {"f:annotations": {"f:seen": {}}}}
    managed: Json = [
        {"manager": maker, "operation": "Update", "time": "2026-11-22T12:00:00Z", "fieldsV1": fields},
        {"manager": "kubelet", "operation": "Update", "time": "2026-11-22T12:00:05Z", "fieldsV1": later},
    ]
    metadata: JsonObject = {**METADATA, "annotations": {"seen": "yes"}, "managedFields": managed}
    live: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"colour": "red"}}
    assert authored(KubeObject(live)).raw == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "hot", "namespace": "shop"},
        "data": {"colour": "red"},
    }
