"""Two environments: one repository, two clusters, base and overlays, a Secret each, and no effect on one another."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine, Observer, command_lines
from tests.integration.gitops import Person
from tests.integration.traces import component_of, ended

pytestmark = pytest.mark.integration
Eventually = Callable[..., object]
LAB = "staging-production"
BASE = "environments/base/oteldemo/oteldemo.yaml"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("environments")):
        told = command_line.run("up", LAB, "--clone=fleet")
        assert told.returncode == 0, told.stderr
        shown = [line.split("#")[0].split() for line in told.stdout.splitlines() if "fluxlab secret set" in line]
        assert [words[-1] for words in shown] == ["staging", "production"]
        for words in shown:  # as the screen says
            command_line.ok(*words[1:], stdin=f"token-of-{words[-1]}\n")
        command_line.ok("wait")
        yield command_line


def token(cluster: Observer) -> str:
    found = cluster.kubectl("get", "-n=causely", "secret/causely-token", "-o=jsonpath={.data.token}")
    return base64.b64decode(found).decode()


def replicas(cluster: Observer, name: str) -> int:
    return int(cluster.get("-n=otel-demo", f"deployment/{name}")["spec"]["replicas"])


def held(cluster: Observer) -> dict[tuple[str, str, str], str]:
    """What tells one cluster from any other: the UIDs of what Flux applied, what that became, and what it reads."""
    found = cluster.get("kustomizations,helmreleases,deployments", "-A")["items"]
    found += cluster.get("secrets", "-n=causely")["items"]
    return {
        (one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one["metadata"]["uid"] for one in found
    }


def test_each_cluster_has_what_the_overlays_say_and_a_secret_of_its_own(lab: CommandLine) -> None:
    staging, production = (lab.observer(LAB, name) for name in ("staging", "production"))
    assert (token(staging), token(production)) == ("token-of-staging", "token-of-production")
    assert (replicas(staging, "frontend"), replicas(production, "frontend")) == (1, 2)
    for name, cluster in (("staging", staging), ("production", production)):
        seen = cluster.get("-n=causely", "configmap/causely")["data"]["cluster_name"]
        assert seen == name


def test_a_commit_to_the_base_converges_in_both(lab: CommandLine) -> None:
    person = Person.of(lab, LAB)
    commit = person.change(BASE, "        replicas: 1", "        replicas: 3", "Scale cart everywhere (#7)")
    told = lab.run("wait", commit)
    assert told.returncode == 0, told.stderr
    assert {replicas(lab.observer(LAB, name), "cart") for name in ("staging", "production")} == {3}


def test_kubectl_and_flux_speak_to_the_chosen_cluster(lab: CommandLine) -> None:
    for name in ("staging", "production"):
        server = lab.ok("kubectl", "--cluster", name, "config", "view", "--minify", "-o=jsonpath={..server}")
        text = (lab.state / "labs" / LAB / "clusters" / name / "kubeconfig").read_text()
        assert server in text
    refused = lab.run("secret", "set", "causely/x", "KEY", stdin="value")
    assert refused.returncode == 64
    assert "--cluster" in refused.stderr


@pytest.mark.verify
def test_a_snapshot_starts_both_elsewhere_each_with_what_is_its_own(lab: CommandLine, tmp_path: Path) -> None:
    names = ("staging", "production")
    file = tmp_path / "both.tar.zst"
    lab.ok("snapshot", "save", str(file), f"--lab={LAB}")
    before = {name: held(lab.observer(LAB, name)) for name in names}
    assert before["staging"] != before["production"]
    for elsewhere in command_lines(tmp_path):
        elsewhere.ok("snapshot", "restore", str(file), "--name=copy")
        copies = {name: elsewhere.observer("copy", name) for name in names}
        assert {name: held(cluster) for name, cluster in copies.items()} == before
        assert [token(copies[name]) for name in names] == ["token-of-staging", "token-of-production"]
        # Both are alive, follow the copy's repository alone, and the original is left as it was.
        change = ("        replicas: ", "        replicas: 4  # was ", "Scale cart in the copy (#9)")
        elsewhere.ok("wait", Person.of(elsewhere, "copy").change(BASE, *change))
        assert {replicas(cluster, "cart") for cluster in copies.values()} == {4}
        for cluster in copies.values():
            cluster.kubectl("rollout", "status", "-n=otel-demo", "deployment/cart", "--timeout=55s")
    assert {name: held(lab.observer(LAB, name)) for name in names} == before


APPS = """\
apiVersion: v1
kind: Namespace
metadata: {name: apps}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: apps}
data: {colour: red}
"""
FROM_STAGING = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  interval: 10m
  path: ./apps
  prune: true
  deletionPolicy: Orphan
  sourceRef: {kind: GitRepository, name: flux-system}
  kubeConfig: {secretRef: {name: production}}
"""


