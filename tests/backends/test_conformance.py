"""One suite for all backends: what a lab promises holds wherever its cluster is, or is refused by name."""

import base64
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest
from tests.backends.conftest import CLUSTER, IMAGE, Ground
from tests.integration.conftest import Observer

from fluxlab.clusters.capabilities import Capability, UnsupportedError
from fluxlab.documents import JsonObject
from fluxlab.flux.signals import Event, ExpectationError, LogLine
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

CHARTS = "https://charts.example.com/stable"
HELM_CHART = """\
apiVersion: v2
name: web
version: 1.0.0
"""
TEMPLATE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {{{{ .Release.Name }}}}}}
spec:
  replicas: {{{{ .Values.replicas }}}}
  selector: {{matchLabels: {{app: {{{{ .Release.Name }}}}}}}}
  template:
    metadata: {{labels: {{app: {{{{ .Release.Name }}}}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: web, image: "{image}"}}]
"""


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    """The module's lab, once everything that earlier tests pushed has arrived."""
    module_lab.converge()
    return module_lab


@pytest.fixture
def observer(lab: Lab) -> Observer:
    return Observer(lab.cluster.kubeconfig)


def path(name: str) -> str:
    return f"clusters/{CLUSTER}/{name}.yaml"


def namespace(name: str) -> JsonObject:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def config_map(place: str, **data: str) -> JsonObject:
    where, _, name = place.partition("/")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": where, "name": name}, "data": data}


def value(observer: Observer, place: str, key: str) -> str:
    """A ConfigMap's value, as kubectl tells it; empty when it is not there."""
    where, _, name = place.partition("/")
    text = observer.kubectl("-n", where, "get", "configmap", name, "-o", "json", check=False)
    try:
        return str(json.loads(text)["data"].get(key, ""))
    except ValueError:
        return ""


def source(lab: Lab) -> JsonObject:
    root = lab.cluster.root
    return {"kind": "GitRepository", "name": root.name, "namespace": root.namespace}


def reconcile(observer: Observer, lab: Lab) -> None:
    """Ask Flux to look at the root Kustomization now, as `flux reconcile` does."""
    root = lab.cluster.root
    stamp = f"reconcile.fluxcd.io/requestedAt={time.time_ns()}"
    observer.kubectl("-n", root.namespace, "annotate", "--overwrite", "kustomization", root.name, stamp)


# -- what Flux does -------------------------------------------------------------------------------------------------


def test_flux_has_applied_what_the_repository_holds(lab: Lab, observer: Observer) -> None:
    root, clone_url = lab.cluster.root, lab.status().repositories[0].clone_url
    token = (lab.folder.repositories / f"{lab.spec.repository.name}.token").read_text().strip()
    url = clone_url.replace("http://", f"http://any:{token}@")
    head = subprocess.run(["git", "ls-remote", url, "refs/heads/main"], capture_output=True, text=True, check=True)
    found = observer.get("kustomization", root.name, "-n", root.namespace)["status"]
    assert found["lastAppliedRevision"] == f"main@sha1:{head.stdout.split()[0]}"


def test_a_push_arrives(lab: Lab, observer: Observer) -> None:
    lab.repository.write(path("push"), [namespace("push"), config_map("push/settings", size="1")])
    lab.converge(lab.repository.commit("Add settings"))
    assert value(observer, "push/settings", "size") == "1"
    lab.repository.write(path("push"), [namespace("push"), config_map("push/settings", size="2")])
    lab.converge(lab.repository.commit("Change settings"))
    assert value(observer, "push/settings", "size") == "2"
    lab.repository.delete(path("push"))
    lab.converge(lab.repository.commit("Remove settings"))
    lab.wait_until(lambda: value(observer, "push/settings", "size") == "", what="it is pruned")


def test_what_does_not_arrive_is_named(lab: Lab) -> None:
    lab.repository.write(path("wrong"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n")
    commit = lab.repository.commit("Break it")
    with pytest.raises(Exception, match=r"(?s)failed.*wrong\.yaml"):
        lab.converge(commit, timeout_seconds=60)
    lab.repository.delete(path("wrong"))
    lab.repository.commit("Mend it")


def test_drift_is_told_and_corrected(lab: Lab, observer: Observer) -> None:
    lab.repository.write(path("drift"), [namespace("drift"), config_map("drift/settings", size="1")])
    lab.converge(lab.repository.commit("Add what drifts"))
    patch = '{"data":{"size":"9"}}'
    observer.kubectl("-n", "drift", "patch", "configmap", "settings", "--type=merge", "-p", patch)
    drifts = {(drift.object, drift.pointer): drift for drift in lab.drift().drifts}
    ((_, found),) = [entry for entry in drifts.items() if "settings" in str(entry[0][0])]
    assert (found.pointer, found.desired, found.live) == ("/data/size", '"1"', '"9"')
    assert found.actor.manager == "kubectl-patch"
    reconcile(observer, lab)
    lab.wait_until(lambda: value(observer, "drift/settings", "size") == "1", what="Flux corrects it")
    assert not lab.drift().drifts


def test_a_chart_in_the_repository_becomes_a_release(lab: Lab, observer: Observer) -> None:
    lab.repository.write("charts/web/Chart.yaml", HELM_CHART)
    lab.repository.write("charts/web/values.yaml", "replicas: 1\n")
    lab.repository.write("charts/web/templates/web.yaml", TEMPLATE.format(image=IMAGE))
    chart: JsonObject = {"spec": {"chart": "charts/web", "sourceRef": source(lab), "interval": "1m"}}
    release: JsonObject = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "web", "namespace": "release"},
        "spec": {"interval": "1m", "chart": chart, "values": {"replicas": 2}},
    }
    lab.repository.write(path("release"), [namespace("release"), release])
    lab.converge(lab.repository.commit("Release web"))
    status = observer.get("deployment", "web", "-n", "release")["status"]
    assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 2)
    assert "web" in observer.kubectl("-n", "release", "get", "secret", "-l", "owner=helm,name=web", "-o", "name")


