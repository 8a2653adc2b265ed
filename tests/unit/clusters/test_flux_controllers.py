"""From a controller's Deployment to its process: what users patch in survives, what only holds in pods is replaced."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fluxlab.clusters.flux_controllers import (
    CONTROLLERS,
    ControllerPorts,
    FluxPorts,
    WayOut,
    arguments,
    environment,
    wanted,
)
from fluxlab.clusters.links import Links
from fluxlab.clusters.objects import KubeObject

FLUX = FluxPorts(artifacts=21001, events=21002, receiver=21003)
OWN = ControllerPorts(health=21004, metrics=21005)
STORAGE = Path("/lab/artifacts")
# As `flux install --export` of 2.9 writes it for source-controller.
UPSTREAM = [
    "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
    "--watch-all-namespaces=true",
    "--log-level=info",
    "--log-encoding=json",
    "--enable-leader-election",
    "--storage-path=/data",
    "--storage-adv-addr=source-controller.$(RUNTIME_NAMESPACE).svc.cluster.local.",
]


def deployment(
    *,
    args: Sequence[object] = (),
    env: Sequence[Mapping[str, Any]] = (),
    replicas: int | None = 1,
    annotations: Mapping[str, str] | None = None,
) -> KubeObject:
    template: dict[str, Any] = {
        "metadata": {"annotations": dict(annotations or {})},
        "spec": {"containers": [{"name": "manager", "args": list(args), "env": list(env)}]},
    }
    spec: dict[str, Any] = {"template": template, **({} if replicas is None else {"replicas": replicas})}
    return KubeObject({"kind": "Deployment", "metadata": {"name": "source-controller"}, "spec": spec})


def given(name: str, *args: str) -> list[str]:
    return arguments(name, args, flux=FLUX, own=OWN, storage=STORAGE, links=Links(enabled=False, reserve=lambda _: 0))


# -- what a Deployment asks for --------------------------------------------------------------------------------------


def test_arguments_and_plain_variables_are_read() -> None:
    env: list[dict[str, Any]] = [
        {"name": "RUNTIME_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "GOMAXPROCS", "value": "2"},
        {"name": "EMPTY", "value": ""},
        {"name": "NEITHER"},
    ]
    found = wanted(deployment(args=["--a=1", 7, "--b"], env=env))
    assert found.arguments == ("--a=1", "--b")
    assert found.environment == {"GOMAXPROCS": "2", "EMPTY": ""}
    assert found.running


def test_scaled_to_nothing_it_does_not_run() -> None:
    assert not wanted(deployment(replicas=0)).running
    assert wanted(deployment(replicas=3)).running


def test_a_rollout_restart_is_another_revision_and_a_scaling_is_not() -> None:
    before = wanted(deployment())
    again = wanted(deployment())
    restarted = wanted(deployment(annotations={"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}))
    assert before == again
    assert before.revision != restarted.revision
    assert wanted(deployment(replicas=2)).revision == before.revision


def test_a_deployment_without_containers_asks_for_nothing() -> None:
    found = wanted(KubeObject({"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 1}}))
    assert (found.arguments, found.environment) == ((), {})


# -- arguments -------------------------------------------------------------------------------------------------------


def test_what_users_patch_in_survives() -> None:
    patched = ["--concurrent=20", "--feature-gates=CancelHealthCheckOnNewRevision=true", "--requeue-dependency=5s"]
    assert given("kustomize-controller", *UPSTREAM, *patched)[: len(patched) + 3] == [
        "--watch-all-namespaces=true",
        "--log-level=info",
        "--log-encoding=json",
        *patched,
    ]


def test_a_value_may_follow_its_flag_as_a_word_of_its_own() -> None:
    words = ["--concurrent", "20", "--storage-path", "/data", "--log-level", "debug", "--metrics-addr", ":8080"]
    found = given("source-controller", *words)
    assert found[:4] == ["--concurrent", "20", "--log-level", "debug"]
    assert "/data" not in found
    assert ":8080" not in found


@pytest.mark.parametrize("name", CONTROLLERS)
def test_what_only_holds_in_a_pod_is_replaced_and_each_flag_is_given_once(name: str) -> None:
    pod = [
        *UPSTREAM,
        "--health-addr=:9440",
        "--metrics-addr=:8080",
        "--receiverAddr=:9292",
        "--storage-addr=:9090",
        "--enable-leader-election=true",
    ]
    found = given(name, *pod)
    names = [argument.partition("=")[0] for argument in found]
    assert len(set(names)) == len(names)
    assert not [argument for argument in found if "svc.cluster.local" in argument or "=:" in argument]
    assert "--enable-leader-election" not in names
    assert "/data" not in str(found)
    assert {"--health-addr=127.0.0.1:21004", "--metrics-addr=127.0.0.1:21005"} <= set(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "source-controller",
            [
                "--events-addr=http://127.0.0.1:21002/",
                "--storage-path=/lab/artifacts",
                "--storage-addr=127.0.0.1:21001",
                "--storage-adv-addr=127.0.0.1:21001",
            ],
        ),
        ("kustomize-controller", ["--events-addr=http://127.0.0.1:21002/"]),
        ("helm-controller", ["--events-addr=http://127.0.0.1:21002/"]),
        ("notification-controller", ["--events-addr=127.0.0.1:21002", "--receiverAddr=127.0.0.1:21003"]),
    ],
)
def test_each_controller_gets_the_addresses_it_knows(name: str, expected: list[str]) -> None:
    addressed = [argument for argument in given(name) if "addr" in argument.lower() or "storage" in argument]
    assert addressed == ["--health-addr=127.0.0.1:21004", "--metrics-addr=127.0.0.1:21005", *expected]


def test_client_limits_are_raised_unless_the_user_chose_some() -> None:
    assert {"--kube-api-qps=1000", "--kube-api-burst=2000"} <= set(given("helm-controller"))
    chosen = given("helm-controller", "--kube-api-qps=5")
    assert [argument for argument in chosen if "qps" in argument] == ["--kube-api-qps=5"]
    assert "--kube-api-burst=2000" in chosen


# -- environment -----------------------------------------------------------------------------------------------------

WAY_OUT = WayOut(
    proxy_url={name: f"http://{name}:s3cret-{number}@127.0.0.1:21006" for number, name in enumerate(CONTROLLERS)},
    authorities=Path("/lab/authorities.pem"),
)


def of(name: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    return environment(
        name, given or {}, kubeconfig=Path("/lab/kc"), scratch=Path("/lab/scratch"), way_out=WAY_OUT, path="/bin"
    )


def test_nothing_of_the_users_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = of("source-controller")
    for name in ("AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "KUBECONFIG", "NO_PROXY", "GITHUB_TOKEN", "HOME"):
        monkeypatch.setenv(name, "the-users-own")
    assert of("source-controller") == plain
    assert "the-users-own" not in plain.values()


@pytest.mark.parametrize("name", CONTROLLERS)
def test_each_controller_goes_through_the_gateway_with_its_own_credentials(name: str) -> None:
    found = of(name)
    assert found["HTTPS_PROXY"] == found["HTTP_PROXY"] == WAY_OUT.proxy_url[name]
    assert found["NO_PROXY"] == ""
    assert found["SSL_CERT_FILE"] == found["GIT_SSL_CAINFO"] == "/lab/authorities.pem"


def test_a_controller_finds_the_cluster_and_writes_only_into_its_scratch_folder() -> None:
    found = of("helm-controller")
    assert (found["KUBECONFIG"], found["RUNTIME_NAMESPACE"], found["PATH"]) == ("/lab/kc", "flux-system", "/bin")
    assert {found[name] for name in ("HOME", "TMPDIR", "TUF_ROOT")} == {"/lab/scratch"}


def test_variables_of_the_deployment_survive_but_do_not_open_another_way_out() -> None:
    found = of("helm-controller", {"GOMAXPROCS": "2", "HTTPS_PROXY": "http://evil", "KUBECONFIG": "/etc/kc"})
    assert found["GOMAXPROCS"] == "2"
    assert (found["HTTPS_PROXY"], found["KUBECONFIG"]) == (WAY_OUT.proxy_url["helm-controller"], "/lab/kc")
