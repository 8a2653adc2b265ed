"""Patches as kustomize reads them; that it makes of them what is wanted, the integration tests show."""

import pytest
import yaml

from fluxlab.adoption.aims import Aim, Owner
from fluxlab.adoption.patches import patches_for
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.timeline.entries import ObjectRef

WEB = ObjectRef(kind="Deployment", namespace="shop", name="web")
OWNER = Owner(cluster="staging", object=ObjectRef(kind="Kustomization", namespace="flux-system", name="apps"))
MANIFEST: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"old": "x"}},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}},
}
TARGET = {"kind": "Deployment", "name": "web"}
NAMED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
CONTAINER = "/spec/template/spec/containers/0"


def patches(fields: dict[str, Json]) -> list[tuple[object, object]]:
    aim = Aim(owner=OWNER, subject=WEB, fields=fields)
    found = patches_for(aim, {WEB: KubeObject(MANIFEST)})
    return [(one["target"], yaml.safe_load(str(one["patch"]))) for one in found]


def test_fields_of_maps_are_one_merge_that_does_not_ask_for_what_may_not_be_there_yet() -> None:
    fields: dict[str, Json] = {".spec.replicas": 4, '.metadata.annotations["a/b"]': "on"}
    metadata = {"name": "web", "annotations": {"a/b": "on"}}
    assert patches(fields) == [(TARGET, {**NAMED, "metadata": metadata, "spec": {"replicas": 4}})]


def test_what_leads_through_a_list_or_is_to_go_is_a_json_patch() -> None:
    image = '.spec.template.spec.containers[name="app"].image'
    env = '.spec.template.spec.containers[name="app"].env[name="{}"]'
    test = {"op": "test", "path": f"{CONTAINER}/name", "value": "app"}
    assert patches({image: "app:2", ".metadata.labels.old": None}) == [
        (
            TARGET,
            [
                test,
                {"op": "replace", "path": f"{CONTAINER}/image", "value": "app:2"},
                {"op": "remove", "path": "/metadata/labels/old"},
            ],
        )
    ]
    assert patches({env.format("A"): {"name": "A"}, env.format("B"): {"name": "B"}}) == [
        (
            TARGET,
            [
                test,
                {"op": "add", "path": f"{CONTAINER}/env", "value": [{"name": "A"}]},
                test,
                {"op": "add", "path": f"{CONTAINER}/env/-", "value": {"name": "B"}},
            ],
        )
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({".spec.replicas": None}, "- op: remove\n  path: /spec/replicas"),
        (
            {".spec.paused": True},
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  paused: true",
        ),
        ({".a": "x\n"}, "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\na: |\n  x\n# the end"),
    ],
)
def test_space_around_it_says_nothing(fields: dict[str, Json], text: str) -> None:
    [patch] = patches_for(Aim(owner=OWNER, subject=WEB, fields=fields), {WEB: KubeObject(MANIFEST)})
    assert patch["patch"] == text


def test_what_is_to_go_is_named() -> None:
    assert patches({}) == [(TARGET, {**NAMED, "$patch": "delete"})]


def test_the_namespace_tells_two_of_one_name_apart() -> None:
    other = ObjectRef(kind="Deployment", namespace="other", name="web")
    [patch] = patches_for(Aim(owner=OWNER, subject=WEB), {WEB: KubeObject(MANIFEST), other: KubeObject(MANIFEST)})
    assert patch["target"] == {**TARGET, "namespace": "shop"}
