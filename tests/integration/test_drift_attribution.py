"""Two people at one object within a second: the right one is named, or both are. What each did is the oracle."""

import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client, config
from tests.integration.drift_objects import AS_ALICE, ROOT, SSA, config_map, deployment
from tests.integration.traces import recorder_of

from fluxlab.cluster import Cluster
from fluxlab.drift import actors
from fluxlab.drift.aspects import Confidence
from fluxlab.drift.records import Drift
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab
from fluxlab.timeline.entries import parse_time

pytestmark = pytest.mark.integration

PEOPLE = ("alice", "bob")
ROUNDS = 6


@pytest.fixture(scope="module")
def lab(module_lab: Lab) -> Lab:
    """A lab with ConfigMaps that Flux does not correct."""
    names = [f"pair-{number}" for number in range(ROUNDS)] + ["quiet", "late", "lagging"]
    kept = {SSA: "IfNotPresent"}
    maps = [config_map(name, namespace="default", **kept) for name in names]
    module_lab.repository.write(ROOT, [*maps, deployment("app", namespace="default", replicas=1)])
    module_lab.converge(module_lab.repository.commit("Add settings"))
    return module_lab


def write(cluster: Cluster, name: str, person: str, value: str | None) -> None:
    """Set, or take away, the person's own field of a ConfigMap, as kubectl patch notes it for everybody."""
    words = ("patch", "configmap", name, "-n", "default", "--type=merge", "-p", json.dumps({"data": {person: value}}))
    cluster.kubectl(*words, f"--as={person}", "--as-group=system:masters")


def connected(cluster: Cluster, person: str) -> Any:
    """A client that writes as kubectl patch does, without the second that kubectl takes to start."""
    # The official client has no types.
    api = config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
    api.set_default_header("Impersonate-User", person)
    api.set_default_header("Impersonate-Group", "system:masters")
    return client.CoreV1Api(api)


def of(lab: Lab, name: str) -> dict[str, Drift]:
    """What is reported of each person's field."""
    return {one.pointer.rpartition("/")[2]: one for one in lab.drift().drifts if one.object.name == name}


def both_named(drift: Drift) -> bool:
    return all(f"as {person} with" in drift.actor.reason for person in PEOPLE)


def wrongly_sure(found: dict[str, Drift]) -> Sequence[str]:
    """The fields for which somebody else is named, and nobody besides."""
    return [
        f"{person}: {drift.actor}"
        for person, drift in found.items()
        if drift.actor.user != f"admin as {person}" and not both_named(drift)
    ]


def test_who_wrote_at_the_same_time_is_told_rightly_or_both_are_named(lab: Lab) -> None:
    names = [f"pair-{number}" for number in range(ROUNDS)]
    with ThreadPoolExecutor(2) as threads:
        for name in names:
            list(threads.map(lambda person, name=name: write(lab.cluster, name, person, "1"), PEOPLE))
    for name in names:
        found = of(lab, name)
        assert set(found) == set(PEOPLE)
        assert wrongly_sure(found) == []
        for drift in found.values():
            assert (drift.actor.confidence is Confidence.HIGH) == (not both_named(drift))


def test_a_write_that_changed_nothing_is_told_apart_or_named_beside_the_one_that_did(lab: Lab) -> None:
    clients = {person: connected(lab.cluster, person) for person in PEOPLE}

    def patch(person: str, value: str | None) -> None:
        body = {"data": {person: value}}
        clients[person].patch_namespaced_config_map("late", "default", body, field_manager="kubectl-patch")

    recorder = recorder_of(lab.status().supervisor_pid)
    recorder.suspend()  # it hears of alice's change only when bob's request, which came later, is over
    try:
        patch("alice", "1")  # all three within the second that is looked at, on any machine
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(patch, PEOPLE, ("2", None)))
    finally:
        recorder.resume()
    found = of(lab, "late")
    assert set(found) == {"alice"}
    assert wrongly_sure(found) == []


def test_who_wrote_before_is_not_taken_for_who_did_while_the_recorder_lagged(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lab.cluster, "lagging", "alice", "1")
    assert of(lab, "lagging")["alice"].actor.user == "admin as alice"
    recorder = recorder_of(lab.status().supervisor_pid)
    recorder.suspend()
    try:
        words = ("patch", "configmap", "lagging", "-n", "default", "--type=merge", "-p", '{"data":{"alice":"2"}}')
        lab.cluster.kubectl(*words, "--as=bob", "--as-group=system:masters")
        made = json.dumps(config_map("unheard-of", namespace="default"))
        lab.cluster.kubectl("create", "-f", "-", "--field-manager=kube-controller-manager", *AS_ALICE, stdin=made)
        with monkeypatch.context() as impatient:  # what is looked for does not come
            impatient.setattr(actors, "TIMELINE_SECONDS", 4.0)
            report = lab.drift()
    finally:
        recorder.resume()
    [found] = [one for one in report.drifts if one.object.name == "lagging"]
    assert (found.live, found.actor.user, found.actor.confidence) == ('"2"', "", Confidence.LOW)
    [unseen] = report.unknown
    assert str(unseen.object) == "ConfigMap default/unheard-of"
    assert (
        "kube-controller-manager made it, as it says itself, and the timeline does not tell who made it" in unseen.why
    )
    again = lab.drift()
    by = {one.object.name: one.actor.user for one in again.drifts if one.object.name in {"lagging", "unheard-of"}}
    assert (by, again.unknown) == ({"lagging": "admin as bob", "unheard-of": "admin as alice"}, ())
    lab.cluster.kubectl("delete", "configmap", "unheard-of", "-n", "default")


