"""What is kept of an object, and when it is as it was."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.resources import SECRET as SECRETS
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.means.originals import is_original, original, recreate, without_annotation, written_since

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
    assert not is_original(KubeObject({**SECRET, "type": "x/y"}), kept)


def test_what_its_metadata_says_besides_may_be_another_thing() -> None:
    """Admission may put something into whatever is made: the time of that, say."""
    kept = original(changed(annotations={"made": "then"}))
    mine = {"manager": "ada", "operation": "Update", "fieldsV1": {"f:data": {"f:key": {}}, "f:metadata": {"f:x": {}}}}
    assert is_original(changed(annotations={"made": "now"}, managedFields=[mine]), kept)


def test_what_belongs_to_somebody_else_is_not() -> None:
    kept = original(KubeObject(SECRET))
    eve = {"manager": "eve", "operation": "Update", "fieldsV1": {"f:data": {"f:key": {}}}}
    assert not is_original(changed(managedFields=[eve]), kept)


def by(manager: str, time: str, key: str = "key") -> Json:
    fields: Json = {"f:data": {f"f:{key}": {}}}
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields}


@pytest.mark.parametrize(
    ("now", "writers"),
    [
        ([by("ada", "t1")], []),
        ([by("ada", "t2")], ["ada"]),
        ([by("ada", "t1", "other"), by("eve", "t1")], ["eve"]),
        ([by("ada", "t1"), by("eve", "t2", "other")], []),
        ([by("fluxlab-heal", "t2")], []),
        ([by("fluxlab-fault", "t2")], []),
    ],
    ids=["nobody", "its owner again", "another one", "something else", "a healing", "a fault"],
)
def test_who_has_set_a_field_since_is_told_by_its_owners(now: Sequence[Json], writers: Sequence[str]) -> None:
    kept = original(KubeObject(SECRET))
    assert written_since(changed(managedFields=now), kept, ("f:data", "f:key")) == writers


@pytest.mark.parametrize(("before", "after"), [({"a": "1", "b": "2"}, {"b": "2"}), ({"a": "1"}, None), (None, None)])
def test_an_annotation_is_left_out_and_nothing_else(
    before: Mapping[str, Json] | None, after: Mapping[str, Json] | None
) -> None:
    metadata: JsonObject = {"name": "cart", **({"annotations": before} if before else {})}
    left: JsonObject = {"name": "cart", **({"annotations": after} if after else {})}
    assert without_annotation({"spec": {}, "metadata": metadata}, "a") == {"spec": {}, "metadata": left}


class Controlled:
    """An API whose controller, or admission, has written into a new object before its maker gives it away."""

    def __init__(self, **content: Json) -> None:
        self.given: JsonObject | None = None
        self._content = content

    def find(self, *_: object, **__: object) -> None:
        return None

    def create(self, _: Resource, content: JsonObject, *, field_manager: str, **__: object) -> KubeObject:
        metadata = cast("Mapping[str, Json]", content["metadata"])
        mine: Json = [
            {"manager": field_manager, "operation": "Update", "fieldsV1": {"f:data": {}}},
            {"manager": "controller", "operation": "Update", "fieldsV1": {"f:metadata": {"f:annotations": {}}}},
        ]
        made = {**metadata, "annotations": {"revision": "1"}, "uid": "2", "resourceVersion": "9", "managedFields": mine}
        return KubeObject({**content, **self._content, "metadata": made})

    def request(self, method: str, _: str, *, body: JsonObject) -> JsonObject:
        assert method == "PUT"
        self.given = body
        return body


def test_what_is_made_anew_is_given_to_its_owners_although_its_controller_was_quicker() -> None:
    api, kept = Controlled(), original(KubeObject(SECRET))
    recreate(cast("KubeApi", api), SECRETS, kept, besides="revision")
    assert api.given
    assert "fluxlab" not in str(api.given)


def test_what_admission_has_put_into_it_stays_and_goes_to_its_owners_with_it() -> None:
    api, kept = Controlled(), original(KubeObject(SECRET))
    recreate(cast("KubeApi", api), SECRETS, kept)
    assert api.given
    assert dig(api.given, "metadata", "annotations") == {"revision": "1"}
    assert [dig(one, "manager") for one in items_at(api.given, "metadata", "managedFields")] == ["ada", "controller"]


def test_what_was_made_into_something_else_is_given_to_nobody() -> None:
    api = Controlled(data={"key": "eA=="})
    recreate(cast("KubeApi", api), SECRETS, original(KubeObject(SECRET)))
    assert api.given is None