@pytest.mark.verify
def test_what_flux_of_one_cluster_applies_to_the_other_is_no_drift_there(lab: CommandLine) -> None:
    production, person = lab.observer(LAB, "production"), Person.of(lab, LAB)
    credentials = production.kubectl("config", "view", "--raw", "--flatten")
    secret = (
        "create",
        "secret",
        "generic",
        "production",
        "--namespace=flux-system",
        f"--from-literal=value={credentials}",
    )
    lab.observer(LAB, "staging").kubectl(*secret)
    file = person.clone / "clusters/staging/apps.yaml"
    (person.clone / "apps").mkdir()
    (person.clone / "apps/all.yaml").write_text(APPS)
    file.write_text(FROM_STAGING)
    lab.ok("wait", person.commit("Apply apps from staging to production (#10)"))
    settings = ("configmap/settings", "--namespace=apps")
    assert production.get(*settings)["data"] == {"colour": "red"}
    assert lab.run("drift", "--cluster=production").returncode == 0
    assert lab.run("drift", "--cluster=production", "--since=1h").returncode == 0
    production.kubectl(
        "patch",
        *settings,
        "--type=merge",
        "--patch",
        '{"data": {"colour": "blue"}}',
        "--as=alice",
        "--as-group=system:masters",
    )
    lab.ok("flux", "--cluster=staging", "reconcile", "kustomization", "apps")
    assert production.get(*settings)["data"] == {"colour": "red"}
    assert "reverted by kustomize-controller" in lab.run("drift", "--cluster=production", "--since=1h").stdout
    file.unlink()
    lab.ok("wait", person.commit("Leave apps to themselves (#11)"))
    left = lab.run("drift", "--cluster=production")
    assert left.returncode == 1
    assert "ConfigMap apps/settings: orphan" in left.stdout
    production.kubectl("delete", "namespace", "apps")


@pytest.mark.verify
def test_the_death_of_one_api_server_is_not_noticed_in_the_other(lab: CommandLine, eventually: Eventually) -> None:
    production = lab.observer(LAB, "production")
    victim = component_of(lab, LAB, "staging", "kube-apiserver")
    victim.kill()
    eventually(lambda: ended(victim))
    person = Person.of(lab, LAB)
    commit = person.change(BASE, "        replicas: ", "        replicas: 2  # was ", "Scale cart down (#8)")
    eventually(lambda: replicas(production, "cart") == 2, within=60)

    status = lab.run("status")
    assert status.returncode == 1
    assert "staging/kube-apiserver" in status.stdout
    assert "killed by SIGKILL" in status.stdout
    unknown = lab.run("wait", commit, "--timeout=10")
    assert unknown.returncode == 2
    assert "does not answer" in unknown.stderr

    assert "staging/kube-apiserver" in lab.run("up", f"--name={LAB}").stderr
    lab.ok("wait", commit)
    assert replicas(lab.observer(LAB, "staging"), "cart") == 2
