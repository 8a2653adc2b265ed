"""Manifests as kustomize and Helm print them."""

from fluxlab.drift.manifests import manifests_in

TEXT = """\
kind: List
items:
- {kind: ConfigMap, data: {a: =, b: "1"}}
- kind: List
  items: [{kind: Secret}]
---
---
kind: Service
"""


def test_the_objects_of_lists_come_one_by_one_and_a_plain_equals_sign_is_a_text() -> None:
    found = list(manifests_in(TEXT))
    assert [one.kind for one in found] == ["ConfigMap", "Secret", "Service"]
    assert found[0].raw["data"] == {"a": "=", "b": "1"}
