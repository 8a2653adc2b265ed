"""What a report says when it cannot compare, and of objects that are large or forged: never clean, never a crash."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.integration.drift_actors import merged
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    chart,
    config_map,
    kustomization,
    namespace,
    patch,
    release,
)

from fluxlab.documents import Json, JsonObject
from fluxlab.drift import actors
from fluxlab.drift.aspects import DriftClass, Mark
from fluxlab.drift.records import DriftReport, Expected
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab
from fluxlab.redaction import MASK

MANY = 500
MEGABYTE = 1_000_000
CANARY = "Not_For-Everybody-4711"
HEALTH_CHECK_SECONDS = 90.0
"""For a health check that fails: Flux waits for at least 30 s, and ends what it does before it looks again."""
KUSTOMIZATIONS = "kustomizations.kustomize.toolkit.fluxcd.io"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
HOOK: JsonObject = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "broken"},
    "webhooks": [
        {
            "name": "broken.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["configmaps"],
                }
            ],
            "objectSelector": {"matchLabels": {"guarded": "yes"}},
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}


def settings(name: str, *, data: JsonObject | None = None, **labels: str) -> JsonObject:
    metadata: JsonObject = {"name": name, "namespace": "shop", "labels": labels}
    return {**config_map(name), "metadata": metadata, **({"data": data} if data else {})}


@pytest.fixture(scope="module")
def shop(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with plain objects, one that a webhook guards, a large one, and a release."""
    module_lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "tiny"), url=CHARTS)
    large: JsonObject = {f"key-{number}": "x" * 2_000 for number in range(MANY)}  # as much as a ConfigMap may hold
    objects = [
        namespace("shop"),
        settings("plain"),
        settings("guarded", guarded="yes"),
        settings("large", data=large),
        SOURCE,
        release("tiny", [config_map("in-chart")], mode="enabled"),
    ]
    module_lab.repository.write(ROOT, objects)
    module_lab.converge(module_lab.repository.commit("Open the shop"))
    module_lab.drift().assert_clean()
    return module_lab


def told(report: DriftReport) -> set[tuple[str, str]]:
    return {(str(drift.object), drift.pointer) for drift in report.drifts}


def revert(lab: Lab) -> None:
    lab.cluster.flux("reconcile", "kustomization", "flux-system")
    lab.drift().assert_clean()


def test_what_a_webhook_refuses_to_compare_is_unknown_and_the_rest_is_told(shop: Lab) -> None:
    kubectl = shop.cluster.kubectl
    kubectl(*patch("plain", {"data": {"colour": "blue"}}))
    kubectl(*patch("guarded", {"data": {"colour": "blue"}}))
    kubectl("apply", "-f", "-", stdin=json.dumps(HOOK))
    report = shop.wait_until(lambda: found if (found := shop.drift()).unknown else None, what="the webhook is asked")
    assert told(report) == {("ConfigMap shop/plain", "/data/colour")}
    [why] = map(str, report.unknown)
    assert why.startswith("ConfigMap shop/guarded cannot be compared: ")
    assert "broken.example.com" in why
    kubectl("delete", "validatingwebhookconfiguration", "broken")
    shop.wait_until(lambda: not shop.drift().unknown, what="the webhook is not asked any more")
    revert(shop)


def test_who_bears_the_name_of_a_platform_is_told_by_the_audit_log(shop: Lab) -> None:
    shop.cluster.kubectl(*patch("plain", {"data": {"more": "1"}}), "--field-manager=kubelet")
    [one] = shop.drift().drifts
    assert (str(one.object), one.class_, one.pointer) == ("ConfigMap shop/plain", DriftClass.ADDED, "/data/more")
    assert (one.actor.user, one.actor.manager) == ("admin as alice", "kubelet")
    shop.cluster.kubectl(*patch("plain", {"data": {"more": None}}))
    shop.drift().assert_clean()


