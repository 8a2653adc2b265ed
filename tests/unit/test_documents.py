"""Whether two values are the same in JSON, for which Python takes more than are."""

import pytest

from fluxlab.clusters.differences import differences
from fluxlab.documents import Json, same


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": True}]}, True),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, False),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ([1], [1, 1], False),
        ("1", 1, False),
    ],
)
def test_true_is_not_one(one: Json, other: Json, *, alike: bool) -> None:
    assert same(one, other) is alike
    assert (differences({"spec": one}, {"spec": other}) == []) is alike
