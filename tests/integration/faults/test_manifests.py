"""Faults that arrive as commits: what Flux says of them, told by kubectl, and what git has afterwards."""

import subprocess
from typing import Any

import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import suspend

from fluxlab.lab import Lab

SHOP = "flux-system/shop"
CART = "flux-system/cart"


def _git(lab: Lab, *words: str) -> str:
    bare = lab.folder.repositories / f"{lab.repository.name}.git"
    command = ["git", "-c", f"safe.directory={bare}", f"--git-dir={bare}", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _tree(lab: Lab) -> str:
    return _git(lab, "rev-parse", "main^{tree}")


def _ready(observer: Observer, kind: str, name: str) -> tuple[str, str, str]:
    found = observer.get(kind, name, "-n", "flux-system")
    (ready,) = (one for one in found["status"]["conditions"] if one["type"] == "Ready")
    return ready["status"], ready["reason"], ready["message"]


def _is_whole(lab: Lab, observer: Observer, tree: str) -> None:
    """Git has the same content by two more commits, and the shop is what it was."""
    assert _tree(lab) == tree
    applied = observer.get("kustomization", "shop", "-n", "flux-system")["status"]["lastAppliedRevision"]
    assert applied.endswith(_git(lab, "rev-parse", "main"))
    assert _ready(observer, "kustomization", "shop")[0] == "True"
    frontend: Any = observer.get("deployment", "frontend", "-n", "shop")
    assert frontend["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.shop.example/frontend:1.0.0"
    lab.converge()


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        ("manifest-syntax-error", "BuildFailed", "MalformedYAML"),
        ("manifest-path-gone", "ArtifactFailed", "kustomization path not found"),
        ("manifest-immutable-field", "ReconciliationFailed", "field is immutable"),
        ("manifest-unset-variable", "BuildFailed", "variable not set"),
        ("manifest-missing-crd", "ReconciliationFailed", "no matches for kind"),
    ],
)
def test_what_cannot_be_applied_is_refused(shop: Lab, observer: Observer, fault: str, reason: str, words: str) -> None:
    def refused() -> bool:
        status, why, message = _ready(observer, "kustomization", "shop")
        return status == "False" and why == reason and words in message

    tree = _tree(shop)
    with shop.fault(fault, target=SHOP, for_=200):
        assert _tree(shop) != tree
        shop.wait_until(refused, what="Flux refuses it")
        assert observer.get("deployment", "frontend", "-n", "shop")["status"]["availableReplicas"] == 2
    _is_whole(shop, observer, tree)


def test_what_a_person_has_reverted_is_healed(shop: Lab, observer: Observer) -> None:
    tree = _tree(shop)
    with shop.fault("manifest-missing-crd", target=SHOP, for_=200):
        shop.repository.revert("main")
        shop.converge()
    _is_whole(shop, observer, tree)


def test_what_a_person_has_mended_in_their_own_way_is_healed_and_stays(shop: Lab, observer: Observer) -> None:
    tree, file = _tree(shop), "apps/shop/frontend.yaml"
    with shop.fault("manifest-bad-image", target=SHOP, for_=300):
        missing = shop.repository.read(file)
        mended = missing.replace("frontend:0.0.0-missing", "frontend:1.0.1")
        assert mended != missing
        shop.repository.write(file, mended)
        mending = shop.repository.commit("Use a tag that is there")
    assert f"{_git(shop, 'show', f'main:{file}')}\n" == mended
    assert not observer.kubectl("get", "mutatingadmissionpolicies,mutatingadmissionpolicybindings", "-o", "name")
    shop.converge()
    frontend = observer.get("deployment", "frontend", "-n", "shop")
    assert frontend["spec"]["template"]["spec"]["containers"][0]["image"].endswith("frontend:1.0.1")
    shop.repository.write(file, missing.replace("0.0.0-missing", "1.0.0"))
    shop.repository.commit(f"Undo {mending.sha[:7]}")
    shop.converge()
    _is_whole(shop, observer, tree)


@pytest.mark.parametrize(
    ("fault", "target"),
    [("manifest-bad-image", SHOP), ("manifest-syntax-error", SHOP), ("release-bad-values", CART)],
)
def test_a_fault_is_out_of_git_although_somebody_keeps_flux_from_applying_the_revert(
    shop: Lab, observer: Observer, fault: str, target: str
) -> None:
    kind, name = {SHOP: ("kustomization", "shop"), CART: ("helmrelease", "cart")}[target]
    tree = _tree(shop)
    try:
        with shop.fault(fault, target=target, for_=300):
            suspend(observer, kind, name, "true")
        assert _tree(shop) == tree
        assert observer.get(kind, name, "-n", "flux-system")["spec"]["suspend"]
    finally:
        suspend(observer, kind, name, "null")
    shop.converge()
    _is_whole(shop, observer, tree)


