"""Paths as Kubernetes writes them lead where they were read."""

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fluxlab.clusters.differences import differences
from fluxlab.clusters.paths import IDENTITIES, leaves, overlap, pointer_to, value_at
from fluxlab.documents import Json

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
