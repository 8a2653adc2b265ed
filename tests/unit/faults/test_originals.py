"""What is kept of an object, and when it is as it was."""

from collections.abc import Mapping
from typing import cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import SECRET as SECRETS
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.means.originals import is_original, original, recreate, without_annotation

SECRET: JsonObject = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {
        "name": "token",
        "namespace": "shop",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"a": "b"},
        "managedFields": [
            {"manager": "ada", "operation": "Update", "time": "t1", "fieldsV1": {"f:data": {"f:key": {}}}},
            {"manager": "kcm", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
        ],
    },
    "data": {"key": "c2VjcmV0"},
    "status": {"phase": "x"},
}


def changed(**metadata: object) -> KubeObject:
    known = SECRET["metadata"]
    assert isinstance(known, dict)
    return KubeObject({**SECRET, "metadata": {**known, **metadata}})  # type: ignore[dict-item] # JSON of any kind


def test_what_the_server_sets_is_not_kept() -> None:
    kept = original(KubeObject(SECRET))
    assert "status" not in kept
    metadata = kept["metadata"]
    assert isinstance(metadata, dict)
    assert metadata.keys() == {"name", "namespace", "labels", "managedFields"}
    assert [entry["manager"] for entry in metadata["managedFields"]] == ["ada"]


def test_another_version_of_the_same_is_the_original() -> None:
    again = changed(resourceVersion="9", uid="2")
    assert is_original(again, original(KubeObject(SECRET)))


def test_what_is_gone_or_has_other_content_is_not() -> None:
    kept = original(KubeObject(SECRET))
    assert not is_original(None, kept)
    assert not is_original(KubeObject({**SECRET, "data": {"key": ""}}), kept)
    assert not is_original(changed(labels={}), kept)


def test_what_belongs_to_somebody_else_is_not() -> None:
    kept = original(KubeObject(SECRET))
    eve = {"manager": "eve", "operation": "Update", "fieldsV1": {"f:data": {"f:key": {}}}}
    assert not is_original(changed(managedFields=[eve]), kept)


@pytest.mark.parametrize(("before", "after"), [({"a": "1", "b": "2"}, {"b": "2"}), ({"a": "1"}, None), (None, None)])
def test_an_annotation_is_left_out_and_nothing_else(
    before: Mapping[str, Json] | None, after: Mapping[str, Json] | None
) -> None:
    metadata: JsonObject = {"name": "cart", **({"annotations": before} if before else {})}
    left: JsonObject = {"name": "cart", **({"annotations": after} if after else {})}
    assert without_annotation({"spec": {}, "metadata": metadata}, "a") == {"spec": {}, "metadata": left}


class Controlled:
    """An API whose controller has written into a new object before its maker gives it away."""

    def __init__(self) -> None:
        self.given: JsonObject | None = None

    def find(self, *_: object, **__: object) -> None:
        return None

    def create(self, _: Resource, content: JsonObject, **__: object) -> KubeObject:
        metadata = cast("Mapping[str, Json]", content["metadata"])
        mine: Json = [{"manager": "fluxlab", "operation": "Update", "fieldsV1": {"f:data": {}}}]
        made = {**metadata, "annotations": {"revision": "1"}, "uid": "2", "resourceVersion": "9", "managedFields": mine}
        return KubeObject({**content, "metadata": made})

    def request(self, method: str, _: str, *, body: JsonObject) -> JsonObject:
        assert method == "PUT"
        self.given = body
        return body


def test_what_is_made_anew_is_given_to_its_owners_although_its_controller_was_quicker() -> None:
    api, kept = Controlled(), original(KubeObject(SECRET))
    recreate(cast("KubeApi", api), SECRETS, kept, besides="revision")
    assert api.given
    assert "fluxlab" not in str(api.given)
    api.given = None
    recreate(cast("KubeApi", api), SECRETS, kept)  # here nobody knows whose annotation that is
    assert api.given is None
