"""A lab in somebody's cluster: what is refused before anything is touched, and what is gone whatever happened.

The cluster is another lab's, looked at with kubectl as its owner does. What works there: tests/backends.
"""

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import trustme
import yaml
from tests.integration.conftest import CommandLine, Observer, command_lines
from tests.integration.gitops import git
from tests.integration.traces import supervisor

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]
PROMPT_SECONDS = 30
SETTINGS = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
"""


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    """Somebody with a cluster, who has given it to fluxlab."""
    for command_line in command_lines(tmp_path_factory.mktemp("owner")):
        command_line.ok("up", "--name", "owner")
        observer = command_line.observer("owner")
        command_line.ok("consent", "flux-playground", f"--kubeconfig={observer.kubeconfig}")
        yield observer


def lab_file(fluxlab: CommandLine, kubeconfig: Path, *, name: str = "guest", context: str = "flux-playground") -> str:
    file = fluxlab.folder / f"{name}.yaml"
    cluster = {"name": "shared", "backend": "existing", "context": context, "kubeconfig": str(kubeconfig)}
    file.write_text(yaml.safe_dump({"name": name, "clusters": [cluster]}))
    return str(file)


def namespaces(owner: Observer) -> set[str]:
    return set(owner.kubectl("get", "namespaces", "-o", "name").split())


def labelled(owner: Observer) -> str:
    """What any lab made there and is still there."""
    kinds = "namespaces,secrets,gitrepositories,kustomizations,customresourcedefinitions,deployments,clusterroles"
    return owner.kubectl("get", kinds, "-A", "-l", "fluxlab.dev/lab", "-o", "name")


def refused(fluxlab: CommandLine, file: str, *, code: int, told: str) -> None:
    """The lab is refused at once, for a reason that is told, and nothing of it is left."""
    began = time.monotonic()
    done = fluxlab.run("up", file)
    assert time.monotonic() - began < PROMPT_SECONDS
    assert (done.returncode, bool(re.search(told, done.stderr))) == (code, True), done.stderr
    assert "\nnext: " in done.stderr
    assert fluxlab.run("ls", "-o", "json").stdout.strip() == "[]"


def test_a_cluster_that_was_not_given_is_not_touched(fluxlab: CommandLine, owner: Observer) -> None:
    before = namespaces(owner)
    fluxlab.ok("consent", "flux-playground", f"--kubeconfig={owner.kubeconfig}", "--withdraw")
    try:
        told = r"context flux-playground has not been given to fluxlab\n.*no label fluxlab.dev/consent=true"
        refused(fluxlab, lab_file(fluxlab, owner.kubeconfig), code=64, told=told)
        assert (namespaces(owner), labelled(owner)) == (before, "")
    finally:
        fluxlab.ok("consent", "flux-playground", f"--kubeconfig={owner.kubeconfig}")


def test_an_unknown_context_is_told_with_those_that_there_are(fluxlab: CommandLine, owner: Observer) -> None:
    done = fluxlab.run("up", lab_file(fluxlab, owner.kubeconfig, context="flux-playgroud"))
    assert done.returncode == 64
    assert "no context flux-playgroud" in done.stderr
    assert "there are: flux-playground" in done.stderr


def other_access(owner: Observer, target: Path, **changes: str) -> Path:
    """The owner's kubeconfig with another server or another user."""
    content = yaml.safe_load(owner.kubeconfig.read_text())
    if server := changes.pop("server", ""):
        content["clusters"][0]["cluster"]["server"] = server
    if changes:
        content["users"][0]["user"] = changes
    target.write_text(yaml.safe_dump(content))
    return target


def test_a_dead_endpoint_is_named(fluxlab: CommandLine, owner: Observer, tmp_path: Path) -> None:
    kubeconfig = other_access(owner, tmp_path / "dead", server="https://127.0.0.1:9")
    told = r"context flux-playground does not answer\n.*127\.0\.0\.1.*refused"
    refused(fluxlab, lab_file(fluxlab, kubeconfig), code=2, told=told)


