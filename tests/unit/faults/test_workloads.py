"""Selectors as queries, and what is read from pods and images."""

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.means.workloads import label_selector, restarts, waiting_reasons, with_tag


@pytest.mark.parametrize(
    ("selector", "query"),
    [
        ({"matchLabels": {"app": "cart", "tier": "web"}}, "app=cart,tier=web"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, "a in (b,c)"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, "a notin (b)"),
        (
            {
                "matchLabels": {"app": "x"},
                "matchExpressions": [
                    {"key": "a", "operator": "Exists"},
                    {"key": "b", "operator": "DoesNotExist"},
                ],
            },
            "app=x,a,!b",
        ),
    ],
)
def test_a_selector_becomes_a_query(selector: Json, query: str) -> None:
    assert label_selector(selector) == query


@pytest.mark.parametrize(
    ("image", "other"),
    [
        ("registry.example:5000/shop/cart:1.0.0", "registry.example:5000/shop/cart:0.0.0-missing"),
        ("cart", "cart:0.0.0-missing"),
        ("cart:1@sha256:abc", "cart:0.0.0-missing"),
        ("ghcr.io/acme/cart@sha256:abc", "ghcr.io/acme/cart:0.0.0-missing"),
    ],
)
def test_only_the_tag_of_an_image_is_another_one(image: str, other: str) -> None:
    assert with_tag(image, "0.0.0-missing") == other


def test_what_containers_wait_for() -> None:
    crashing: JsonObject = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 3}
    running: JsonObject = {"state": {"running": {}}, "restartCount": 1}
    pod = KubeObject({"status": {"containerStatuses": [crashing, running]}})
    assert waiting_reasons(pod) == ["CrashLoopBackOff", ""]
    assert restarts(pod) == 4