def test_who_wrote_one_after_the_other_is_told_for_sure(lab: Lab) -> None:
    for person in PEOPLE:
        write(lab.cluster, "quiet", person, "1")
    found = of(lab, "quiet")
    assert {person: drift.actor.user for person, drift in found.items()} == {
        person: f"admin as {person}" for person in PEOPLE
    }
    assert {drift.actor.confidence for drift in found.values()} == {Confidence.HIGH}


def requests(lab: Lab, place: str) -> list[dict[str, Any]]:
    """The requests that wrote to an object, from the API server's own files."""
    files = sorted(lab.cluster.kubeconfig.parent.glob("audit*.log"), key=lambda file: file.stat().st_mtime)
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [one for one in told if place in one["requestURI"] and one["verb"] not in {"get", "list", "watch"}]


@pytest.mark.parametrize(
    ("words", "pointer", "subresource"),
    [
        (("scale", "deployment", "app", "--replicas=3"), "/spec/replicas", "scale"),
        (("set", "image", "deployment/app", "app=app:2"), "/spec/template/spec/containers/0/image", ""),
        (("annotate", "deployment", "app", "team=blue"), "/metadata/annotations/team", ""),
    ],
)
def test_what_is_told_of_a_request_is_what_the_audit_log_has_of_it(
    lab: Lab, words: Sequence[str], pointer: str, subresource: str
) -> None:
    lab.cluster.kubectl(*words, "-n", "default", *AS_ALICE)
    [drift] = [one for one in lab.drift().drifts if (one.object.name, one.pointer) == ("app", pointer)]
    newest = requests(lab, "/apis/apps/v1/namespaces/default/deployments/app")
    request = next(one for one in reversed(newest) if one.get("impersonatedUser", {}).get("username") == "alice")
    by = drift.actor
    assert by.audit_id == request["auditID"]
    assert (by.verb, by.user_agent) == (request["verb"], request["userAgent"])
    assert by.user == f"{request['user']['username']} as {request['impersonatedUser']['username']}"
    assert by.subresource == request["objectRef"].get("subresource", "") == subresource
    assert by.confidence is Confidence.HIGH
    assert by.time
    assert parse_time(request["requestReceivedTimestamp"]) <= by.time <= parse_time(request["stageTimestamp"])
    kustomization = ("kustomizations.kustomize.toolkit.fluxcd.io", "flux-system", "-n", "flux-system")
    applied = lab.cluster.kubectl("get", *kustomization, "-o=jsonpath={.status.lastAppliedRevision}")
    assert drift.commit == applied.rpartition(":")[2]


def test_without_an_audit_log_who_it_was_is_less_certain_and_never_said_of_nobody(lab: Lab) -> None:
    log = lab.cluster.kubeconfig.parent / "audit.log"
    aside = log.with_name("kept-aside")
    moment = datetime.now(UTC)
    log.rename(aside)  # the API server writes on into the file that it has open
    try:
        write(lab.cluster, "quiet", "carol", "1")
        drift = of(lab, "quiet")["carol"]
        assert (drift.actor.user, drift.actor.audit_id) == ("", "")
        assert (drift.actor.who, drift.actor.confidence) == ("kubectl-patch", Confidence.MEDIUM)
        with pytest.raises(UnknownError, match="there is no audit log"):
            lab.edits(since=moment)
        command = [sys.executable, "-m", "fluxlab", "drift", f"--lab={lab.name}", "--since=1m"]
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 2
    finally:
        aside.rename(log)
    assert of(lab, "quiet")["carol"].actor.user == "admin as carol"
    assert [edit.actor.user for edit in lab.edits(since=moment)] == ["admin as carol"]


@pytest.mark.verify
def test_what_an_audit_log_had_that_was_rotated_away_is_unknown_and_not_none(lab: Lab) -> None:
    write(lab.cluster, "quiet", "dave", "1")
    assert of(lab, "quiet")["dave"].actor.user == "admin as dave"
    began = datetime.now(UTC) - timedelta(minutes=1)
    for file in lab.cluster.kubeconfig.parent.glob("audit*.log"):
        file.write_text("")  # as after so many rotations that nothing of then is left
    write(lab.cluster, "quiet", "erin", "1")
    found = of(lab, "quiet")
    assert (found["dave"].actor.confidence, found["dave"].actor.user) == (Confidence.MEDIUM, "")
    assert (found["erin"].actor.confidence, found["erin"].actor.user) == (Confidence.HIGH, "admin as erin")
    with pytest.raises(UnknownError, match="was rotated away"):
        lab.edits(since=began)
