"""Paths as Kubernetes writes them lead where they were read."""

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fluxlab.clusters.differences import differences
from fluxlab.clusters.paths import IDENTITIES, leaves, overlap, pointer_to, put, value_at
from fluxlab.documents import Json
from fluxlab.errors import UsageError

KEYS = st.sampled_from(["name", "a", "b/c", "d.e", "f~g", 'h"i', "[0]", "x y", "", "]"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def resolve(pointer: str, document: object) -> object:
    """RFC 6901, written anew here."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        document = document[int(key)] if isinstance(document, list) else document[key]  # type: ignore[index]
    return document


@given(before=st.dictionaries(KEYS, DOCUMENTS, max_size=4), after=st.dictionaries(KEYS, DOCUMENTS, max_size=4))
def test_every_difference_has_a_pointer_to_it(before: Json, after: Json) -> None:
    for change in differences(before, after):
        if change.after is not None:
            assert json.dumps(resolve(pointer_to(change.field, after), after), ensure_ascii=False) == change.after
            assert value_at(change.field, after) == json.loads(change.after)
        else:
            assert value_at(change.field, after) is None


@given(document=st.dictionaries(KEYS, DOCUMENTS, min_size=1, max_size=4), data=st.data())
def test_one_edit_is_one_difference_at_its_place(document: dict[str, Json], data: st.DataObject) -> None:
    edited = copy.deepcopy(document)
    holder: Any = {"edited": edited}
    token: Any = "edited"
    pointer = ""
    while isinstance(holder[token], (dict, list)) and holder[token]:
        holder = holder[token]
        token = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
        pointer += "/" + str(token).replace("~", "~0").replace("/", "~1")
    assume(token not in IDENTITIES)  # an entry with another name is another entry
    holder[token] = "another value"
    [change] = differences(document, edited)
    # A list is compared as a whole unless its entries can be told apart.
    assert pointer.startswith(pointer_to(change.field, edited))
    if "/0" not in pointer and "/1" not in pointer and "/2" not in pointer:
        assert pointer == pointer_to(change.field, edited)


POD: Json = {
    "spec": {"containers": [{"name": "a", "ports": [{"containerPort": 80}]}, {"name": "b.c", "args": ["x", "y"]}]}
}


@pytest.mark.parametrize(
    ("path", "pointer", "value"),
    [
        ('.spec.containers[name="b.c"].args', "/spec/containers/1/args", ["x", "y"]),
        ('.spec.containers[name="b.c"].args["y"]', "/spec/containers/1/args/1", "y"),
        ('.spec.containers[name="a"].ports[containerPort=80]', "/spec/containers/0/ports/0", {"containerPort": 80}),
        ('.spec.containers[name="nobody"].image', "/spec/containers/-/image", None),
        ('.metadata.labels["a.b/c"]', "/metadata/labels/a.b~1c", None),
        ("", "", POD),
    ],
)
def test_paths_into_a_pod(path: str, pointer: str, value: Json) -> None:
    assert pointer_to(path, POD) == pointer
    assert value_at(path, POD) == value


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (".a.b", ".a", True),
        (".a", '.a["x"]', True),
        (".a", ".a", True),
        (".ab", ".a", False),
        (".a.b", ".a.c", False),
    ],
)
def test_paths_overlap_where_one_leads_through_the_other(one: str, other: str, *, same: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is same


@given(document=st.dictionaries(KEYS, DOCUMENTS, min_size=1, max_size=4))
def test_a_value_is_its_leaves(document: dict[str, Json]) -> None:
    found = dict(leaves("", document))
    assert {path: value_at(path, document) for path in found} == found
    assert not any(isinstance(value, dict) and value for value in found.values())
    assert sum(map(count_leaves, document.values())) == len(found)


def count_leaves(value: Json) -> int:
    return sum(map(count_leaves, value.values())) if isinstance(value, dict) and value else 1


def patched(document: Any, operations: Any) -> Any:
    """RFC 6902, written anew here."""
    changed = copy.deepcopy(document)
    for operation in operations:
        above, _, last = operation["path"].rpartition("/")
        place: Any = resolve(above, changed)
        key: Any = last.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            key = len(place) if key == "-" else int(key)
        value = copy.deepcopy(operation.get("value"))
        match operation["op"]:
            case "test":
                assert place[key] == value
            case "remove":
                del place[key]
            case "add" if isinstance(place, list):
                place.insert(key, value)
            case "replace":
                assert place[key] is not None
                place[key] = value
            case _:
                place[key] = value
    return changed


@given(before=st.dictionaries(KEYS, DOCUMENTS, max_size=4), after=st.dictionaries(KEYS, DOCUMENTS, max_size=4))
def test_what_is_put_where_two_documents_differ_is_there_and_told_as_a_json_patch(before: Json, after: Json) -> None:
    changed: Any = copy.deepcopy(before)
    operations = []
    for change in differences(before, after):
        value = None if change.after is None else json.loads(change.after)
        assume(value is not None or value_at(change.field, changed) is not None)  # a null is nothing
        operations += put(change.field, changed, value)
        assert value_at(change.field, changed) == value
    assert patched(before, operations) == changed


@pytest.mark.parametrize(
    ("path", "value", "operations"),
    [
        ('.spec.containers[name="b.c"].args["y"]', None, ["test 1/name", "remove 1/args/1"]),
        ('.spec.containers[name="b.c"].args["z"]', "z", ["test 1/name", "add 1/args/-"]),
        ('.spec.containers[name="a"].env[name="X"]', {"name": "X"}, ["test 0/name", "add 0/env"]),
        ('.spec.containers[name="a"].resources.limits.cpu', "1", ["test 0/name", "add 0/resources"]),
        (
            '.spec.containers[name="a"].ports[containerPort=80]',
            None,
            ["test 0/name", "test 0/ports/0/containerPort", "remove 0/ports/0"],
        ),
        ('.spec.containers[name="c"]', {"name": "c"}, ["add -"]),
        (".spec.containers[0].image", "x", ["add 0/image"]),
        (".spec.containers[2]", {"name": "c"}, ["add -"]),
        (".spec.volumes[0]", {"name": "c"}, ["add /spec/volumes"]),
        ('.spec.containers[name="c"]', None, []),
        ('.spec.containers[name="c"].image', None, []),
    ],
)
def test_what_is_put_into_a_pod(path: str, value: Json, operations: list[str]) -> None:
    pod: Any = copy.deepcopy(POD)
    told = put(path, pod, value)
    assert [f"{one['op']} {str(one['path']).removeprefix('/spec/containers/')}" for one in told] == operations
    assert value_at(path, pod) == value
    assert patched(POD, told) == pod


def test_operations_do_not_change_with_what_is_put_later() -> None:
    pod: Any = copy.deepcopy(POD)
    told = [*put('.spec.containers[name="a"].env[name="X"]', pod, {"name": "X"})]
    told += put('.spec.containers[name="a"].env[name="Y"]', pod, {"name": "Y"})
    assert patched(POD, told) == pod


@pytest.mark.parametrize("path", ['.spec.containers[name="c"].image', ".spec.containers.name", ".spec[0]"])
def test_nothing_is_put_where_a_path_does_not_lead(path: str) -> None:
    with pytest.raises(UsageError):
        put(path, copy.deepcopy(POD), "x")