def test_an_empty_folder_prunes_everything(shop: Lab, observer: Observer) -> None:
    tree = _tree(shop)
    with shop.fault("manifest-empty-directory", target=SHOP, for_=200):
        assert not observer.kubectl("get", "deployment", "frontend", "-n", "shop", "--ignore-not-found")
        assert _ready(observer, "kustomization", "shop")[0] == "True"
    _is_whole(shop, observer, tree)


def test_what_is_forced_is_made_anew_and_once_more_by_the_revert(shop: Lab, observer: Observer) -> None:
    def frontend() -> Any:
        return observer.get("deployment", "frontend", "-n", "shop")

    tree, before = _tree(shop), frontend()
    with shop.fault("manifest-forced", target=SHOP, for_=200):
        anew = frontend()
        assert anew["metadata"]["uid"] != before["metadata"]["uid"]
        assert anew["spec"]["selector"] != before["spec"]["selector"]
    _is_whole(shop, observer, tree)
    assert frontend()["metadata"]["uid"] not in {before["metadata"]["uid"], anew["metadata"]["uid"]}
    assert frontend()["spec"]["selector"] == before["spec"]["selector"]


def test_a_mistake_that_is_forced_deletes_what_runs_and_nothing_brings_it_back_but_a_commit(
    shop: Lab, observer: Observer
) -> None:
    def there() -> str:
        return observer.kubectl("get", "deployment", "frontend", "-n", "shop", "--ignore-not-found", "-o", "name")

    tree = _tree(shop)
    with shop.fault("manifest-forced-invalid", target=SHOP, for_=200):
        assert not there()
        status, reason, message = _ready(observer, "kustomization", "shop")
        assert (status, reason) == ("False", "ReconciliationFailed")
        assert "spec.replicas: Invalid value" in message
        shop.never(there, what="the Deployment is made anew", for_seconds=8)  # with a retry each 3 s
    _is_whole(shop, observer, tree)
    assert there()


@pytest.mark.parametrize("fault", ["manifest-bad-image", "manifest-unhealthy"])
def test_a_rollout_hangs_while_the_old_pods_go_on(shop: Lab, observer: Observer, fault: str) -> None:
    tree = _tree(shop)
    with shop.fault(fault, target=SHOP, for_=300):
        pods = observer.get("pods", "-n", "shop", "-l", "app=frontend")["items"]
        hanging = [pod for pod in pods if pod["status"]["phase"] == "Pending"]
        assert len(hanging) == 1
        status = hanging[0]["status"]
        waiting = [one["state"]["waiting"]["reason"] for one in status.get("containerStatuses", [])]
        scheduled = [one.get("reason") for one in status["conditions"] if one["type"] == "PodScheduled"]
        assert waiting == ["ImagePullBackOff"] or scheduled == ["Unschedulable"]
        assert observer.get("deployment", "frontend", "-n", "shop")["status"]["availableReplicas"] == 2
    _is_whole(shop, observer, tree)
    assert not observer.kubectl("get", "mutatingadmissionpolicies,mutatingadmissionpolicybindings", "-o", "name")


def test_a_chart_version_that_is_not_there_stalls_the_chart(shop: Lab, observer: Observer) -> None:
    tree = _tree(shop)
    with shop.fault("release-unknown-version", target=CART, for_=200):
        assert _ready(observer, "helmchart", "flux-system-cart")[1] == "InvalidChartReference"
        assert _ready(observer, "helmrelease", "cart")[1] == "SourceNotReady"
    _is_whole(shop, observer, tree)
    assert _ready(observer, "helmrelease", "cart")[0] == "True"


def test_bad_values_fail_the_upgrade(shop: Lab, observer: Observer) -> None:
    tree = _tree(shop)
    with shop.fault("release-bad-values", target=CART, for_=200):
        conditions = observer.get("helmrelease", "cart", "-n", "flux-system")["status"]["conditions"]
        released = {one["type"]: one["reason"] for one in conditions}["Released"]
        assert released == "UpgradeFailed"
    _is_whole(shop, observer, tree)
    assert _ready(observer, "helmrelease", "cart")[0] == "True"


def test_what_others_commit_meanwhile_stays(shop: Lab, observer: Observer) -> None:
    path = "apps/shop/settings.yaml"
    with shop.fault("manifest-unset-variable", target=SHOP, for_=200):
        shop.repository.patch(path, {"data": {"currency": "SEK"}})
        shop.repository.commit("Pay in kronor")
    assert _git(shop, "show", f"main:{path}").count("SEK") == 1
    assert "FLUXLAB_UNSET" not in _git(shop, "grep", "-h", "", "main")
    assert observer.get("configmap", "settings", "-n", "shop")["data"]["currency"] == "SEK"


def test_what_somebody_prepares_stays_out_of_it(shop: Lab) -> None:
    shop.repository.write("notes.txt", "not yet")
    with shop.fault("manifest-missing-crd", target=SHOP, for_=200):
        assert "notes.txt" not in _git(shop, "ls-tree", "--name-only", "main")
    shop.repository.close()