def test_an_expired_certificate_is_refused_by_name(fluxlab: CommandLine, owner: Observer, tmp_path: Path) -> None:
    folder = owner.kubeconfig.parent / "pki"
    authority = trustme.CA.from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    leaf = authority.issue_cert(
        "x",
        common_name="late",
        organization_name="system:masters",
        not_before=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        not_after=dt.datetime(2021, 1, 1, tzinfo=dt.UTC),
    )
    (tmp_path / "late.crt").write_bytes(leaf.cert_chain_pems[0].bytes())
    (tmp_path / "late.key").write_bytes(leaf.private_key_pem.bytes())
    user = {"client-certificate": str(tmp_path / "late.crt"), "client-key": str(tmp_path / "late.key")}
    kubeconfig = other_access(owner, tmp_path / "late", **user)
    refused(fluxlab, lab_file(fluxlab, kubeconfig), code=2, told=r"context flux-playground refuses: .*Unauthorized")


def token_of(owner: Observer, name: str) -> str:
    owner.kubectl("create", "serviceaccount", name, "-n", "default")
    return owner.kubectl("create", "token", name, "-n", "default").strip()


@pytest.mark.verify
def test_a_token_without_rights_is_refused_and_one_with_rights_will_do(
    fluxlab: CommandLine, owner: Observer, tmp_path: Path
) -> None:
    kubeconfig = other_access(owner, tmp_path / "token", token=token_of(owner, "visitor"))
    refused(fluxlab, lab_file(fluxlab, kubeconfig), code=2, told=r"refuses: .*(?i:forbidden)")
    owner.kubectl(
        "create", "clusterrolebinding", "visitor", "--clusterrole=cluster-admin", "--serviceaccount=default:visitor"
    )
    fluxlab.ok("up", lab_file(fluxlab, kubeconfig))
    assert "fluxlab-guest" in labelled(owner)
    fluxlab.ok("down", "guest")
    assert labelled(owner) == ""


@pytest.mark.verify
def test_a_token_that_a_program_gives_will_do(fluxlab: CommandLine, owner: Observer, tmp_path: Path) -> None:
    token = token_of(owner, "caller")
    owner.kubectl(
        "create", "clusterrolebinding", "caller", "--clusterrole=cluster-admin", "--serviceaccount=default:caller"
    )
    program = tmp_path / "credentials"
    answer = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}'
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer % token}\nEND\n")
    program.chmod(0o700)
    content = yaml.safe_load(owner.kubeconfig.read_text())
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(program),
        "interactiveMode": "Never",
    }
    content["users"][0]["user"] = {"exec": plugin}
    (tmp_path / "exec").write_text(yaml.safe_dump(content))
    fluxlab.ok("up", lab_file(fluxlab, tmp_path / "exec"))
    assert "fluxlab-guest" in labelled(owner)
    fluxlab.ok("down", "guest")


def test_a_namespace_that_somebody_else_made_is_not_taken(fluxlab: CommandLine, owner: Observer) -> None:
    owner.kubectl("create", "namespace", "fluxlab-mine")
    try:
        done = fluxlab.run("up", lab_file(fluxlab, owner.kubeconfig, name="mine"))
        assert done.returncode != 0
        assert "has a namespace fluxlab-mine already" in done.stderr
        assert "it was not made by a lab" in done.stderr
        assert owner.kubectl("get", "all,secrets,gitrepositories", "-n", "fluxlab-mine", "-o", "name") == ""
    finally:
        owner.kubectl("delete", "namespace", "fluxlab-mine")


def test_what_others_do_in_that_cluster_is_neither_drift_nor_held_back(fluxlab: CommandLine, owner: Observer) -> None:
    fluxlab.ok("up", lab_file(fluxlab, owner.kubeconfig))
    clone = fluxlab.folder / "clone"
    fluxlab.ok("clone", str(clone), "--lab=guest")
    (clone / "clusters/shared/settings.yaml").write_text(SETTINGS)
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "--message=Add settings", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
    fluxlab.ok("wait", "--lab=guest")
    owner.kubectl("create", "configmap", "theirs", "-n", "default", "--from-literal=a=b")
    owner.kubectl("create", "configmap", "stray", "-n", "shop", "--from-literal=a=b")
    try:
        report = json.loads(fluxlab.run("drift", "--lab=guest", "-o", "json").stdout)
        assert [drift["object"] for drift in report["drifts"]] == ["ConfigMap shop/stray"]
        fluxlab.ok("report-only", "on", "--lab=guest")
        held = {
            one["metadata"]["name"]: one["spec"].get("suspend") for one in owner.get("kustomizations", "-A")["items"]
        }
        assert held == {"fleet": True, "flux-system": None}
        fluxlab.ok("report-only", "off", "--lab=guest")
    finally:
        owner.kubectl("delete", "configmap", "theirs", "-n", "default")
    fluxlab.ok("down", "guest")
    assert "shop" not in str(namespaces(owner))


