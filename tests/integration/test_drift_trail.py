"""Edits by hand are told as they happen, also those that Flux has long reverted: the edits are the oracle."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import IO
from uuid import uuid4

import pytest
import yaml
from tests.integration.drift_objects import AS_ALICE, ROOT, SSA, config_map, deployment, kustomization, patch
from tests.integration.traces import recorder_of

from fluxlab.commands import run
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import Confidence, DriftClass, Voice
from fluxlab.drift.records import Expected
from fluxlab.lab import Lab
from fluxlab.toolchain import find

DETECTED_SECONDS = 5.0
"""How long the recorder of a busy machine may take."""


@pytest.fixture(scope="module")
def settled(module_lab: Lab) -> Lab:
    """A lab with a ConfigMap and a Deployment from git."""
    objects = [config_map("settings", namespace="default"), deployment("app", namespace="default", replicas=1)]
    module_lab.repository.write(ROOT, objects)
    module_lab.converge(module_lab.repository.commit("Add settings"))
    return module_lab


def paint(lab: Lab, colour: str) -> None:
    """Change the ConfigMap by hand."""
    lab.cluster.kubectl(*patch("settings", {"data": {"colour": colour}}, namespace="default"))


def have_flux_revert(lab: Lab) -> None:
    """Wait until the ConfigMap is as git wants it, as kubectl tells it."""
    lab.cluster.flux("reconcile", "kustomization", "flux-system")
    colour = lab.cluster.kubectl("get", "configmap", "settings", "-n", "default", "-o", "jsonpath={.data.colour}")
    assert colour == "red"


def test_what_flux_has_reverted_is_still_told(settled: Lab) -> None:
    began, following = datetime.now(UTC), settled.follow_edits()
    paint(settled, "blue")
    have_flux_revert(settled)
    assert next(following).after == '"blue"'
    settled.drift().assert_clean()

    def reverted() -> bool:
        return [one.ending.reverted for one in settled.edits(since=began) if one.ending] == [True]

    settled.wait_until(reverted, what="the timeline has both changes")
    [edit] = settled.edits(since=began)
    assert edit in settled.edits()
    assert (str(edit.object), edit.field, edit.before, edit.after) == (
        "ConfigMap default/settings",
        ".data.colour",
        '"red"',
        '"blue"',
    )
    assert edit.actor.user == "admin as alice"
    assert edit.ending is not None
    assert edit.ending.actor.who.startswith("kustomize-controller")
    assert edit.lasted is not None
    assert 0 < edit.lasted.total_seconds() < (datetime.now(UTC) - began).total_seconds()
    assert edit.owner == "Kustomization flux-system/flux-system"
    assert "ConfigMap/default/settings configured" in edit.flux_said
    assert edit.said.voice is Voice.EVENT
    times = edit.times
    assert times.changed
    assert times.detected
    assert times.corrected
    assert began <= times.changed <= times.detected < times.changed + timedelta(seconds=DETECTED_SECONDS)
    assert times.changed < times.corrected <= datetime.now(UTC)
    assert times.alerted is None  # this lab has no sink


def test_what_happened_while_the_recorder_was_dead_is_told_when_it_is_back(settled: Lab) -> None:
    began = datetime.now(UTC)
    recorder = recorder_of(settled.status().supervisor_pid)
    recorder.kill()
    paint(settled, "green")
    have_flux_revert(settled)

    def told() -> list[tuple[str, str | None, bool]]:
        found = settled.edits(since=began)
        return [(one.actor.user, one.after, one.ending.reverted) for one in found if one.ending]

    settled.wait_until(told, what="the recorder is back")
    assert told() == [("admin as alice", '"green"', True)]

    def over_it() -> bool:  # what died a moment ago is named a moment longer, and the lab is shared
        return {one.state for one in settled.status().components} == {"running"}

    settled.wait_until(over_it, what="nothing is said of its death any more")


def test_an_object_that_was_made_anew_by_hand_is_no_longer_fluxs(settled: Lab) -> None:
    began, cluster, place = datetime.now(UTC), settled.cluster, ("settings", "-n", "default")

    def uid() -> str:
        return cluster.kubectl("get", "configmap", *place, "-o", "jsonpath={.metadata.uid}")

    def edits() -> str:
        return "\n".join(f"{one} ({one.actor.reason})" for one in settled.edits(since=began))

    def by_bob() -> bool:
        return any(one.actor.user == "admin as bob" for one in settled.edits(since=began))

    first = uid()
    cluster.kubectl("delete", "configmap", *place, "--as=bob", "--as-group=system:masters")
    # Else two requests fit what was heard at once.
    settled.wait_until(by_bob, what="the timeline has the deletion", state=edits)
    cluster.kubectl("create", "configmap", *place, "--from-literal=colour=blue", *AS_ALICE)
    second = uid()
    found = {one.pointer: one for one in settled.drift().drifts}
    whole = found[""]
    assert (whole.class_, whole.actor.user, whole.fate.reverted) == (DriftClass.RECREATED, "admin as alice", True)
    assert found["/data/colour"].live == '"blue"'
    have_flux_revert(settled)
    settled.drift().assert_clean()
    cluster.kubectl("delete", "configmap", *place, "--as=bob", "--as-group=system:masters")
    have_flux_revert(settled)
    assert len({first, second, uid()}) == 3

    def told() -> list[tuple[str, str, str, bool]]:
        edits = [one for one in settled.edits(since=began) if one.field == "" and one.ending]
        return [
            (one.class_, one.actor.user, one.ending.actor.who.partition(" with ")[0], one.ending.reverted)
            for one in edits
            if one.ending
        ]

    settled.wait_until(lambda: len(told()) == 3, what="the timeline has all three")
    assert told() == [
        ("deleted", "admin as bob", "admin as alice", False),
        ("recreated", "admin as alice", "kustomize-controller", True),
        ("deleted", "admin as bob", "kustomize-controller", True),
    ]
    assert "recreated by kustomize-controller after" in str(settled.edits(since=began)[-1])


def test_what_is_made_beside_what_git_owns_is_told_until_it_is_removed(settled: Lab) -> None:
    began, cluster, place = datetime.now(UTC), settled.cluster, ("beside", "-n", "default")
    following = settled.follow_edits()
    cluster.kubectl("create", "configmap", *place, "--from-literal=colour=blue", *AS_ALICE)
    made = next(following)
    assert (str(made.object), made.class_, made.ending) == ("ConfigMap default/beside", DriftClass.ORPHAN, None)
    assert (made.owner, made.actor.user, made.actor.verb) == ("", "admin as alice", "create")
    settled.drift().expect(Expected("ConfigMap default/beside", class_=DriftClass.ORPHAN, by="alice"))
    cluster.kubectl("delete", "configmap", *place, "--as=bob", "--as-group=system:masters")
    removed = next(following)
    assert removed.ending
    assert (removed.ending.actor.user, removed.ending.reverted) == ("admin as bob", True)
    assert removed.times.changed == made.times.changed
    assert removed.times.corrected
    assert began < removed.times.corrected < datetime.now(UTC)
    assert settled.edits(since=began) == [removed]
    # Where git has nothing nobody asks.
    cluster.kubectl("create", "configmap", "beside", "-n", "kube-public", "--from-literal=colour=blue", *AS_ALICE)
    cluster.kubectl("create", "configmap", *place, "--from-literal=colour=green", *AS_ALICE)
    assert next(following).object == made.object
    cluster.kubectl("delete", "configmap", *place, *AS_ALICE)
    cluster.kubectl("delete", "configmap", "beside", "-n", "kube-public", *AS_ALICE)


APP: JsonObject = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}
CLAIMS: Mapping[str, tuple[str, Sequence[str]]] = {
    "kube-controller-manager made it": ("as-controller", ["--field-manager=kube-controller-manager"]),
    "fluxlab made it": ("as-lab", ["--field-manager=fluxlab"]),
    "Deployment app owns it": ("as-owned", []),
}
"""What a ConfigMap says of who keeps it, its name, and how it is made so."""


def owned(name: str, *, uid: str) -> str:
    """A ConfigMap that belongs to a Deployment."""
    made = config_map(name, namespace="default")
    metadata: JsonObject = {"name": name, "namespace": "default", "ownerReferences": [{**APP, "uid": uid}]}
    return json.dumps({**made, "metadata": metadata})


@pytest.mark.parametrize("claim", CLAIMS)
def test_what_a_person_made_is_nobodys_also_where_it_claims_otherwise(settled: Lab, claim: str) -> None:
    cluster, (name, words) = settled.cluster, CLAIMS[claim]
    uid = cluster.kubectl("get", "deployment", "app", "-n", "default", "-o", "jsonpath={.metadata.uid}")
    made = owned(name, uid=uid) if name == "as-owned" else json.dumps(config_map(name, namespace="default"))
    settled.drift().assert_clean()  # the Deployment's ReplicaSet and Pods are kept by who says so
    following = settled.follow_edits()
    cluster.kubectl("create", "-f", "-", *words, *AS_ALICE, stdin=made)
    report = settled.drift()
    report.expect(Expected(f"ConfigMap default/{name}", class_=DriftClass.ORPHAN, by="alice"))
    [orphan] = report.drifts
    reason = f"the audit log, which contradicts what the object says: {claim}"
    assert (orphan.actor.confidence, orphan.actor.reason) == (Confidence.HIGH, reason)
    assert not orphan.fate.reverted
    edit = next(following)
    assert (edit.object, edit.class_, edit.actor.reason) == (orphan.object, DriftClass.ORPHAN, reason)
    cluster.kubectl("delete", "configmap", name, "-n", "default", *AS_ALICE)
    settled.drift().assert_clean()


def by_program(lab: Lab, name: str, *words: str, stdin: str = "") -> None:
    """Have a program that has a service account of its own, and all rights, run kubectl."""
    config = yaml.safe_load(lab.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    token = lab.cluster.kubectl("create", "token", name, "-n", "default").strip()
    access = [
        f"--server={config['server']}",
        f"--certificate-authority={config['certificate-authority']}",
        f"--token={token}",
    ]
    run([find().binary("kubectl"), "--kubeconfig=/dev/null", *access, *words], stdin=stdin)


def test_what_a_program_made_is_kept_by_whom_it_names_and_otherwise_nobodys(settled: Lab) -> None:
    began, cluster = datetime.now(UTC), settled.cluster
    cluster.kubectl("create", "serviceaccount", "operator", "-n", "default", *AS_ALICE)
    rights = ("--clusterrole=cluster-admin", "--serviceaccount=default:operator")
    cluster.kubectl("create", "clusterrolebinding", "operator", *rights)
    uid = cluster.kubectl("get", "deployment", "app", "-n", "default", "-o", "jsonpath={.metadata.uid}")
    by_program(settled, "operator", "create", "-f", "-", stdin=owned("cared-for", uid=uid))
    by_program(settled, "operator", "create", "-f", "-", stdin=json.dumps(config_map("dropped", namespace="default")))
    report = settled.drift()
    orphans = {one.object.name: one.actor.user for one in report.drifts}
    assert orphans == {"operator": "admin as alice", "dropped": "system:serviceaccount:default:operator"}
    assert {one.class_ for one in report.drifts} == {DriftClass.ORPHAN}
    assert {one.object.name: one.actor.user for one in settled.edits(since=began)} == orphans
    cluster.kubectl("delete", "configmap", "cared-for", "dropped", "-n", "default")
    cluster.kubectl("delete", "clusterrolebinding", "operator")
    cluster.kubectl("delete", "serviceaccount", "operator", "-n", "default")
    settled.drift().assert_clean()


@pytest.mark.parametrize("mode", ["IfNotPresent", "Ignore"])
def test_what_a_person_made_and_git_wants_and_flux_leaves_alone_is_told_when_it_is_changed(
    settled: Lab, mode: str
) -> None:
    began, cluster, name = datetime.now(UTC), settled.cluster, f"left-{mode.lower()}"

    def edits() -> list[tuple[DriftClass, str, str | None, str, str]]:
        return [
            (one.class_, one.field, one.after, one.owner, one.ending.actor.who if one.ending else "")
            for one in settled.edits(since=began)
            if one.object.name == name
        ]

    cluster.kubectl("create", "configmap", name, "-n", "default", "--from-literal=colour=red", *AS_ALICE)
    settled.wait_until(edits, what="the timeline has it")
    assert edits() == [(DriftClass.ORPHAN, "", None, "", "")]
    wanted = config_map(name, namespace="default", **{SSA: mode})
    settled.repository.write(f"clusters/flux-playground/{name}.yaml", wanted)
    settled.converge(settled.repository.commit("Want what is there already"))
    taken = (DriftClass.ORPHAN, "", None, "", "kustomize-controller")
    settled.wait_until(lambda: edits() == [taken], what="it is no longer nobody's", state=lambda: str(edits()))
    cluster.kubectl(*patch(name, {"data": {"colour": "blue"}}, namespace="default"))
    changed = (DriftClass.MODIFIED, ".data.colour", '"blue"', "Kustomization flux-system/flux-system", "")
    settled.wait_until(lambda: len(edits()) > 1, what="the timeline has the edit")
    assert edits() == [taken, changed]
    settled.repository.delete(f"clusters/flux-playground/{name}.yaml")
    cluster.kubectl("delete", "configmap", name, "-n", "default", *AS_ALICE)
    settled.converge(settled.repository.commit("Want it no more"))


def test_what_is_made_with_an_owner_that_is_not_there_goes_by_itself_and_is_told(settled: Lab) -> None:
    began, cluster = datetime.now(UTC), settled.cluster
    cluster.kubectl("create", "-f", "-", *AS_ALICE, stdin=owned("forsaken", uid=str(uuid4())))
    cluster.kubectl("wait", "configmap/forsaken", "-n", "default", "--for=delete", "--timeout=60s")

    def ended() -> list[tuple[DriftClass, str, bool]]:
        edits = settled.edits(since=began)
        return [(one.class_, one.ending.actor.who, one.ending.reverted) for one in edits if one.ending]

    settled.wait_until(ended, what="the timeline has its end")
    assert ended() == [(DriftClass.ORPHAN, "kube-controller-manager", True)]
    settled.drift().assert_clean()


def test_what_a_flux_object_reads_is_told_by_neither_report_nor_history(settled: Lab) -> None:
    began, cluster = datetime.now(UTC), settled.cluster
    read = [("Secret", "words"), ("ConfigMap", "more-words")]
    words: Json = {"substituteFrom": [{"kind": kind, "name": name} for kind, name in read]}
    settled.repository.write("worded/all.yaml", config_map("worded", namespace="default"))
    settled.repository.write("clusters/flux-playground/worded.yaml", kustomization("worded", postBuild=words))
    commit = settled.repository.commit("Read words")
    settled.wait_until(lambda: cluster.find("Kustomization", "flux-system/worded"), what="the root applies it")
    for kind, name in read:
        made: JsonObject = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "flux-system"}}
        cluster.kubectl("create", "-f", "-", *AS_ALICE, stdin=json.dumps(made))
    cluster.flux("reconcile", "kustomization", "worded")
    settled.converge(commit)
    settled.drift().assert_clean()
    assert settled.edits(since=began) == []


def told_until(lines: IO[str], text: str) -> str:
    """What a program prints, up to a line with a text; its end fails the test."""
    read = ""
    for line in lines:
        read += line
        if text in line:
            return read
    pytest.fail(f"it ended without {text!r}:\n{read}")


def test_the_command_tells_edits_as_they_happen_until_it_is_interrupted(settled: Lab) -> None:
    words = [sys.executable, "-m", "fluxlab", "drift", f"--lab={settled.name}"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*words, "--watch"], stdout=pipe, stderr=pipe, text=True) as watching:
        try:
            assert watching.stdout
            assert watching.stderr
            told_until(watching.stderr, "watching for edits by hand")
            paint(settled, "pink")
            told = told_until(watching.stdout, "Flux: silent")
            assert told.startswith('ConfigMap default/settings: modified .data.colour: "red" became "pink"\n')
            assert "by admin as alice with kubectl" in told
            assert "it is still so" in told
            have_flux_revert(settled)
            end = told_until(watching.stdout, "reverted")
            assert end.startswith('ConfigMap default/settings: modified .data.colour: "red" became "pink"\n')
            assert "reverted by kustomize-controller after " in end
        finally:
            watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=30) == 130

    done = subprocess.run([*words, "--since=10m", "-o", "json"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    newest = json.loads(done.stdout)[-1]
    assert (newest["after"], newest["ending"]["reverted"]) == ('"pink"', True)
    assert newest["lasted_seconds"] > 0
    refused = subprocess.run([*words, "--watch", "-o", "json"], capture_output=True, text=True, check=False)
    assert refused.returncode == 64
