"""Faults in somebody's cluster do not outlive the lab that put them in: its owner looks with kubectl.

The cluster is another lab's.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.integration.conftest import CommandLine, Observer, command_lines
from tests.integration.gitops import git
from tests.integration.traces import supervisor

pytestmark = pytest.mark.integration

FAULT = ("secret-missing", "--target=default/theirs", "--lab=guest")
ASK = ("annotate", "kustomization", "app", "-n", "default", "--overwrite")
APP = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: default}
spec:
  interval: 1h
  path: ./app
  prune: true
  sourceRef: {kind: GitRepository, name: fleet, namespace: NAMESPACE}
  postBuild:
    substituteFrom:
    - {kind: Secret, name: theirs}
"""
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: applied, namespace: default}
data: {word: "${word}"}
"""
RUN = f"""
import sys
from fluxlab.lab import Lab
from fluxlab.spec import ClusterSpec, LabSpec
cluster = ClusterSpec(name="shared", backend="existing", kubeconfig=sys.argv[1])
lab = Lab.up(LabSpec(name="mortal", clusters=[cluster]), lifeline=True)
lab.repository.write("app/settings.yaml", {SETTINGS!r})
lab.repository.write("clusters/shared/app.yaml", {APP.replace("NAMESPACE", "fluxlab-mortal")!r})
lab.converge(lab.repository.commit("Add an app"))
lab.faults.inject("secret-missing", cluster="shared", target="default/theirs")
print("broken", flush=True)
input()
"""


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    """Somebody with a cluster and a Secret, who has given the cluster to fluxlab."""
    for command_line in command_lines(tmp_path_factory.mktemp("owner")):
        command_line.ok("up", "--name", "owner")
        observer = command_line.observer("owner")
        command_line.ok("consent", "flux-playground", f"--kubeconfig={observer.kubeconfig}")
        observer.kubectl("create", "secret", "generic", "theirs", "-n", "default", "--from-literal=word=hello")
        yield observer


@pytest.fixture
def guest(fluxlab: CommandLine, owner: Observer) -> str:
    """The file of a lab in that cluster, whose Kustomization reads the owner's Secret."""
    cluster = {
        "name": "shared",
        "backend": "existing",
        "context": "flux-playground",
        "kubeconfig": str(owner.kubeconfig),
    }
    file: Path = fluxlab.folder / "guest.yaml"
    file.write_text(yaml.safe_dump({"name": "guest", "clusters": [cluster]}))
    fluxlab.ok("up", str(file))
    clone = fluxlab.folder / "clone"
    fluxlab.ok("clone", str(clone), "--lab=guest")
    (clone / "app").mkdir()
    (clone / "app/settings.yaml").write_text(SETTINGS)
    (clone / "clusters/shared/app.yaml").write_text(APP.replace("NAMESPACE", "fluxlab-guest"))
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message=Add an app", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
    fluxlab.ok("wait", "--lab=guest")
    return str(file)


def secret(owner: Observer) -> object:
    """What the owner's Secret holds; None when it is gone."""
    found = [one for one in owner.get("secrets", "-n", "default")["items"] if one["metadata"]["name"] == "theirs"]
    return found[0]["data"] if found else None


def namespace(owner: Observer, name: str) -> str:
    return owner.kubectl("get", "namespace", name, "-o", "name", "--ignore-not-found").strip()


def told(owner: Observer, kustomization: str, path: str) -> str:
    return owner.kubectl("get", "kustomization", kustomization, "-n", "default", "-o", f"jsonpath={path}")


def ready(owner: Observer, kustomization: str) -> str:
    return told(owner, kustomization, '{.status.conditions[?(@.type=="Ready")].status}')


def applied(owner: Observer) -> str:
    return owner.kubectl("get", "configmap", "applied", "-n", "default", "-o", "name", "--ignore-not-found").strip()


def test_a_fault_is_out_before_its_lab_goes(fluxlab: CommandLine, owner: Observer, guest: str) -> None:
    del guest
    before = secret(owner)
    fluxlab.ok("inject", *FAULT)
    assert secret(owner) is None
    fluxlab.ok("down", "guest")
    assert secret(owner) == before
    assert applied(owner) == ""