def test_a_secret_reaches_what_names_it(lab: Lab, observer: Observer) -> None:
    inner: JsonObject = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "vault", "namespace": "vault"},
        "spec": {
            "interval": "1m",
            "retryInterval": "2s",
            "path": "./vault",
            "prune": True,
            "sourceRef": source(lab),
            "postBuild": {"substituteFrom": [{"kind": "Secret", "name": "keys"}]},
        },
    }
    lab.repository.write("vault/settings.yaml", config_map("vault/settings", used="${TOKEN}"))
    lab.repository.write(path("vault"), [namespace("vault"), inner])
    commit = lab.repository.commit("Name a Secret")
    assert lab.converge(commit, until_asked=True)[0].asks
    lab.cluster.set_secret("vault/keys", "TOKEN", "s3same")
    lab.converge(commit)
    assert value(observer, "vault/settings", "used") == "s3same"
    kept = observer.get("secret", "keys", "-n", "vault")["data"]["TOKEN"]
    assert base64.b64decode(kept) == b"s3same"


def test_an_event_of_the_commit_is_found(lab: Lab, observer: Observer) -> None:
    root, reason = lab.cluster.root, "ReconciliationSucceeded"

    def newest() -> int:
        events = observer.get("events", "-n", root.namespace)["items"]
        about = [one for one in events if (one["involvedObject"]["name"], one["reason"]) == (root.name, reason)]
        return max((int(one["metadata"]["resourceVersion"]) for one in about), default=0)

    before = newest()
    lab.repository.write(path("event"), config_map("default/event", size="1"))
    commit = lab.repository.commit("Cause an event")
    lab.cluster.expect(Event("Kustomization", root.place, reason=reason), after=commit)
    assert newest() > before


# -- what a cluster may lack, cell by cell --------------------------------------------------------------------------


def _bootstrap(lab: Lab, observer: Observer) -> None:
    assert observer.get("kustomization", "flux-system", "-n", "flux-system")["status"]["lastAppliedRevision"].endswith(
        lab.repository.head()
    )
    folder = f"clusters/{CLUSTER}/flux-system"
    assert "kind: Deployment" in lab.repository.text(lab.repository.head(), f"{folder}/gotk-components.yaml")


def _mapped_hosts(lab: Lab, observer: Observer) -> None:
    lab.charts(CHARTS)
    repository: JsonObject = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmRepository",
        "metadata": {"name": "stable", "namespace": "default"},
        "spec": {"url": CHARTS, "interval": "1m"},
    }
    lab.repository.write(path("mapped"), repository)
    lab.converge(lab.repository.commit("Name a public chart repository"))
    ready = observer.get("helmrepository", "stable", "-n", "default")["status"]["conditions"]
    assert {condition["type"]: condition["status"] for condition in ready}["Ready"] == "True"


def _containers(lab: Lab, observer: Observer) -> None:
    del lab
    pods = observer.get("pods", "-n", "flux-system")["items"]
    assert pods
    for pod in pods:
        assert "://" in pod["status"]["containerStatuses"][0].get("containerID", "")


def _restart(lab: Lab, observer: Observer) -> None:
    del observer
    commit = lab.repository.head()
    lab.control.restart("source-controller")
    lab.repository.write(path("restart"), config_map("default/restart", before=commit))
    lab.converge(lab.repository.commit("Does Flux still fetch?"))


def _controller_logs(lab: Lab, observer: Observer) -> None:
    del observer
    lab.repository.write(path("logs"), config_map("default/logs", size="1"))
    commit = lab.repository.commit("Cause a line in a log")
    lab.cluster.expect(LogLine("kustomize-controller", "server-side apply"), after=commit)


