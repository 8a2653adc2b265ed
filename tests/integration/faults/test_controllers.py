"""Faults of controllers: what a test sees of the processes themselves, and kubectl of what they left."""

from typing import Any

import psutil
import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import broken, condition, process_of
from tests.integration.traces import ended

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.documents import JsonObject
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab

SHOP = "clusters/flux-playground/shop.yaml"


def test_a_paused_controller_does_nothing_and_catches_up(shop: Lab, observer: Observer) -> None:
    def applied() -> bool:
        return bool(observer.kubectl("get", "configmap", "paused", "-n", "shop", "-o", "name", "--ignore-not-found"))

    process = process_of(shop, "kustomize-controller")
    with shop.fault("controller-pause", target="kustomize-controller", for_=60) as fault:
        assert process.status() == psutil.STATUS_STOPPED
        assert str(process.pid) in fault.proof
        manifest: JsonObject = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "paused", "namespace": "shop"},
        }
        shop.repository.write("clusters/flux-playground/paused.yaml", manifest)
        shop.repository.commit("Add a ConfigMap while nobody applies it")
        shop.never(applied, what="a stopped process applies", for_seconds=2)
    assert process.status() != psutil.STATUS_STOPPED
    shop.wait_until(applied, what="it catches up")


def test_a_controller_that_dies_while_it_is_paused_is_started_again(shop: Lab) -> None:
    process = process_of(shop, "helm-controller")
    with shop.fault("controller-pause", target="helm-controller", for_=120):
        process.kill()
        shop.wait_until(lambda: ended(process), what="it has ended")
    after = process_of(shop, "helm-controller")
    assert after.pid != process.pid
    assert after.status() != psutil.STATUS_STOPPED
    assert not shop.status().broken()


def test_a_controller_is_not_said_to_be_back_while_it_would_end_again(shop: Lab, observer: Observer) -> None:
    manager = "kube-controller-manager"
    cluster = shop.cluster.name
    shop.faults.inject("etcd-pause", cluster=cluster, for_seconds=600)
    killed = shop.faults.inject("controller-kill", cluster=cluster, target=manager, for_seconds=600)
    with pytest.raises(UnknownError, match="cannot be taken out while"):
        shop.faults.heal(killed.id)
    shop.faults.heal()
    observer.kubectl("create", "deployment", "back", "--image=registry.example/none")
    observer.kubectl("rollout", "status", "deployment/back", "--timeout=55s")
    observer.kubectl("delete", "deployment", "back")
    assert broken(shop) == []


@pytest.mark.parametrize("fault", ["controller-pause", "controller-kill"])
def test_a_controller_that_somebody_scales_to_nothing_is_left_so(shop: Lab, observer: Observer, fault: str) -> None:
    def scale(replicas: int) -> None:
        observer.kubectl("scale", "deployment/helm-controller", "-n", "flux-system", f"--replicas={replicas}")

    process = process_of(shop, "helm-controller")
    with shop.fault(fault, target="helm-controller", for_=120):
        scale(0)
        shop.wait_until(lambda: ended(process), what="it has ended", timeout_seconds=60)
        shop.wait_until(lambda: not shop.status().broken(), what="nobody misses it", timeout_seconds=60)
    assert shop.status().clusters[0].pid_of("helm-controller") is None
    scale(1)
    shop.wait_until(lambda: shop.status().clusters[0].pid_of("helm-controller"), what="it runs again")


@pytest.mark.parametrize("name", ["kube-controller-manager", "kube-scheduler", "kwok", "helm-controller"])
def test_a_killed_controller_stays_dead_until_it_is_healed(shop: Lab, name: str) -> None:
    process = process_of(shop, name)
    arguments = process.cmdline()
    with shop.fault("controller-kill", target=name, for_=60):
        assert ended(process)
        shop.wait_until(lambda: broken(shop) == [name], what="the supervisor says so")
    after = process_of(shop, name)
    assert after.pid != process.pid
    assert after.cmdline() == arguments
    assert not shop.status().broken()


def _deployment(observer: Observer, name: str) -> dict[str, Any]:
    """What of it nobody but its owners should change."""
    found = observer.get("deployment", name, "-n", "flux-system", "--show-managed-fields")
    managed = [one for one in found["metadata"]["managedFields"] if one.get("subresource") != "status"]
    return {"spec": found["spec"], "managed": sorted(managed, key=str)}


@pytest.mark.parametrize("name", ["kustomize-controller", "notification-controller"])
def test_a_controller_that_was_scaled_down_comes_back_with_everything_as_it_was(
    shop: Lab, observer: Observer, name: str
) -> None:
    before, process = _deployment(observer, name), process_of(shop, name)
    with shop.fault("controller-scaled-down", target=name, for_=120):
        assert ended(process)
        assert _deployment(observer, name)["spec"]["replicas"] == 0
        assert not shop.status().broken()  # it was told to end
        shop.wait_until(
            lambda: not observer.get("pods", "-n", "flux-system", "-l", f"app={name}")["items"], what="its pods go"
        )
    assert _deployment(observer, name) == before
    assert process_of(shop, name).is_running()


