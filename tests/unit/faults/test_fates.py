"""What a fate asks the API server for, and which pods have it."""

from collections.abc import Mapping
from typing import cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import POD, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.faults.means.fates import BINDING, POLICY, Fate, begin, end

LABELS: Json = {"app": "cart"}
TEMPLATE: Json = {
    "metadata": {"labels": LABELS, "annotations": {"team": "shop"}},
    "spec": {
        "securityContext": {"runAsNonRoot": True},
        "containers": [{"name": "cart", "image": "cart:0"}, {"name": "side", "image": "side:0"}],
    },
}


def fate(**changes: object) -> Fate:
    known = {"name": "fluxlab-x", "namespace": "shop", "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
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
    assert [text_at(one, "image") for one in items_at(probe, "spec", "containers")] == ["cart:1", "side:0"]


def test_a_probe_is_let_in_where_the_pods_of_the_workload_are() -> None:
    probe = fate().probe()
    assert dig(probe, "spec") == dig(TEMPLATE, "spec")
    assert dig(probe, "metadata", "annotations") == {"team": "shop"}
    assert text_at(probe, "metadata", "generateName")
    assert text_at(probe, "kind") == "Pod"


class Api:
    """An API server that answers whoever would create a pod."""

    def __init__(self, *answers: JsonObject | ApiError) -> None:
        self.answers = list(answers)
        self.deleted: list[Resource] = []

    def find(self, resource: Resource, name: str) -> KubeObject:
        return KubeObject({"kind": resource.kind, "metadata": {"name": name}})

    def apply(self, *_: object) -> None: ...

    def delete(self, resource: Resource, *_: object, **__: object) -> None:
        self.deleted.append(resource)

    def request(self, method: str, path: str, *, body: JsonObject, query: Mapping[str, str]) -> JsonObject:
        assert (method, path, query) == ("POST", POD.path(namespace="shop"), {"dryRun": "All"})
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return {**body, **answer}


def refused(status: int, message: str) -> ApiError:
    return ApiError("POST /api/v1/namespaces/shop/pods", status=status, message=message)


MARKED: JsonObject = {"metadata": {"annotations": {"a": "b"}}}


@pytest.mark.parametrize(
    "message",
    [
        'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
        "exceeded quota: q",
        "shop is being terminated",
    ],
)
def test_a_fate_has_ended_where_pods_are_refused_for_another_reason(message: str) -> None:
    api = Api(MARKED, refused(403, "MutatingAdmissionPolicy fluxlab-x: no such field"), refused(403, message))
    end(cast("KubeApi", api), fate(annotations={"a": "b"}))
    assert api.answers == []
    assert api.deleted == [BINDING, POLICY]


def test_whether_a_fate_has_ended_is_unknown_while_the_api_server_fails() -> None:
    with pytest.raises(ApiError, match="failed calling webhook"):
        end(cast("KubeApi", Api(refused(500, "failed calling webhook"))), fate(annotations={"a": "b"}))


def test_where_no_pod_is_let_in_none_is_given_a_fate() -> None:
    with pytest.raises(ApiError, match="exceeded quota"):
        begin(cast("KubeApi", Api(refused(403, "exceeded quota: q"))), fate(annotations={"a": "b"}))


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