def _audit(lab: Lab, observer: Observer) -> None:
    lab.repository.write(path("audit"), config_map("default/audit", size="1"))
    lab.converge(lab.repository.commit("Add what somebody changes"))
    patch = '{"data":{"size":"9"}}'
    words = ("-n", "default", "patch", "configmap", "audit", "--type=merge", "-p", patch)
    observer.kubectl("--as=alice", "--as-group=system:masters", *words)
    try:
        (found,) = [drift for drift in lab.drift().drifts if drift.object.name == "audit"]
        assert "alice" in str(found.actor)
    finally:
        reconcile(observer, lab)


def _snapshot(lab: Lab, observer: Observer, folder: Path) -> None:
    del observer
    lab.save_snapshot(folder / "whole.snapshot")
    assert (folder / "whole.snapshot").stat().st_size > 0


def _processes(lab: Lab, observer: Observer) -> None:
    del observer
    parts = {part.name.rpartition("/")[2]: part.pid for part in lab.status().clusters[0].components}
    assert parts["source-controller"]
    assert psutil.Process(parts["source-controller"]).name() == "source-controller"


def _stages(lab: Lab, observer: Observer) -> None:
    del lab
    nodes = observer.get("nodes")["items"]
    assert all(node["metadata"]["annotations"]["kwok.x-k8s.io/node"] == "fake" for node in nodes)


def _leader_election(lab: Lab, observer: Observer) -> None:
    del lab
    leases = observer.get("leases", "-n", "flux-system")["items"]
    assert any("kustomize-controller" in lease["spec"]["holderIdentity"] for lease in leases)


def _memory_limits(lab: Lab, observer: Observer) -> None:
    del lab
    pods = observer.get("pods", "-n", "flux-system")["items"]
    assert all(pod["spec"]["containers"][0]["resources"]["limits"]["memory"] for pod in pods)


PROBES: Mapping[Capability, Callable[..., None]] = {
    Capability.BOOTSTRAP: _bootstrap,
    Capability.MAPPED_HOSTS: _mapped_hosts,
    Capability.CONTAINERS: _containers,
    Capability.RESTART: _restart,
    Capability.CONTROLLER_LOGS: _controller_logs,
    Capability.AUDIT: _audit,
    Capability.SNAPSHOT: _snapshot,
    Capability.PROCESSES: _processes,
    Capability.STAGES: _stages,
    Capability.LEADER_ELECTION: _leader_election,
    Capability.MEMORY_LIMITS: _memory_limits,
}


SHOWS = frozenset({Capability.CONTAINERS, Capability.AUDIT})
"""No call asks for these: that a cluster lacks them shows in what it tells."""
FAULTS: Mapping[Capability, str] = {
    Capability.BOOTSTRAP: "webhook-dead",
    Capability.PROCESSES: "controller-pause",
    Capability.STAGES: "node-lost",
    Capability.LEADER_ELECTION: "controller-lease-stolen",
    Capability.MEMORY_LIMITS: "controller-oom",
}
"""What asks for the others that no call of a lab asks for."""


@pytest.mark.parametrize("capability", [one for one in Capability if one is not Capability.LINKS])
def test_what_a_cluster_can_it_does_and_what_it_lacks_is_refused_by_name(
    lab: Lab, observer: Observer, capability: Capability, tmp_path: Path
) -> None:
    lacking = lab.cluster.lacks(capability)
    assert lab.status().clusters[0].lacks.get(capability, "") == lacking

    def probe() -> None:
        PROBES[capability](lab, observer, *([tmp_path] if capability is Capability.SNAPSHOT else []))

    if not lacking:
        probe()
    elif capability in SHOWS:
        with pytest.raises(AssertionError):
            probe()
    elif fault := FAULTS.get(capability):
        with pytest.raises(UnsupportedError) as caught, lab.fault(fault):
            pass
        reason, elsewhere = caught.value.facts
        assert reason == f"{capability}: {lacking}"
        assert elsewhere.startswith("backends that have it: ")
    else:
        with pytest.raises(UnsupportedError, match=f"has no {capability}"):
            probe()


def test_links_are_there_or_refused(ground: Ground) -> None:
    spec = ground.spec().model_dump()
    if ground.name == "local":
        assert type(ground.spec()).model_validate({**spec, "links": True}).links  # test_links.py uses them
    else:
        with pytest.raises(ValueError, match="links: here is not on backend local"):
            type(ground.spec()).model_validate({**spec, "links": True})


def test_no_signal_is_taken_for_one_that_does_not_come(lab: Lab) -> None:
    commit = lab.repository.head()
    with pytest.raises(ExpectationError):
        lab.cluster.expect(
            Event("Kustomization", lab.cluster.root.place, reason="NoSuchReason"),
            after=lab.moment(),
            within_seconds=0.5,
        )
    assert lab.repository.head() == commit