def test_after_the_death_of_its_supervisor_a_lab_goes_on_or_goes(fluxlab: CommandLine, owner: Observer) -> None:
    before = namespaces(owner)
    file = lab_file(fluxlab, owner.kubeconfig)
    fluxlab.ok("up", file)
    os.kill(supervisor(fluxlab, "guest").pid, signal.SIGKILL)
    fluxlab.ok("up", file)
    fluxlab.ok("wait", "--lab=guest")
    os.kill(supervisor(fluxlab, "guest").pid, signal.SIGKILL)
    fluxlab.ok("down", "guest")
    assert (namespaces(owner), labelled(owner)) == (before, "")


@pytest.mark.verify
def test_a_lab_of_a_test_run_that_is_killed_goes(
    owner: Observer, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(tmp_path / "state"))
    code = f"""\
        from fluxlab.lab import Lab
        from fluxlab.spec import ClusterSpec, LabSpec
        cluster = ClusterSpec(backend="existing", kubeconfig={str(owner.kubeconfig)!r})
        Lab.up(LabSpec(name="mortal", clusters=[cluster]), lifeline=True)
        print("up", flush=True)
        input()
    """
    words = [sys.executable, "-c", dedent(code)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "up\n"
        assert "fluxlab-mortal" in labelled(owner)
        run.kill()
    eventually(lambda: labelled(owner) == "", within=120, what="the lab goes")
    eventually(lambda: not (tmp_path / "state/labs/mortal").exists(), what="its folder goes")


@pytest.mark.verify
def test_what_cannot_be_removed_is_told_and_can_be_left(fluxlab: CommandLine, owner: Observer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "gone"
    kubeconfig.write_text(owner.kubeconfig.read_text())
    fluxlab.ok("up", lab_file(fluxlab, kubeconfig))
    copy = fluxlab.state / "labs/guest/clusters/shared/kubeconfig"
    known = copy.read_text()
    copy.write_text(re.sub(r"server: \S+", "server: https://127.0.0.1:9", known))
    done = fluxlab.run("down", "guest")
    assert done.returncode == 1
    assert re.search(r"still there\n.*cluster shared: https://127.0.0.1:9 does not answer", done.stderr), done.stderr
    assert "--forget" in done.stderr
    assert "fluxlab-guest" in labelled(owner)
    copy.write_text(known)
    fluxlab.ok("down", "guest")
    assert labelled(owner) == ""
    fluxlab.ok("up", lab_file(fluxlab, owner.kubeconfig))
    fluxlab.ok("down", "guest", "--forget")
    assert "fluxlab-guest" in labelled(owner)
    owner.kubectl("delete", "kustomization", "fleet", "-n", "fluxlab-guest")
    owner.kubectl("delete", "namespace", "fluxlab-guest")


@pytest.mark.verify  # a minute and a half of waiting
def test_a_flux_that_does_not_let_go_is_told(fluxlab: CommandLine, owner: Observer) -> None:
    fluxlab.ok("up", lab_file(fluxlab, owner.kubeconfig))
    scale = ("-n", "flux-system", "scale", "deployment", "kustomize-controller")
    owner.kubectl(*scale, "--replicas=0")
    try:
        done = fluxlab.run("down", "guest")
        assert done.returncode == 1
        assert "still there: " in done.stderr
        assert "Kustomization fluxlab-guest/fleet" in done.stderr
    finally:
        owner.kubectl(*scale, "--replicas=1")
    fluxlab.ok("down", "guest")
    assert labelled(owner) == ""


@pytest.mark.verify
def test_half_a_flux_is_refused(fluxlab: CommandLine) -> None:
    fluxlab.ok("up", "--name", "half")
    observer = fluxlab.observer("half")
    fluxlab.ok("consent", "flux-playground", f"--kubeconfig={observer.kubeconfig}")
    observer.kubectl("-n", "flux-system", "scale", "deployment", "--all", "--replicas=0")  # they would mend it
    observer.kubectl("-n", "flux-system", "delete", "deployment", "source-controller")
    done = fluxlab.run("up", lab_file(fluxlab, observer.kubeconfig))
    assert done.returncode != 0
    assert "has a part of Flux only" in done.stderr
    assert "missing: source-controller" in done.stderr