def test_whoever_scales_it_up_meanwhile_keeps_the_field(shop: Lab, observer: Observer) -> None:
    with shop.fault("controller-scaled-down", target="helm-controller", for_=120):
        place = ("deployment", "helm-controller", "-n", "flux-system")
        observer.kubectl("patch", *place, "--field-manager=ada", "-p", '{"spec": {"replicas": 1}}')
    managed = observer.get(*place, "--show-managed-fields")["metadata"]["managedFields"]
    owners = {one["manager"] for one in managed if "f:replicas" in one["fieldsV1"].get("f:spec", {})}
    assert owners - {"kustomize-controller"} == {"ada"}  # which may just have applied the same number
    assert "fluxlab-fault" not in {one["manager"] for one in managed}


def test_a_release_that_is_cut_off_stays_pending_and_is_unlocked_after_healing(shop: Lab, observer: Observer) -> None:
    def statuses() -> list[str]:
        found = observer.get("secrets", "-n", "shop", "-l", "owner=helm,name=cart")["items"]
        return [one["metadata"]["labels"]["status"] for one in found]

    def unlocked() -> bool:
        events = observer.get("events", "-n", "flux-system")["items"]
        return any(one["reason"] == "PendingRelease" and "Unlocked" in one["message"] for one in events)

    shop.converge()
    before, process = shop.repository.read(SHOP), process_of(shop, "helm-controller")
    assert not unlocked()
    with shop.fault("controller-killed-mid-release", target="flux-system/cart", for_=180) as fault:
        assert ended(process)
        assert "pending-upgrade" in statuses()
        values = observer.get("helmrelease", "cart", "-n", "flux-system")["spec"]["values"]
        assert values == {"rehearsal": fault.id}
    assert "pending-upgrade" not in statuses()
    assert shop.repository.read(SHOP) == before
    assert "values" not in observer.get("helmrelease", "cart", "-n", "flux-system")["spec"]
    shop.wait_until(unlocked, what="helm-controller says that it unlocked the release")
    shop.converge()


def test_a_release_that_is_cut_off_while_it_is_uninstalled_is_known_neither_as_there_nor_as_gone(
    shop: Lab, observer: Observer
) -> None:
    def statuses() -> list[str]:
        found = observer.get("secrets", "-n", "shop", "-l", "owner=helm,name=cart")["items"]
        return [one["metadata"]["labels"]["status"] for one in found]

    shop.converge()
    before, process = shop.repository.read(SHOP), process_of(shop, "helm-controller")
    with shop.fault("controller-killed-mid-uninstall", target="flux-system/cart", for_=180):
        assert ended(process)
        assert process_of(shop, "helm-controller").is_running()
        assert statuses()[-1] == "uninstalling"
        assert "deployed" not in statuses()
        assert "has no deployed releases" in condition(observer, "helmrelease", "cart", "Released")
        assert shop.repository.read(SHOP) == before
    assert statuses()[-1] == "deployed"
    assert "uninstalling" not in statuses()
    assert shop.repository.read(SHOP) == before
    assert observer.get("deployment", "cart", "-n", "shop")["status"]["availableReplicas"]
    shop.converge()


def test_a_prune_that_is_cut_off_leaves_some_and_is_finished_after_healing(shop: Lab, observer: Observer) -> None:
    def left() -> int:
        return len(observer.get("configmaps", "-n", "default", "-l", "fluxlab.dev/pruned")["items"])

    shop.converge()
    process = process_of(shop, "kustomize-controller")
    with shop.fault("controller-killed-mid-prune", for_=180, objects=50):
        assert ended(process)
        assert 0 < left() < 50
        assert condition(observer, "kustomization", "flux-system", "Ready").startswith(("True", "Unknown"))
    assert not left()
    shop.converge()


def test_the_news_of_a_push_is_refused_while_the_receiver_has_another_token(shop: Lab, observer: Observer) -> None:
    def token() -> str:
        return str(observer.get("secret", "fluxlab-push", "-n", "flux-system")["data"]["token"])

    def told(answer: str) -> bool:
        return any(answer in repository.last_webhook for repository in shop.status().repositories)

    def push(currency: str) -> None:
        shop.repository.patch("apps/shop/settings.yaml", {"data": {"currency": currency}})
        shop.repository.commit(f"Pay in {currency}")

    shop.converge()
    before = token()
    with shop.fault("receiver-secret-wrong", for_=300):
        assert token() != before
        push("SEK")
        shop.wait_until(lambda: told("HTTP 400"), what="the news is refused")
        assert condition(observer, "receiver", "fluxlab-push", "Ready").startswith("True")
        shop.converge(timeout_seconds=120)
    assert token() == before
    push("EUR")
    shop.wait_until(lambda: told("HTTP 200"), what="the news is taken")
    shop.converge()


@pytest.mark.parametrize(
    ("name", "reason"), [("controller-lease-stolen", "elect no leader"), ("controller-oom", "without cgroups")]
)
def test_what_processes_cannot_have_is_refused_with_the_reason(shop: Lab, name: str, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=name) as caught:
        shop.faults.inject(name, cluster="flux-playground")
    assert reason in caught.value.facts[0]
    assert shop.faults.active() == []
