"""Which fields of a manifest its kind does not have, by the words in which the API server refuses them."""

import pytest

from fluxlab.clusters.objects import KubeObject, having
from fluxlab.clusters.resources import CONFIG_MAP, DEPLOYMENT, KUSTOMIZATION, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.undeclared import are_lost, without_undeclared

CONTAINER: JsonObject = {
    "name": "app",
    "imagePolic": "Always",
    "ports": [{"containerPort": 80, "hostPrt": 1}, {"containerPort": 80, "protocol": "UDP"}],
}
RAW: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cart"},
    "spec": {
        "replica": 2,
        "template": {"spec": {"containers": [CONTAINER], "volumes": [{"name": "a]: b", "emptyDr": {}}]}},
    },
}
POD = ".spec.template.spec"
REFUSED = "PATCH /apis/apps/v1/namespaces/shop/deployments/cart: failed to create typed patch object "
WHICH = "(shop/cart; apps/v1, Kind=Deployment): "


def refusal(*lines: str) -> str:
    """As sigs.k8s.io/structured-merge-diff writes it (typed/helpers.go, ValidationErrors)."""
    return REFUSED + WHICH + (lines[0] if len(lines) == 1 else "\n  ".join(["errors:", *lines]))


def undeclared(path: str) -> str:
    return f"{path}: field not declared in schema"


@pytest.mark.parametrize(
    ("named", "field", "value"),
    [
        (".spec.replica", ".spec.replica", 2),
        (f'{POD}.containers[name="app"].imagePolic', f'{POD}.containers[name="app"].imagePolic', "Always"),
        (
            f'{POD}.containers[name="app"].ports[containerPort=80,protocol="TCP"].hostPrt',
            f'{POD}.containers[name="app"].ports[0].hostPrt',
            1,
        ),
        (f'{POD}.volumes[name="a]: b"].emptyDr', f'{POD}.volumes[name="a]: b"].emptyDr', {}),
        (f"{POD}.containers[0].imagePolic", f'{POD}.containers[name="app"].imagePolic', "Always"),
    ],
)
def test_a_field_that_is_named_is_left_out_and_told(named: str, field: str, value: Json) -> None:
    left, fields = without_undeclared(KubeObject(RAW), refusal(undeclared(named)))
    assert fields == {field: value}
    assert left != KubeObject(RAW)
    assert without_undeclared(left, refusal(undeclared(named))) == (left, {})


def test_several_may_be_named_at_once() -> None:
    said = refusal(undeclared(".spec.replica"), undeclared(f'{POD}.containers[name="app"].imagePolic'))
    left, fields = without_undeclared(KubeObject(RAW), said)
    assert list(fields.values()) == [2, "Always"]
    assert left.raw["spec"] == {
        "template": {
            "spec": {
                "containers": [{"name": "app", "ports": CONTAINER["ports"]}],
                "volumes": [{"name": "a]: b", "emptyDr": {}}],
            }
        }
    }
    assert RAW["spec"] == having(RAW, ("spec", "replica"), 2)["spec"]  # git's is as it was


@pytest.mark.parametrize(
    "said",
    [
        refusal(".spec.replicas: expected numeric (int or float), got string"),
        refusal(undeclared(".spec.nowhere")),
        refusal(undeclared('.spec.template.spec.containers[name="other"].imagePolic')),
        refusal(undeclared(".spec.template[name=broken].x")),
        "the server could not find the requested resource",
    ],
)
def test_where_nothing_is_named_that_is_there_nothing_is_left_out(said: str) -> None:
    assert without_undeclared(KubeObject(RAW), said) == (KubeObject(RAW), {})


ROLE = Resource(kind="Role", plural="roles", group="rbac.authorization.k8s.io")
DEFINITION = Resource(kind="CustomResourceDefinition", plural="customresourcedefinitions", group="apiextensions.k8s.io")


@pytest.mark.parametrize(
    ("resource", "lost"),
    [(DEPLOYMENT, True), (CONFIG_MAP, True), (KUSTOMIZATION, False), (DEFINITION, False), (ROLE, False)],
)
def test_flux_loses_what_its_types_do_not_have_of_kubernetes_own_kinds_but_roles(
    resource: Resource, *, lost: bool
) -> None:
    assert are_lost(resource) is lost