def test_a_fault_of_a_test_run_that_is_killed_is_out_before_its_lab_goes(
    fluxlab: CommandLine, owner: Observer, tmp_path: Path, eventually: Callable[..., object]
) -> None:
    before = secret(owner)
    assert before
    words = [sys.executable, "-c", RUN, str(owner.kubeconfig)]
    with subprocess.Popen(
        words, env=fluxlab.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        assert run.stdout.readline() == "broken\n"
        assert secret(owner) is None
        run.kill()
    eventually(lambda: secret(owner) == before, within=60, what="the Secret is back")
    eventually(lambda: not (tmp_path / "state/labs/mortal").exists(), within=120, what="the lab goes")
    assert namespace(owner, "fluxlab-mortal") == ""


@pytest.mark.verify
def test_a_fault_is_out_before_its_lab_goes_although_the_supervisor_was_killed(
    fluxlab: CommandLine, owner: Observer, guest: str
) -> None:
    del guest
    before = secret(owner)
    fluxlab.ok("inject", *FAULT)
    os.kill(supervisor(fluxlab, "guest").pid, signal.SIGKILL)
    done = fluxlab.run("down", "guest")
    assert done.returncode == 0, done.stderr
    assert "bringing the lab back" in done.stderr
    assert secret(owner) == before
    assert applied(owner) == ""
    assert not namespace(owner, "fluxlab-guest")


@pytest.fixture
def no_more_secrets(owner: Observer, eventually: Callable[..., object]) -> Iterator[None]:
    """The owner lets nobody make Secrets in the namespace, for a while."""
    owner.kubectl("create", "quota", "no-more", "-n", "default", "--hard=secrets=0")
    hard = ("get", "quota", "no-more", "-n", "default", "-o", "jsonpath={.status.hard.secrets}")
    eventually(lambda: owner.kubectl(*hard) == "0", what="the quota counts")
    yield
    owner.kubectl("delete", "quota", "no-more", "-n", "default", "--ignore-not-found")


@pytest.mark.verify
def test_a_lab_stays_as_long_as_its_fault_cannot_be_taken_out(
    fluxlab: CommandLine, owner: Observer, guest: str, request: pytest.FixtureRequest
) -> None:
    before = secret(owner)
    fluxlab.ok("inject", *FAULT)
    os.kill(supervisor(fluxlab, "guest").pid, signal.SIGKILL)
    request.getfixturevalue("no_more_secrets")
    done = fluxlab.run("down", "guest")
    assert done.returncode == 1
    assert "leaves faults in a cluster that is not its own: secret-missing-" in done.stderr
    assert "exceeded quota: no-more" in done.stderr
    assert "by hand: " in done.stderr
    assert "fluxlab down" not in done.stderr, "it would refuse again"
    assert applied(owner), "nothing was removed"
    refused = fluxlab.run("up", guest)
    assert refused.returncode == 1
    assert "lab guest runs" in refused.stderr
    owner.kubectl("delete", "quota", "no-more", "-n", "default")
    fluxlab.ok("heal", "--all", "--lab=guest")
    assert secret(owner) == before
    fluxlab.ok("down", "guest")
    assert applied(owner) == ""


@pytest.mark.verify
def test_a_lab_that_comes_back_has_flux_try_again_what_is_its_own_only(
    fluxlab: CommandLine, owner: Observer, guest: str, eventually: Callable[..., object]
) -> None:
    theirs = yaml.safe_load(APP.replace("NAMESPACE", "fluxlab-guest")) | {
        "metadata": {"name": "unlike", "namespace": "default"}
    }
    theirs["spec"] |= {"path": "./nowhere"}
    owner.kubectl("create", "-f", "-", stdin=yaml.safe_dump(theirs))
    try:
        fluxlab.ok("inject", *FAULT)
        owner.kubectl(*ASK, "reconcile.fluxcd.io/requestedAt=of-the-test")
        eventually(lambda: ready(owner, "app") == ready(owner, "unlike") == "False", what="both fail, for an hour")
        handled = told(owner, "unlike", "{.status}")
        os.kill(supervisor(fluxlab, "guest").pid, signal.SIGKILL)
        fluxlab.ok("up", guest)
        eventually(lambda: ready(owner, "app") == "True", what="its own is tried again")
        assert told(owner, "unlike", "{.status}") == handled
    finally:
        owner.kubectl("delete", "kustomization", "unlike", "-n", "default")


@pytest.mark.verify
def test_what_somebody_has_suspended_is_removed_as_well(fluxlab: CommandLine, owner: Observer, guest: str) -> None:
    del guest
    words = ("patch", "kustomization", "app", "-n", "default", "--type=merge", "--field-manager=flux")
    owner.kubectl(*words, '--patch={"spec":{"suspend":true}}')  # as `flux suspend` does
    assert applied(owner)
    fluxlab.ok("down", "guest")
    assert applied(owner) == ""
