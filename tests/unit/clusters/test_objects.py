"""Reading of Kubernetes objects: what is missing or of another type is nothing, never an error."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlab.clusters.objects import Condition, KubeObject, dig, items_at, number_at, text_at

RAW: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "demo", "generation": 3, "resourceVersion": "17"},
    "spec": {"replicas": 2, "paused": True, "list": [1, "x"], "text": "t", "suspend": False},
    "status": {
        "observedGeneration": 2,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "R", "message": "m", "observedGeneration": 2},
            {"type": "Odd"},
            "nonsense",
        ],
    },
}
Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["metadata", "status", "conditions", "name", "spec"]), inner, max_size=3)
    ),
)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "Deployment"),
        (("spec", "replicas"), 2),
        (("spec", "missing"), None),
        (("spec", "replicas", "deeper"), None),
        (("spec", "list", "0"), None),
        ((), RAW),
    ],
)
def test_a_path_leads_to_a_value_or_to_nothing(path: tuple[str, ...], value: object) -> None:
    assert dig(RAW, *path) == value


@pytest.mark.parametrize(
    ("read", "field", "expected"),
    [
        (text_at, "text", "t"),
        (text_at, "replicas", ""),
        (text_at, "missing", ""),
        (number_at, "replicas", 2),
        (number_at, "text", 0),
        (number_at, "missing", 0),
        (number_at, "paused", 0),
        (items_at, "list", [1, "x"]),
        (items_at, "text", ()),
        (items_at, "missing", ()),
    ],
)
def test_a_value_of_another_type_counts_as_missing(read: Callable[..., object], field: str, expected: object) -> None:
    found = read(RAW, "spec", field)
    assert found == expected
    assert type(found) is type(expected)


def test_what_every_object_has() -> None:
    found = KubeObject(RAW)
    assert (found.kind, found.api_version, found.name, found.namespace) == ("Deployment", "apps/v1", "web", "demo")
    assert (found.generation, found.observed_generation, found.resource_version) == (3, 2, "17")
    assert str(found) == "Deployment demo/web"
    assert str(KubeObject({"kind": "Node", "metadata": {"name": "n"}})) == "Node n"


def test_only_true_suspends() -> None:
    assert not KubeObject(RAW).suspended
    assert KubeObject({"spec": {"suspend": True}}).suspended
    assert not KubeObject({"spec": {"suspend": "true"}}).suspended


def test_conditions_are_found_by_type() -> None:
    ready = KubeObject(RAW).condition("Ready")
    assert ready == Condition(type="Ready", status="True", reason="R", message="m", observed_generation=2)
    assert str(ready) == "Ready=True R: m"
    odd = KubeObject(RAW).condition("Odd")
    assert odd is not None
    assert (odd.status, odd.observed_generation) == ("", 0)
    assert KubeObject(RAW).condition("Stalled") is None
    assert KubeObject({}).condition("Ready") is None


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "kind"]), Json, max_size=4))
def test_no_object_is_so_odd_that_reading_it_fails(raw: dict[str, Any]) -> None:
    found = KubeObject(raw)
    assert isinstance(str(found), str)
    assert isinstance(found.generation + found.observed_generation, int)
    assert all(isinstance(condition, Condition) for condition in found.conditions())