def reason(lab: Lab, name: str) -> str:
    words = ("get", KUSTOMIZATIONS, name, "-n", "flux-system")
    return lab.cluster.kubectl(*words, '-o=jsonpath={.status.conditions[?(@.type=="Ready")].reason}')


def colour(lab: Lab, name: str) -> str:
    return lab.cluster.kubectl("get", "configmap", name, "-n", "shop", "-o", "jsonpath={.data.colour}")


@contextmanager
def followed(lab: Lab, name: str, *objects: JsonObject, **more: Json) -> Iterator[None]:
    """One more Kustomization as long as the block runs, Ready when it begins."""
    place = f"clusters/flux-playground/{name}.yaml"
    lab.repository.write(f"{name}/all.yaml", objects)
    lab.repository.write(place, kustomization(name, timeout="30s", **more))
    lab.converge(lab.repository.commit(f"Add {name}"))
    try:
        yield
    finally:
        lab.repository.delete(place)
        lab.repository.commit(f"Remove {name}")
        lab.wait_until(
            lambda: not lab.cluster.find("Kustomization", f"flux-system/{name}"),
            what="it is gone",
            timeout_seconds=HEALTH_CHECK_SECONDS,
        )
        lab.converge()


@pytest.mark.verify
def test_a_commit_that_was_applied_and_is_not_healthy_is_no_drift_and_an_edit_of_it_is(shop: Lab) -> None:
    never: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "nothing", "namespace": "shop"}
    with followed(shop, "sick", settings("sick", data={"colour": "red"})):
        shop.repository.write("sick/all.yaml", settings("sick", data={"colour": "green"}))
        sick = kustomization("sick", timeout="30s", healthChecks=[never])
        shop.repository.write("clusters/flux-playground/sick.yaml", sick)
        shop.repository.commit("Wait for what never comes")
        shop.wait_until(
            lambda: reason(shop, "sick") == "HealthCheckFailed",
            what="its health checks fail",
            timeout_seconds=HEALTH_CHECK_SECONDS,
        )
        assert colour(shop, "sick") == "green"
        shop.drift().assert_clean()
        shop.cluster.kubectl(*patch("sick", {"data": {"colour": "blue"}}))
        [drift] = shop.drift().drifts
        assert (str(drift.object), drift.desired, drift.live) == ("ConfigMap shop/sick", '"green"', '"blue"')
        assert drift.fate.reverted
        shop.cluster.kubectl("annotate", KUSTOMIZATIONS, "sick", "-n", "flux-system", f"{REQUESTED}=now")
        shop.wait_until(lambda: colour(shop, "sick") == "green", what="its next try reverts the edit")


def test_of_a_commit_that_was_applied_in_part_only_what_it_leaves_alone_is_certain(shop: Lab) -> None:
    kept = settings("kept", data={"colour": "red"})
    frozen: JsonObject = {**settings("frozen", data={"colour": "red"}), "immutable": True}
    with followed(shop, "part", kept, frozen, settings("part", data={"colour": "red"})):
        shop.drift().assert_clean()
        blue: JsonObject = {"colour": "blue"}
        changed = [{**frozen, "data": blue}, settings("part", data=blue)]
        shop.repository.write("part/all.yaml", [kept, *changed])
        shop.repository.commit("Change what cannot be changed")
        shop.wait_until(lambda: reason(shop, "part") == "ReconciliationFailed", what="it is refused")
        shop.cluster.kubectl(*patch("kept", {"data": blue}))
        report = shop.drift()
        assert told(report) == {("ConfigMap shop/kept", "/data/colour")}
        assert "immutable" in report.drifts[0].fate.why
        assert [str(one).partition(" cannot")[0] for one in report.unknown] == [
            "ConfigMap shop/frozen",
            "ConfigMap shop/part",
        ]
        assert {one.owner for one in report.unknown} == {"Kustomization flux-system/part"}
        assert "Kustomization flux-system/part" in str(report.unknown[0])


