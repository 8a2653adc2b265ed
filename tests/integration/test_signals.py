"""What a cluster says of a commit is found, and what it said before is never taken for it."""

import json
import os
import signal
from textwrap import dedent
from threading import Timer

import pytest

from fluxlab.clusters.api import ApiError
from fluxlab.documents import JsonObject
from fluxlab.errors import UnknownError, UsageError
from fluxlab.flux.signals import ConditionIs, Event, ExpectationError, LogLine, Signal
from fluxlab.lab import Lab
from fluxlab.moments import Commit, Moment

ROOT = ("Kustomization", "flux-system/flux-system")
PROBE = "clusters/flux-playground/probe.yaml"


def config_map(value: str) -> JsonObject:
    metadata = {"name": "probe", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}}


def broken(lab: Lab, text: str) -> Commit:
    """A commit that cannot be built, once kubectl says so."""
    lab.repository.write(PROBE, f"{text}: [")
    commit = lab.repository.commit(f"Break it: {text}")
    lab.wait_until(lambda: commit.sha in status(lab, "lastAttemptedRevision", "False"), what="the build fails")
    return commit


def status(lab: Lab, field: str, ready: str) -> str:
    """A field of the Kustomization's status while it is so Ready, as kubectl tells it."""
    path = f"jsonpath={{.status.conditions[?(@.type=='Ready')].status}} {{.status.{field}}}"
    words = lab.cluster.kubectl("get", "kustomization", "flux-system", "-n", "flux-system", "-o", path).split()
    return words[1] if len(words) > 1 and words[0] == ready else ""


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    """The module's lab, with a good commit as the newest."""
    if "probe" in module_lab.repository.text(module_lab.repository.head(), "clusters/flux-playground"):
        module_lab.repository.delete(PROBE)
        module_lab.converge(module_lab.repository.commit("Mend it"))
    return module_lab


def test_what_happens_for_a_commit_is_found(lab: Lab) -> None:
    commit = broken(lab, "first")
    said = lab.cluster.expect(ConditionIs(*ROOT, "Ready", status="False", reason="BuildFailed"), after=commit)
    assert "BuildFailed" in said
    assert "probe.yaml" in said
    assert "BuildFailed" in lab.cluster.expect(Event(*ROOT, reason="BuildFailed", type="Warning"), after=commit)
    line = lab.cluster.expect(LogLine("kustomize-controller", r"Reconciliation failed.*probe\.yaml"), after=commit)
    assert commit.sha in line


def test_an_event_of_an_earlier_commit_is_not_taken_for_one_of_this(lab: Lab) -> None:
    earlier = broken(lab, "earlier")
    lab.cluster.expect(Event(*ROOT, reason="BuildFailed"), after=earlier)
    lab.repository.write(PROBE, config_map("good"))
    good = lab.repository.commit("Mend it")
    lab.converge(good)
    # All of it is still there for whoever does not ask since when; kubectl sees the event.
    assert "BuildFailed" in lab.cluster.kubectl("get", "events", "-n", "flux-system")
    for stale in (
        Event(*ROOT, reason="BuildFailed"),
        ConditionIs(*ROOT, "Ready", status="False"),
        LogLine("kustomize-controller", "Reconciliation failed"),
    ):
        with pytest.raises(ExpectationError):
            lab.cluster.expect(stale, after=good, within_seconds=0.5)
        lab.cluster.forbid(stale, after=good, for_seconds=0.5)


def test_a_condition_that_the_commit_did_not_touch_is_stale(lab: Lab) -> None:
    lab.converge()
    moment = lab.moment()
    ready = ConditionIs(*ROOT, "Ready")
    lab.cluster.kubectl("annotate", "-n", "flux-system", "kustomization", "flux-system", "touched=yes", "--overwrite")
    with pytest.raises(ExpectationError, match="its status is as it was before"):
        lab.cluster.expect(ready, after=moment, within_seconds=0.5)
    lab.repository.write(PROBE, config_map("new"))
    commit = lab.repository.commit("Change it")
    assert commit.sha in lab.cluster.expect(ready, after=commit)


