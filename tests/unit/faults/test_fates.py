"""What a fate asks the API server for, and which pods have it."""

import pytest

from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.documents import Json
from fluxlab.faults.means.fates import Fate

LABELS: Json = {"app": "cart"}


def fate(**changes: object) -> Fate:
    known = {"name": "fluxlab-x", "namespace": "shop", "selector": {"matchLabels": LABELS}, "labels": LABELS}
    return Fate(**{**known, **changes})  # type: ignore[arg-type] # of any kind


def pod(**content: Json) -> KubeObject:
    return KubeObject({"metadata": {"annotations": content.get("annotations")}, "spec": content.get("spec", {})})


def test_only_pods_of_that_namespace_and_selector_are_meant() -> None:
    policy, binding = fate(annotations={"a": "b"}).manifests()
    constraints = dig(policy, "spec", "matchConstraints")
    assert dig(constraints, "namespaceSelector", "matchLabels") == {"kubernetes.io/metadata.name": "shop"}
    assert dig(constraints, "objectSelector") == {"matchLabels": {"app": "cart"}}
    (rule,) = items_at(constraints, "resourceRules")
    assert (dig(rule, "resources"), dig(rule, "operations")) == (["pods"], ["CREATE"])
    assert text_at(binding, "spec", "policyName") == text_at(policy, "metadata", "name") == "fluxlab-x"


def test_texts_cannot_break_out_of_an_expression() -> None:
    policy, _ = fate(annotations={"key": 'a"b}'}, image='x"y').manifests()
    (mutation,) = items_at(policy, "spec", "mutations")
    assert r'{"key": "a\"b}"}' in text_at(mutation, "applyConfiguration", "expression")
    (condition,) = items_at(policy, "spec", "matchConditions")
    assert text_at(condition, "expression").endswith(r'c.image == "x\"y")')


def test_a_node_selector_is_replaced_as_a_whole() -> None:
    policy, _ = fate(node_selector={"nowhere": "true"}).manifests()
    (mutation,) = items_at(policy, "spec", "mutations")
    assert text_at(mutation, "patchType") == "JSONPatch"
    assert '"/spec/nodeSelector", value: {"nowhere": "true"}' in text_at(mutation, "jsonPatch", "expression")


def test_a_probe_would_have_the_fate() -> None:
    probe = fate(image="cart:1").probe()
    assert dig(probe, "metadata", "labels") == LABELS
    assert text_at(items_at(probe, "spec", "containers")[0], "image") == "cart:1"


@pytest.mark.parametrize(
    ("annotations", "node", "meets"),
    [
        ({"a": "b", "more": "c"}, {"n": "o"}, True),
        ({"a": "other"}, {"n": "o"}, False),
        ({"a": "b"}, None, False),
        (None, None, False),
    ],
)
def test_a_pod_has_it_when_it_carries_everything(annotations: Json, node: Json, meets: bool) -> None:
    wanted = fate(annotations={"a": "b"}, node_selector={"n": "o"})
    assert wanted.meets(pod(annotations=annotations, spec={"nodeSelector": node})) is meets
