"""Two people at one object within a second: the right one is named, or both are. What each did is the oracle."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.drift_objects import ROOT, SSA, config_map
from tests.integration.traces import recorder_of

from fluxlab.cluster import Cluster
from fluxlab.drift.records import Confidence, Drift
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

PEOPLE = ("alice", "bob")
ROUNDS = 6


@pytest.fixture(scope="module")
def lab(module_lab: Lab) -> Lab:
    """A lab with ConfigMaps that Flux does not correct."""
    names = [f"pair-{number}" for number in range(ROUNDS)] + ["quiet", "late", "lagging"]
    kept = {SSA: "IfNotPresent"}
    module_lab.repository.write(ROOT, [config_map(name, namespace="default", **kept) for name in names])
    module_lab.converge(module_lab.repository.commit("Add settings"))
    return module_lab


def write(cluster: Cluster, name: str, person: str, value: str | None) -> None:
    """Set, or take away, the person's own field of a ConfigMap, as kubectl patch notes it for everybody."""
    words = ("patch", "configmap", name, "-n", "default", "--type=merge", "-p", json.dumps({"data": {person: value}}))
    cluster.kubectl(*words, f"--as={person}", "--as-group=system:masters")


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
    recorder = recorder_of(lab.status().supervisor_pid)
    recorder.suspend()  # it hears of alice's change only when bob's request, which came later, is over
    try:
        write(lab.cluster, "late", "alice", "1")
        with ThreadPoolExecutor(2) as threads:  # one after the other would take more than the second that is looked at
            words = (("alice", "2"), ("bob", None))
            list(threads.map(lambda one: write(lab.cluster, "late", *one), words))
    finally:
        recorder.resume()
    found = of(lab, "late")
    assert set(found) == {"alice"}
    assert wrongly_sure(found) == []


def test_who_wrote_before_is_not_taken_for_who_did_while_the_recorder_lagged(lab: Lab) -> None:
    write(lab.cluster, "lagging", "alice", "1")
    assert of(lab, "lagging")["alice"].actor.user == "admin as alice"
    recorder = recorder_of(lab.status().supervisor_pid)
    recorder.suspend()
    try:
        words = ("patch", "configmap", "lagging", "-n", "default", "--type=merge", "-p", '{"data":{"alice":"2"}}')
        lab.cluster.kubectl(*words, "--as=bob", "--as-group=system:masters")
        found = of(lab, "lagging")["alice"]
    finally:
        recorder.resume()
    assert (found.live, found.actor.user, found.actor.confidence) == ('"2"', "", Confidence.LOW)
    assert of(lab, "lagging")["alice"].actor.user == "admin as bob"


def test_who_wrote_one_after_the_other_is_told_for_sure(lab: Lab) -> None:
    for person in PEOPLE:
        write(lab.cluster, "quiet", person, "1")
    found = of(lab, "quiet")
    assert {person: drift.actor.user for person, drift in found.items()} == {
        person: f"admin as {person}" for person in PEOPLE
    }
    assert {drift.actor.confidence for drift in found.values()} == {Confidence.HIGH}