def test_two_commits_that_fail_alike_are_told_apart(lab: Lab) -> None:
    first = broken(lab, "same")
    lab.cluster.expect(ConditionIs(*ROOT, "Ready", status="False"), after=first)
    lab.repository.write("README.md", "no part of what is built")
    second = lab.repository.commit("Change something else")
    said = lab.cluster.expect(ConditionIs(*ROOT, "Ready", status="False", reason="BuildFailed"), after=second)
    assert "BuildFailed" in said
    lab.wait_until(lambda: second.sha in status(lab, "lastAttemptedRevision", "False"), what="kubectl sees it, too")


def test_what_is_said_late_of_an_earlier_commit_is_not_said_of_this(lab: Lab) -> None:
    lab.repository.write(PROBE, "late: [")
    bad = lab.repository.commit("Break it")
    lab.repository.write(PROBE, config_map("at once"))
    good = lab.repository.commit("Mend it at once")  # before anybody has tried the other one
    lab.converge(good)
    signals = (
        Event(*ROOT, reason="BuildFailed"),
        ConditionIs(*ROOT, "Ready", status="False"),
        LogLine("kustomize-controller", "Reconciliation failed"),
    )
    for one in signals:
        lab.cluster.forbid(one, after=good, for_seconds=0.3)
    assert bad.sha in lab.repository.earlier(good)
    assert good.sha not in lab.repository.earlier(good)


def test_what_a_source_says_late_of_an_earlier_commit_is_not_said_of_this(lab: Lab) -> None:
    source, stored = ("gitrepository", "flux-system", "-n", "flux-system"), "stored artifact for revision"
    lab.converge()
    [controller] = [one.pid for one in lab.status().clusters[0].components if one.name.endswith("source-controller")]
    assert controller
    os.kill(controller, signal.SIGSTOP)
    try:
        lab.repository.write(PROBE, config_map("one"))
        one = lab.repository.commit("Change it")
        lab.repository.write(PROBE, config_map("two"))
        two = lab.repository.commit("Change it once more")
        [ready] = [
            condition
            for condition in json.loads(lab.cluster.kubectl("get", *source, "-o", "json"))["status"]["conditions"]
            if condition["type"] == "Ready"
        ]
        late = {**ready, "message": f"{stored} 'main@sha1:{one.sha}'"}  # as source-controller would
        status = json.dumps({"status": {"conditions": [late]}})
        lab.cluster.kubectl("patch", *source, "--subresource=status", "--type=merge", "-p", status)
        said = ConditionIs("GitRepository", "flux-system/flux-system", "Ready", message=stored)
        assert one.sha in lab.cluster.expect(said, after=one, within_seconds=10)
        with pytest.raises(ExpectationError, match=one.sha):
            lab.cluster.expect(said, after=two, within_seconds=0.3)
    finally:
        os.kill(controller, signal.SIGCONT)
    assert two.sha in lab.cluster.expect(said, after=two)


def say(lab: Lab, uid: str, reason: str) -> None:
    """An Event about the ConfigMap `twin`, as a controller would write it."""
    about = f"{{apiVersion: v1, kind: ConfigMap, name: twin, namespace: default, uid: {uid}}}"
    event = f"""
        apiVersion: v1
        kind: Event
        metadata: {{generateName: twin-, namespace: default}}
        involvedObject: {about}
        reason: {reason}
        message: said by the test
        type: Normal
        """
    lab.cluster.kubectl("create", "-f", "-", stdin=dedent(event))


def twin(lab: Lab) -> str:
    """Make the ConfigMap `twin` anew; returns its UID."""
    lab.cluster.kubectl("delete", "configmap", "twin", "-n", "default", "--ignore-not-found")
    lab.cluster.kubectl("create", "configmap", "twin", "-n", "default")
    return lab.cluster.kubectl("get", "configmap", "twin", "-n", "default", "-o", "jsonpath={.metadata.uid}")


def test_an_object_of_the_same_name_that_is_gone_is_another_one(lab: Lab) -> None:
    gone, spoken = twin(lab), Event("ConfigMap", "default/twin", reason="Spoken")
    now = twin(lab)
    moment = lab.moment()
    say(lab, gone, "Spoken")
    with pytest.raises(ExpectationError, match="no event about ConfigMap default/twin"):
        lab.cluster.expect(spoken, after=moment, within_seconds=0.3)
    say(lab, now, "Spoken")
    assert "said by the test" in lab.cluster.expect(spoken, after=moment)


