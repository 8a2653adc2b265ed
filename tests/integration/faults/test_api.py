"""Faults of the API server: what a raw connection, kubectl and psutil see of them."""

import os
import secrets
import signal
import socket
import ssl
import time
from typing import Any

import psutil
import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.sight import address_of, broken, condition, process_of, restart_supervisor
from tests.integration.traces import ended

from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.lab import Lab

CLIENTS = ("kube-controller-manager", "source-controller", "kustomize-controller")
WEBHOOKS, POLICIES = "validatingwebhookconfigurations", "validatingadmissionpolicies,validatingadmissionpolicybindings"


def config_map(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}}


def _names(observer: Observer, kinds: str) -> list[str]:
    return [item["metadata"]["name"] for item in observer.get(kinds)["items"]]


def test_a_paused_api_server_takes_a_connection_and_says_nothing(shop: Lab, observer: Observer) -> None:
    process, address = process_of(shop, "kube-apiserver"), address_of(observer)
    with shop.fault("api-pause", for_=60):
        assert process.status() == psutil.STATUS_STOPPED
        with socket.create_connection(address, timeout=1) as raw, pytest.raises(TimeoutError):
            ssl.create_default_context().wrap_socket(raw, server_hostname=address[0])
        assert shop.status().phase == "ready"  # who owns the lab answers still
        began = time.monotonic()
        shop.repository.write("clusters/flux-playground/meanwhile.yaml", config_map("meanwhile"))
        assert shop.repository.commit("Git goes on").before.versions == {}
        assert time.monotonic() - began < 20  # an answer of the API server is waited for for half a minute
    assert process.status() != psutil.STATUS_STOPPED
    assert "shop" in observer.kubectl("get", "namespaces", "-o", "name")


def test_a_killed_api_server_stays_dead_until_it_is_healed_and_flux_goes_on_at_once(
    shop: Lab, observer: Observer
) -> None:
    process, address = process_of(shop, "kube-apiserver"), address_of(observer)
    clients = {process_of(shop, name) for name in CLIENTS}
    with shop.fault("api-kill", for_=120):
        assert ended(process)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=1)
        shop.wait_until(lambda: broken(shop) == ["kube-apiserver"], what="the supervisor says so")
    assert process_of(shop, "kube-apiserver").pid != process.pid
    # Left to themselves, its clients would come back after half a minute and more.
    assert clients.isdisjoint(process_of(shop, name) for name in CLIENTS)
    shop.repository.write("clusters/flux-playground/alive.yaml", config_map("alive"))
    shop.repository.commit("Add a ConfigMap after the API server was gone")
    shop.wait_until(
        lambda: observer.kubectl("get", "configmap", "alive", "-n", "shop", "-o", "name", "--ignore-not-found"),
        what="Flux goes on",
        timeout_seconds=90,
    )


def test_what_excludes_a_dead_api_server_is_refused_while_it_is_dead(shop: Lab) -> None:
    controller = process_of(shop, "helm-controller")
    with shop.fault("api-kill", for_=120), pytest.raises(UsageError, match="excludes"):
        shop.faults.inject("controller-pause", cluster="flux-playground", target="helm-controller")
    assert controller.pid != process_of(shop, "helm-controller").pid  # healing starts everybody anew


def test_a_dead_webhook_refuses_writes_in_its_namespace_only_and_leaves_nothing(shop: Lab, observer: Observer) -> None:
    def write(namespace: str) -> str:
        words = ("annotate", "configmap", "kube-root-ca.crt", "-n", namespace, "tried=it", "--dry-run=server")
        return observer.kubectl(*words, check=False)

    def told() -> str:
        return condition(observer, "kustomization", "shop", "Ready")

    with shop.fault("webhook-dead", target="shop", for_=120):
        assert "failed calling webhook" in write("shop")
        assert "annotated" in write("default")
        shop.wait_until(lambda: "failed calling webhook" in told(), what="Flux is refused", timeout_seconds=60)
    assert "annotated" in write("shop")
    assert _names(observer, WEBHOOKS) == []
    shop.wait_until(lambda: told().startswith("True"), what="the Kustomization is Ready again", timeout_seconds=60)


def test_a_policy_denies_one_user_one_operation(shop: Lab, observer: Observer) -> None:
    user = "system:serviceaccount:flux-system:helm-controller"

    def write(*acting: str) -> str:
        words = ("annotate", "configmap", "cart", "-n", "shop", "tried=it", "--dry-run=server")
        return observer.kubectl(*words, *acting, check=False)

    with shop.fault("admission-deny", target="shop", user=user, for_=120):
        assert "denied request" in write(f"--as={user}")
        assert "annotated" in write()
        assert "annotated" in write("--as=system:serviceaccount:flux-system:kustomize-controller")
        deleting = ("delete", "configmap", "cart", "-n", "shop", "--dry-run=server", f"--as={user}")
        assert "deleted" in observer.kubectl(*deleting)
    assert "annotated" in write(f"--as={user}")
    assert _names(observer, POLICIES) == []