def test_what_flux_and_the_api_server_quote_of_a_secret_is_masked(shop: Lab) -> None:
    kept = settings("kept", data={"colour": "red"})
    with followed(shop, "quoting", kept):
        shop.cluster.kubectl("create", "secret", "generic", "canary", "-n", "default", f"--from-literal=key={CANARY}")
        shop.repository.write("quoting/all.yaml", [kept, settings(CANARY)])
        shop.repository.commit("Name an object as nothing may be named")
        shop.wait_until(lambda: reason(shop, "quoting") == "ReconciliationFailed", what="it is refused")
        assert CANARY in shop.cluster.kubectl("get", KUSTOMIZATIONS, "quoting", "-n", "flux-system", "-o", "yaml")
        shop.cluster.kubectl(*patch("kept", {"data": {"colour": "blue"}}))
        report = shop.drift()
        assert told(report) == {("ConfigMap shop/kept", "/data/colour")}
        assert "corrects nothing while it fails" in report.drifts[0].fate.why
        assert [str(one).partition(" cannot")[0] for one in report.unknown] == [f"ConfigMap shop/{MASK}"]
        assert CANARY not in repr(report)
        shop.cluster.kubectl("delete", "secret", "canary", "-n", "default")


def test_what_no_definition_is_left_for_is_unknown_and_the_definition_is_told(shop: Lab) -> None:
    names: JsonObject = {"plural": "gadgets", "kind": "Gadget", "singular": "gadget"}
    schema: JsonObject = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version: JsonObject = {"name": "v1", "served": True, "storage": True, "schema": schema}
    definition: JsonObject = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.example.org"},
        "spec": {"group": "example.org", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    gadget = {**settings("one"), "apiVersion": "example.org/v1", "kind": "Gadget"}
    with followed(shop, "gadgets", definition, gadget):
        shop.drift().assert_clean()
        shop.cluster.kubectl("delete", "crd", "gadgets.example.org")
        report = shop.wait_until(lambda: found if (found := shop.drift()).unknown else None, what="none are served")
        assert told(report) == {("CustomResourceDefinition gadgets.example.org", "")}
        [why] = map(str, report.unknown)
        assert why.startswith("Gadget shop/one cannot be compared: ")
        assert "Gadget" in why.partition(": ")[2]


def test_what_is_built_from_a_source_that_is_not_there_is_unknown(shop: Lab) -> None:
    with followed(shop, "sourceless", settings("sourceless")):
        shop.drift().assert_clean()
        elsewhere: JsonObject = {"spec": {"sourceRef": {"name": "nowhere"}}}
        shop.cluster.kubectl(*patch("sourceless", elsewhere, kind=KUSTOMIZATIONS, namespace="flux-system"))
        shop.wait_until(lambda: reason(shop, "sourceless") == "ArtifactFailed", what="its source is not found")
        report = shop.drift()
        assert told(report) == {("Kustomization flux-system/sourceless", "/spec/sourceRef/name")}
        assert tuple(map(str, report.unknown)) == (
            "Kustomization flux-system/sourceless is built from GitRepository flux-system/nowhere, which is not there",
        )


def test_what_cannot_be_changed_back_is_unknown_and_the_command_says_so_by_its_exit_code(shop: Lab) -> None:
    sealed: JsonObject = {**settings("sealed", data={"colour": "red"}), "immutable": True}
    with followed(shop, "sealed", sealed):
        shop.drift().assert_clean()
        shop.cluster.kubectl("delete", "configmap", "sealed", "-n", "shop", *AS_ALICE)
        other = json.dumps({**sealed, "data": {"colour": "blue"}})
        shop.cluster.kubectl("create", "-f", "-", *AS_ALICE, stdin=other)
        report = shop.drift()
        report.expect(Expected("ConfigMap shop/sealed", class_=DriftClass.UNKNOWN))
        [why] = map(str, report.unknown)
        assert "immutable" in why
        command = [sys.executable, "-m", "fluxlab", "drift", f"--lab={shop.name}"]
        told_ = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (told_.returncode, told_.stdout) == (2, f"could not tell: {why}\n")
        found = json.loads(subprocess.run([*command, "-o", "json"], capture_output=True, check=False).stdout)
        [one] = found["unknown"]
        assert (one["class"], one["object"]) == ("unknown", "ConfigMap shop/sealed")
        assert one["owner"] == "Kustomization flux-system/sealed"
        assert (found["clean"], found["drifts"]) == (False, [])
        assert (one["marks"], one["fate"]["reverted"]) == (["owner fails"], False)
        shop.cluster.kubectl("annotate", KUSTOMIZATIONS, "sealed", "-n", "flux-system", f"{REQUESTED}=now")
        shop.wait_until(lambda: reason(shop, "sealed") == "ReconciliationFailed", what="its controller is refused, too")
        # Flux knows nothing of the new one, and prunes nothing.
        shop.cluster.kubectl("delete", "configmap", "sealed", "-n", "shop")


def test_what_flux_is_told_to_force_is_made_again_as_foretold(shop: Lab) -> None:
    names = ("by-fetch", "by-kubectl")
    force: JsonObject = {"annotations": {"kustomize.toolkit.fluxcd.io/force": "enabled"}}
    sealed = [
        merged({**settings(name, data={"colour": "red"}), "immutable": True}, {"metadata": force}) for name in names
    ]
    with followed(shop, "forced", *sealed, retryInterval="1s"):
        for name, one, manager in zip(names, sealed, ("node-fetch", "kubectl-create"), strict=True):
            shop.cluster.kubectl("delete", "configmap", name, "-n", "shop", *AS_ALICE)
            blue = json.dumps({**one, "data": {"colour": "blue"}})
            shop.cluster.kubectl("create", "-f", "-", f"--field-manager={manager}", *AS_ALICE, stdin=blue)
        report = shop.drift()
        report.expect(*(Expected(f"ConfigMap shop/{name}", class_=DriftClass.UNKNOWN) for name in names))
        fates = {one.object.name: one.fate for one in report.unknown if one.object and one.fate}
        assert {name: (fate.reverted, fate.marks) for name, fate in fates.items()} == dict.fromkeys(
            names, (True, (Mark.FORCED,))
        )
        assert "fails, and makes it again at its next try" in fates["by-kubectl"].why
        assert "fails" not in fates["by-fetch"].why
        shop.cluster.kubectl("annotate", KUSTOMIZATIONS, "forced", "-n", "flux-system", f"{REQUESTED}=now")

        def made_again() -> bool:
            found = shop.cluster.kubectl("get", "configmap", *names, "-n", "shop", "--ignore-not-found", "-o", "json")
            maps = json.loads(found or '{"items": []}')["items"]
            return [one["data"]["colour"] for one in maps] == ["red", "red"]

        shop.wait_until(made_again, what="both are made again", timeout_seconds=60)
        shop.wait_until(lambda: reason(shop, "forced") == "ReconciliationSucceeded", what="it is Ready again")
        words = ("get", "events", "-n", "flux-system", "--field-selector=involvedObject.name=forced", "-o", "json")
        said = "\n".join(one["message"] for one in json.loads(shop.cluster.kubectl(*words))["items"])
        assert "ConfigMap/shop/by-kubectl metadata.managedFields cleanup failed" in said
        assert "ConfigMap/shop/by-fetch metadata.managedFields cleanup failed" not in said
        shop.drift().assert_clean()


def test_what_is_built_with_a_variable_that_is_gone_is_unknown_as_flux_says(shop: Lab) -> None:
    shop.cluster.kubectl("create", "configmap", "words", "-n", "flux-system", "--from-literal=COLOUR=red")
    words: Json = {"substituteFrom": [{"kind": "ConfigMap", "name": "words"}]}
    worded = settings("worded", data={"colour": "${COLOUR}"})
    with followed(shop, "worded", worded, postBuild=words):
        assert colour(shop, "worded") == "red"
        shop.cluster.kubectl(*patch("words", {"data": {"COLOUR": None, "OTHER": "x"}}, namespace="flux-system"))
        report = shop.drift()
        report.expect(Expected("Kustomization flux-system/worded", class_=DriftClass.UNKNOWN))
        [why] = map(str, report.unknown)
        assert why.startswith("Kustomization flux-system/worded cannot be built: ")
        assert "COLOUR" in why
        shop.cluster.kubectl("annotate", KUSTOMIZATIONS, "worded", "-n", "flux-system", f"{REQUESTED}=now")
        shop.wait_until(lambda: reason(shop, "worded") == "BuildFailed", what="its controller cannot build it, too")
    shop.cluster.kubectl("delete", "configmap", "words", "-n", "flux-system")


@pytest.mark.parametrize("release_", ["bm90IGEgcmVsZWFzZQ==", "SDRzSUFBQUFBQUFBLw==", ""])
def test_a_release_whose_storage_is_garbage_is_unknown(shop: Lab, release_: str) -> None:
    storage = ("secret", "-n", "shop", "sh.helm.release.v1.tiny.v1")
    kept = json.loads(shop.cluster.kubectl("get", *storage, "-o", "json"))["data"]["release"]

    def store(release: str) -> None:
        change: JsonObject = {"data": {"release": release}}
        shop.cluster.kubectl(*patch("sh.helm.release.v1.tiny.v1", change, kind="secret"))

    store(release_)
    report = shop.drift()
    store(kept)
    report.expect(Expected("HelmRelease shop/tiny", class_=DriftClass.UNKNOWN))
    assert "sh.helm.release.v1.tiny.v1" in str(report.unknown[0])
    shop.drift().assert_clean()


def test_a_release_whose_storage_is_gone_is_unknown(shop: Lab) -> None:
    storage = ("secret", "-n", "shop", "sh.helm.release.v1.tiny.v1")
    kept = shop.cluster.kubectl("get", *storage, "-o", "json")
    shop.cluster.kubectl("delete", *storage)
    report = shop.drift()
    shop.cluster.kubectl("create", "-f", "-", stdin=kept)
    assert [str(one).partition(":")[0] for one in report.unknown] == ["HelmRelease shop/tiny"]
    assert "sh.helm.release.v1.tiny.v1" in str(report.unknown[0])
    with pytest.raises(UnknownError, match="tiny"):
        report.assert_clean()


def test_hundreds_of_fields_of_a_large_object_are_told_one_by_one(shop: Lab) -> None:
    assert len(shop.cluster.kubectl("get", "configmap", "large", "-n", "shop", "-o", "json")) > MEGABYTE
    shop.cluster.kubectl(*patch("large", {"metadata": {"labels": {"team": "blue"}}}))
    assert told(shop.drift()) == {("ConfigMap shop/large", "/metadata/labels/team")}
    revert(shop)
    change: JsonObject = {f"key-{number}": f"{number}" for number in range(MANY)}
    shop.cluster.kubectl(*patch("large", {"data": change}))
    report = shop.drift()
    assert told(report) == {("ConfigMap shop/large", f"/data/key-{number}") for number in range(MANY)}
    assert {drift.live for drift in report.drifts} == {f'"{number}"' for number in range(MANY)}
    assert {drift.actor.user for drift in report.drifts} == {"admin as alice"}
    revert(shop)


def test_an_object_without_managed_fields_is_told_by_what_the_timeline_saw(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "TIMELINE_SECONDS", 2.0)  # some of what is looked for does not come
    kubectl = shop.cluster.kubectl
    kubectl(*patch("plain", {"data": {"more": "x"}}))
    kubectl(*patch("plain", {"metadata": {"managedFields": [{}]}}))
    assert (
        "managedFields" not in json.loads(kubectl("get", "configmap", "plain", "-n", "shop", "-o", "json"))["metadata"]
    )
    report = shop.drift()
    assert told(report) == {("ConfigMap shop/plain", "/data/more")}
    [drift] = report.drifts
    assert drift.actor.user == "admin as alice"
    kubectl(*patch("plain", {"data": {"more": None}}))  # which Flux, too, takes for nobody's
    revert(shop)