def test_an_object_that_comes_later_is_waited_for(lab: Lab) -> None:
    lab.cluster.kubectl("delete", "configmap", "twin", "-n", "default", "--ignore-not-found")
    moment = lab.moment()
    later = Timer(0.5, lambda: say(lab, twin(lab), "Spoken"))
    later.start()
    try:
        lab.cluster.expect(Event("ConfigMap", "default/twin", message="by the test"), after=moment)
    finally:
        later.join()


def test_a_forbidden_signal_is_told_as_soon_as_it_comes(lab: Lab) -> None:
    uid = twin(lab)
    moment = lab.moment()
    lab.cluster.forbid(Event("ConfigMap", "default/twin", type="Normal"), after=moment, for_seconds=0.3)
    say(lab, uid, "Spoken")
    with pytest.raises(ExpectationError, match="Normal Spoken: said by the test"):
        lab.cluster.forbid(Event("ConfigMap", "default/twin", type="Normal"), after=moment, for_seconds=60)


def test_with_nothing_to_check_nothing_passes(lab: Lab) -> None:
    moment = lab.moment()
    senseless: dict[Signal, str] = {
        Event("ConfigMap", "default/twin"): "say which event",
        ConditionIs(*ROOT, ""): "say which condition",
        LogLine("kustomize-controller", ".*"): "matches every line",
        LogLine("kustomize-controller", r"\S"): "matches every line",
        LogLine("kustomize-controller", "("): "no regular expression",
        LogLine("nobody", "x"): "no one log is named 'nobody'",
        Event("Nonsense", "default/x", reason="y"): "serves no kind 'Nonsense'",
        Event("ConfigMap", "twin", reason="y"): "NAMESPACE/NAME",
        Event("Node", "default/twin", reason="y"): "has to be NAME",
    }
    for one, told in senseless.items():
        with pytest.raises(UsageError, match=told):
            lab.cluster.expect(one, after=moment, within_seconds=1)
        with pytest.raises(UsageError, match=told):
            lab.cluster.forbid(one, after=moment, for_seconds=1)
    with pytest.raises(UsageError, match="proves nothing"):
        lab.cluster.forbid(Event("ConfigMap", "default/nobody", reason="x"), after=moment, for_seconds=1)
    for seconds in (0, -1):
        with pytest.raises(UsageError, match="proves nothing"):
            lab.cluster.forbid(Event(*ROOT, reason="x"), after=moment, for_seconds=seconds)
        with pytest.raises(UsageError, match=r"a ghost: .* proves nothing"):
            lab.never(lambda: False, what="a ghost", for_seconds=seconds)
    with pytest.raises(UsageError, match="no labels select every"):
        lab.cluster.list("ConfigMap", labels={})
    with pytest.raises(UsageError, match="an empty text is no commit"):
        lab.converge("")


def test_before_a_moment_that_the_cluster_did_not_tell_nothing_is_known(lab: Lab) -> None:
    with pytest.raises(UnknownError, match="is not known"):
        lab.cluster.expect(Event(*ROOT, reason="x"), after=Moment(), within_seconds=1)


def test_objects_are_read_by_kind_and_place(lab: Lab) -> None:
    lab.cluster.kubectl("create", "deployment", "web", "-n", "default", "--image=web:1", "--replicas=2")
    try:
        lab.wait_until(lambda: lab.cluster.deployment("default/web").ready_replicas == 2, what="web is Ready")
        web = lab.cluster.deployment("default/web")
        assert (web.replicas, web.updated_replicas, list(web.images)) == (2, 2, ["web:1"])
        pods = lab.cluster.list("pods", namespace="default", labels={"app": "web"})
        told = lab.cluster.kubectl("get", "pods", "-n", "default", "-l", "app=web", "-o", "name").split()
        assert sorted(f"pod/{pod.name}" for pod in pods) == sorted(told)
        assert lab.cluster.get("Node", "flux-playground-node-0").kind == "Node"
        assert lab.cluster.get("roles.rbac.authorization.k8s.io", "kube-system/system:controller:token-cleaner").name
        assert lab.cluster.find("ConfigMap", "default/nobody") is None
        with pytest.raises(ApiError, match="not found"):
            lab.cluster.get("ConfigMap", "default/nobody")
    finally:
        lab.cluster.kubectl("delete", "deployment", "web", "-n", "default")
