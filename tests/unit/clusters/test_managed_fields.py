"""Fields that are handed over from one manager to others."""

from fluxlab.clusters.managed_fields import handed_over, owners_of
from fluxlab.documents import JsonObject

REPLICAS = ("f:spec", "f:replicas")
GIT: JsonObject = {"manager": "kustomize-controller", "operation": "Apply", "time": "2026-01-01T00:00:00Z"}
STATUS: JsonObject = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status"}


def _object(*entries: JsonObject) -> JsonObject:
    return {"metadata": {"name": "one", "managedFields": list(entries)}, "spec": {"replicas": 1}}


def test_owners_are_told_without_what_else_they_own() -> None:
    document = _object(
        {**GIT, "fieldsV1": {"f:spec": {"f:replicas": {}, "f:paused": {}}}}, {**STATUS, "fieldsV1": {"f:status": {}}}
    )
    assert owners_of(document, REPLICAS) == [{**GIT, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    assert owners_of(document, ("f:spec", "f:selector")) == []


def test_a_field_goes_back_to_an_owner_that_is_there_still() -> None:
    kept: JsonObject = {**GIT, "fieldsV1": {"f:spec": {"f:paused": {}}}}
    status: JsonObject = {**STATUS, "fieldsV1": {"f:status": {}}}
    borrowed: JsonObject = {"manager": "me", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    given = handed_over(_object(kept, status, borrowed), REPLICAS, [GIT], giver="me")
    assert given == _object({**GIT, "fieldsV1": {"f:spec": {"f:paused": {}, "f:replicas": {}}}}, status)


def test_an_owner_that_had_nothing_else_is_there_again() -> None:
    borrowed: JsonObject = {"manager": "me", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    given = handed_over(_object(borrowed), REPLICAS, [GIT], giver="me")
    assert given == _object({**GIT, "fieldsV1": {"f:spec": {"f:replicas": {}}}})


def test_without_owners_the_field_is_nobodys() -> None:
    borrowed: JsonObject = {"manager": "me", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    assert handed_over(_object(borrowed), REPLICAS, [], giver="me") == _object()


def test_of_a_field_with_others_in_it_each_owner_has_its_own_again() -> None:
    resources = ("f:spec", "f:resources")
    somebody: JsonObject = {"manager": "somebody", "operation": "Update"}
    limits: JsonObject = {"f:limits": {"f:cpu": {}}}
    requests: JsonObject = {"f:requests": {"f:memory": {}}}
    before = _object(
        {**GIT, "fieldsV1": {"f:spec": {"f:paused": {}, "f:resources": limits}}},
        {**somebody, "fieldsV1": {"f:spec": {"f:resources": requests}}},
    )
    borrowed = _object(
        {**GIT, "fieldsV1": {"f:spec": {"f:paused": {}}}},
        {"manager": "me", "operation": "Apply", "fieldsV1": {"f:spec": {"f:resources": {**limits, **requests}}}},
    )
    assert handed_over(borrowed, resources, owners_of(before, resources), giver="me") == before
