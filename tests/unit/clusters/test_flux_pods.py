"""Flux's controllers as pods: what git names and what Secrets hold fit together, and no value is in git."""

from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from fluxlab.clusters.flux_controllers import CONTROLLERS, WayOut
from fluxlab.clusters.flux_pods import kustomize_fields, secrets

LABELS = {"fluxlab.dev/lab": "demo", "fluxlab.dev/lab-id": "0123"}
PEM = "-----BEGIN CERTIFICATE-----\nc4nary\n"
API = "10.96.0.1"


@pytest.fixture
def made(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The values of each Secret, by its name."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(PEM)
    proxies = {controller: f"http://{controller}:pass-of-{controller}@172.18.0.1:21000" for controller in CONTROLLERS}
    found = secrets(WayOut(proxy_url=proxies, authorities=authorities), api_address=API, labels=LABELS)
    raw = [cast("dict[str, Any]", secret.raw) for secret in found]
    assert all(one["metadata"]["namespace"] == "flux-system" for one in raw)
    assert all(one["metadata"]["labels"] == LABELS for one in raw)  # or nobody would remove them
    return {one["metadata"]["name"]: one["stringData"] for one in raw}


def patches(controller: str) -> list[Any]:
    """What git says of one controller's Deployment."""
    found = cast("list[dict[str, Any]]", kustomize_fields(LABELS)["patches"])
    return [
        yaml.safe_load(one["patch"]) for one in found if one["target"] == {"kind": "Deployment", "name": controller}
    ]


def pod(controller: str) -> dict[str, Any]:
    (found,) = [patch for patch in patches(controller) if isinstance(patch, dict)]
    return cast("dict[str, Any]", found["spec"]["template"]["spec"])


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_each_controller_has_the_variables_of_its_own_proxy(controller: str, made: dict[str, dict[str, str]]) -> None:
    (manager,) = pod(controller)["containers"]
    assert manager["name"] == "manager"
    (variables,) = [made[source["secretRef"]["name"]] for source in manager["envFrom"]]
    proxy = f"http://{controller}:pass-of-{controller}@172.18.0.1:21000"
    assert (variables["HTTPS_PROXY"], variables["HTTP_PROXY"]) == (proxy, proxy)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_the_authority_is_mounted_where_the_variables_say(controller: str, made: dict[str, dict[str, str]]) -> None:
    (manager,) = pod(controller)["containers"]
    (mount,), (volume,) = manager["volumeMounts"], pod(controller)["volumes"]
    assert mount["name"] == volume["name"]
    ((key, text),) = made[volume["secret"]["secretName"]].items()
    assert text == PEM
    variables = made[manager["envFrom"][0]["secretRef"]["name"]]
    assert variables["SSL_CERT_FILE"] == variables["GIT_SSL_CAINFO"] == f"{mount['mountPath']}/{key}"


def test_no_proxy_is_asked_for_what_is_in_the_cluster(made: dict[str, dict[str, str]]) -> None:
    lists = [values["NO_PROXY"].split(",") for values in made.values() if "HTTPS_PROXY" in values]
    assert len(lists) == len(CONTROLLERS)
    for spared in lists:
        assert API in spared
        # Go spares a host that ends with an entry which begins with a dot; Flux's own addresses end with one, too.
        for host in ("notification-controller.flux-system.svc.cluster.local.", "source-controller.flux-system.svc"):
            assert any(host.endswith(entry) for entry in spared)


def test_git_holds_none_of_the_values_and_all_of_the_labels(made: dict[str, dict[str, str]]) -> None:
    fields = kustomize_fields(LABELS)
    text = yaml.safe_dump(fields)
    assert "pass-of-" not in text
    assert "172.18.0.1" not in text
    assert "c4nary" not in text
    assert all(name in text for name in made)
    assert fields["labels"] == [{"pairs": LABELS}]


def test_those_that_reconcile_retry_soon() -> None:
    added = {
        controller: [
            operation["value"] for patch in patches(controller) if isinstance(patch, list) for operation in patch
        ]
        for controller in CONTROLLERS
    }
    assert added.pop("notification-controller") == []  # it has no such flags, and would not start
    assert added
    for flags in added.values():
        assert [flag.partition("=")[0] for flag in flags] == ["--min-retry-delay", "--requeue-dependency"]