@pytest.mark.parametrize("operation", ["CREATE", "DELETE"])
def test_a_policy_can_deny_what_makes_and_what_removes(shop: Lab, observer: Observer, operation: str) -> None:
    user = "system:serviceaccount:flux-system:kustomize-controller"
    words = {
        "CREATE": ("create", "configmap", "new", "-n", "shop"),
        "DELETE": ("delete", "configmap", "settings", "-n", "shop"),
    }[operation]
    with shop.fault("admission-deny", target="shop", operation=operation, for_=120):
        assert "denied request" in observer.kubectl(*words, "--dry-run=server", f"--as={user}", check=False)
    assert "denied" not in observer.kubectl(*words, "--dry-run=server", f"--as={user}")


@pytest.mark.parametrize(
    ("fault", "chosen", "says"),
    [
        ("webhook-dead", {}, "failed calling webhook"),
        ("admission-deny", {"operation": "CREATE"}, "denied request"),
    ],
)
def test_what_is_in_no_namespace_is_written_while_all_kinds_of_one_are_refused(
    shop: Lab, observer: Observer, fault: str, chosen: Any, says: str
) -> None:
    acting = ("--dry-run=server", "--as=system:serviceaccount:flux-system:kustomize-controller")
    rules = ("--verb=get", "--resource=pods", *acting)
    with shop.fault(fault, target="shop", resource="*", for_=120, **chosen):
        assert says in observer.kubectl("create", "role", "new", "-n", "shop", *rules, check=False)
        assert "created" in observer.kubectl("create", "clusterrole", "new", *rules)
        assert "created" in observer.kubectl("create", "namespace", "new", *acting)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "flux-system"}, "no target is 'flux-system'"),
        ({"parameters": {"resource": "nonsense"}}, "serves no kind 'nonsense'"),
        ({"parameters": {"resource": "nodes"}}, "nodes are in no namespace"),
        ({"parameters": {"resource": "jobs"}}, "there are no jobs in namespace shop"),
        ({"parameters": {"resource": "a b"}}, "cannot have these parameters"),
    ],
)
def test_what_cannot_be_refused_is_refused_before_anything_is_touched(
    shop: Lab, observer: Observer, given: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        shop.faults.inject("webhook-dead", cluster="flux-playground", **given)  # type: ignore[arg-type] # on purpose
    assert _names(observer, WEBHOOKS) == []


def test_an_api_service_without_a_backend_keeps_a_namespace_from_going(shop: Lab, observer: Observer) -> None:
    with shop.fault("apiservice-dead", for_=120):
        services = observer.get("apiservices")["items"]
        conditions = {service["metadata"]["name"]: service["status"]["conditions"][0] for service in services}
        assert conditions["v1.dead.fluxlab.dev"]["status"] == "False"
        observer.kubectl("create", "namespace", "doomed")
        observer.kubectl("delete", "namespace", "doomed", "--wait=false")

        def stuck() -> bool:
            told = observer.get("namespace", "doomed")["status"].get("conditions", [])
            return any("stale GroupVersion discovery: dead.fluxlab.dev" in one["message"] for one in told)

        shop.wait_until(stuck, what="the namespace cannot go", timeout_seconds=60)
    observer.kubectl("wait", "--for=delete", "namespace/doomed", "--timeout=60s")
    assert not [name for name in _names(observer, "apiservices") if "fluxlab" in name]


def test_what_outlives_a_killed_supervisor_is_taken_out_by_the_next_start(shop: Lab, observer: Observer) -> None:
    shop.faults.inject("webhook-dead", cluster="flux-playground", target="shop")
    shop.faults.inject("controller-pause", cluster="flux-playground", target="source-controller")
    shop.faults.inject("api-pause", cluster="flux-playground")
    paused = process_of(shop, "kube-apiserver")
    supervisor = shop.status().supervisor_pid
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    restart_supervisor(shop)
    assert shop.faults.active() == []
    assert ended(paused)
    assert _names(observer, WEBHOOKS) == []
    for name in ("kube-apiserver", "source-controller"):
        assert process_of(shop, name).status() != psutil.STATUS_STOPPED
    # Who failed at the webhook in between would try again after its interval, ten minutes for the root.
    asking = f"reconcile.fluxcd.io/requestedAt={secrets.token_hex(4)}"
    observer.kubectl("annotate", "--overwrite", "kustomization", "--all", "-n", "flux-system", asking)
    shop.converge()
