"""One object against what git wants of it: which fields differ, of which class, and who set them."""

from collections.abc import Mapping

import pytest

from fluxlab.clusters.managed_fields import NO_SETTER, setter_of
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass
from fluxlab.drift.fields import agrees, compare

WANTED: JsonObject = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cart", "labels": {"app": "cart"}},
    "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}]}}},
}


def obj(*entries: JsonObject, **changes: Json) -> KubeObject:
    metadata = {**_mapping(WANTED["metadata"]), "managedFields": entries, "resourceVersion": "7", "uid": "1"}
    return KubeObject({**WANTED, "metadata": metadata, "status": {"replicas": 1}, **changes})


def _mapping(value: Json) -> Mapping[str, Json]:
    assert isinstance(value, Mapping)
    return value


def entry(manager: str, fields: JsonObject, *, time: str = "2026-11-22T14:00:00Z", sub: str = "") -> JsonObject:
    return {"manager": manager, "time": time, "subresource": sub, "fieldsV1": fields}


def told(live: KubeObject, *, merged: KubeObject | None = None) -> dict[str, tuple[DriftClass, str]]:
    found = compare(live, KubeObject(WANTED), merged or live, applier="helm-controller")
    return {one.change.field: (one.class_, one.setter.manager) for one in found}


def container(**more: Json) -> JsonObject:
    return {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": "app:1", **more}]}}}


def in_container(**fields: Json) -> JsonObject:
    named = {'k:{"name":"app"}': {".": {}, **fields}}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": named}}}}


def test_what_the_server_keeps_of_an_object_is_no_drift() -> None:
    assert told(obj(), merged=KubeObject({**WANTED, "status": {}})) == {}


def test_another_value_is_modified_by_whoever_owns_it_newest() -> None:
    owns: JsonObject = {"f:spec": {"f:replicas": {}}}
    live = obj(
        entry("kustomize-controller", owns),
        entry("kubectl-edit", owns, time="2026-11-22T14:05:00Z"),
        spec={**container(), "replicas": 4},
    )
    assert told(live, merged=obj()) == {".spec.replicas": (DriftClass.MODIFIED, "kubectl-edit")}


def test_a_field_that_is_gone_is_removed_and_nobody_owns_what_is_not_there() -> None:
    live = obj(entry("kubectl-edit", {"f:spec": {}}), spec={"template": container()["template"]})
    assert told(live, merged=obj()) == {".spec.replicas": (DriftClass.REMOVED, "")}


def test_a_field_that_others_own_and_git_does_not_name_is_added() -> None:
    live = obj(entry("node-fetch", in_container(**{"f:tty": {}})), spec=container(tty=True))
    assert told(live) == {'.spec.template.spec.containers[name="app"].tty': (DriftClass.ADDED, "node-fetch")}


def test_what_others_own_together_with_git_is_no_drift() -> None:
    assert told(obj(entry("alice", in_container(**{"f:image": {}})))) == {}


def test_an_entry_of_a_list_that_git_does_not_name_is_added_as_a_whole() -> None:
    sidecar: JsonObject = {"name": "side", "image": "side:1"}
    named: JsonObject = {'k:{"name":"side"}': {".": {}, "f:name": {}, "f:image": {}}}
    fields: JsonObject = {"f:spec": {"f:template": {"f:spec": {"f:containers": named}}}}
    spec: JsonObject = {
        "replicas": 1,
        "template": {"spec": {"containers": [{"name": "app", "image": "app:1"}, sidecar]}},
    }
    live = obj(entry("kubectl-patch", fields), spec=spec)
    assert told(live) == {'.spec.template.spec.containers[name="side"]': (DriftClass.ADDED, "kubectl-patch")}


def test_a_finalizer_that_somebody_added_is_told_by_its_value() -> None:
    live = obj(entry("alice", {"f:metadata": {"f:finalizers": {".": {}, 'v:"a.b/c"': {}}}}))
    raw = {**live.raw, "metadata": {**_mapping(live.raw["metadata"]), "finalizers": ["a.b/c"]}}
    assert told(KubeObject(raw)) == {'.metadata.finalizers["a.b/c"]': (DriftClass.ADDED, "alice")}


@pytest.mark.parametrize(
    ("manager", "sub", "reported"),
    [
        ("kubectl", "", True),
        ("kubectl", "scale", True),
        ("kubectl", "status", False),  # a status is no state that git could want
        ("kube-controller-manager", "", False),
        ("gotk-kustomize-controller", "", False),
    ],
)
def test_what_the_platform_adds_is_no_drift(manager: str, sub: str, *, reported: bool) -> None:
    live = obj(entry(manager, {"f:spec": {"f:paused": {}}}, sub=sub), spec={**container(), "paused": True})
    assert bool(told(live)) is reported


@pytest.mark.parametrize(
    "annotation", ["reconcile.fluxcd.io/requestedAt", "kubectl.kubernetes.io/last-applied-configuration"]
)
def test_what_programs_note_for_one_another_is_no_drift(annotation: str) -> None:
    live = obj(entry("kubectl", {"f:metadata": {"f:annotations": {".": {}, f"f:{annotation}": {}}}}))
    raw = {**live.raw, "metadata": {**_mapping(live.raw["metadata"]), "annotations": {annotation: "x"}}}
    assert told(KubeObject(raw)) == {}


RUBBISH: list[Json] = [
    {"f:nowhere": {"f:x": {}}},
    {"k:{}": {}},
    {"k:x": {}},
    {"k:3": {}},
    {"v:x": {}},
    {"f:spec": None},
]


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_forged_field_sets_add_nothing(rubbish: Json) -> None:
    assert told(obj({"manager": "x", "fieldsV1": rubbish})) == {}


APPLIED: JsonObject = {
    "f:metadata": {"f:labels": {"f:app": {}}},
    "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}}}}}},
}


def by_flux(fields: JsonObject, *, operation: str = "Apply") -> JsonObject:
    return {**entry("kustomize-controller", fields), "operation": operation}


@pytest.mark.parametrize(
    ("live", "agreed"),
    [
        (obj(by_flux(APPLIED)), True),
        (obj(by_flux(APPLIED), spec=container(terminationMessagePath="/dev/x")), True),  # a default
        (obj(by_flux(APPLIED), spec={**container(), "replicas": 2}), False),
        (obj(by_flux(APPLIED), spec={**container(), "replicas": True}), False),  # 1 == True, in Python only
        (obj(by_flux(APPLIED), spec={"replicas": 1}), False),
        (obj(), False),  # whoever applied it, it was not Flux
        (obj(by_flux(APPLIED, operation="Update")), False),
        (obj(by_flux({"f:spec": {"f:paused": {}}}), spec={**container(), "paused": True}), False),  # git dropped it
    ],
)
def test_the_api_server_need_not_be_asked_about_what_is_there_to_the_letter(live: KubeObject, *, agreed: bool) -> None:
    assert agrees(live, KubeObject(WANTED), applier="kustomize-controller") is agreed


def test_what_helm_controller_put_back_by_a_patch_is_nobodys_once_git_drops_it() -> None:
    owns: JsonObject = {"f:spec": {"f:minReadySeconds": {}}}
    patched: JsonObject = {**entry("helm-controller", owns), "operation": "Update"}
    applied: JsonObject = {**patched, "operation": "Apply"}
    spec: JsonObject = {**container(), "minReadySeconds": 5}
    assert told(obj(patched, spec=spec)) == {".spec.minReadySeconds": (DriftClass.ADDED, "helm-controller")}
    assert told(obj(applied, spec=spec)) == {}  # the dry run takes it away
    flux: JsonObject = {"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease"}
    assert told(obj(patched, spec=spec, **flux)) == {}


def test_who_owns_something_beside_a_field_does_not_own_it() -> None:
    live = obj(
        entry("kubectl-edit", {"f:spec": {"f:replicas": {}}}),
        entry("alice", {"f:spec": {"f:paused": {}}}, time="2026-11-22T14:05:00Z"),
        spec={**container(), "replicas": 4, "paused": False},
    )
    wanted = KubeObject({**WANTED, "spec": {**container(), "paused": False}})
    assert setter_of(".spec.replicas", live.raw).manager == "kubectl-edit"
    assert setter_of(".spec.template", live.raw) == NO_SETTER
    merged = KubeObject({**live.raw, "spec": {**container(), "paused": False}})
    [one] = compare(live, wanted, merged, applier="kustomize-controller")
    assert (one.change.field, one.setter.manager) == (".spec.replicas", "kubectl-edit")


def test_who_owns_the_whole_of_which_a_field_is_a_part_owns_it() -> None:
    live = obj(entry("alice", {"f:spec": {"f:selector": {}}}), spec={"selector": {"matchLabels": {"a": "b"}}})
    assert setter_of(".spec.selector.matchLabels.a", live.raw).manager == "alice"


@pytest.mark.parametrize(("kind", "reported"), [("Namespace", False), ("ConfigMap", True)])
def test_the_label_by_which_a_namespace_says_its_name_is_the_server_s_whoever_made_it(
    kind: str, *, reported: bool
) -> None:
    wanted = KubeObject({"apiVersion": "v1", "kind": kind, "metadata": {"name": "shop"}})
    label = "kubernetes.io/metadata.name"
    owned = entry("fluxlab", {"f:metadata": {"f:labels": {".": {}, f"f:{label}": {}}}})
    metadata: JsonObject = {"name": "shop", "labels": {label: "shop"}, "managedFields": [owned]}
    live = KubeObject({**wanted.raw, "metadata": metadata})
    found = compare(live, wanted, live, applier="kustomize-controller")
    assert [one.change.field for one in found] == ([f'.metadata.labels["{label}"]'] if reported else [])
