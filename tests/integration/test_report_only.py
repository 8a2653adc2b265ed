"""Report-only: Flux corrects nothing until it is let go, and every object is then as before. kubectl is the oracle."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.drift_objects import (
    AS_ALICE,
    CHARTS,
    ROOT,
    SOURCE,
    chart,
    config_map,
    deployment,
    kustomization,
    namespace,
    patch,
    release,
)

from fluxlab.cluster import Cluster
from fluxlab.commands import run
from fluxlab.documents import JsonObject
from fluxlab.drift.report_only import hold
from fluxlab.drift.report_only import release as release_cluster
from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.flux.convergence import ConvergenceError
from fluxlab.lab import Lab
from fluxlab.toolchain import find

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
REPORT_ONLY = "fluxlab.dev/report-only"
APPS, EXPLICIT, FROZEN, SYSTEM = (f"flux-system/{name}" for name in ("apps", "explicit", "frozen", "flux-system"))
Eventually = Callable[..., object]

HOLDING = """
import signal, sys
from fluxlab.lab import Lab

with Lab.find(sys.argv[1]).report_only():
    print("held", flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def shop(module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a Kustomization below the root, releases below that, and one Kustomization that alice suspended."""
    lab = module_lab
    lab.add_chart(chart(tmp_path_factory.mktemp("charts") / "everything"), url=CHARTS)
    repository = lab.repository
    releases = [
        release("corrects", [config_map("released")], mode="enabled"),
        release("off", [config_map("left")], mode="disabled"),
    ]
    repository.write("apps/all.yaml", [config_map("settings"), *releases])
    for name in ("explicit", "frozen"):
        repository.write(f"{name}/all.yaml", config_map(name))
    children = [kustomization("apps"), kustomization("explicit", suspend=False), kustomization("frozen")]
    repository.write(ROOT, [namespace("shop"), SOURCE, *children])
    lab.converge(repository.commit("Open the shop"))
    lab.cluster.flux("suspend", "kustomization", "frozen", *AS_ALICE)  # what kubectl adds the root would take away
    return lab


def flux_objects(cluster: Cluster) -> Mapping[str, Any]:
    """All Kustomizations and HelmReleases as kubectl shows them, whole but for what Flux says and counts itself."""
    words = ("get", "kustomizations,helmreleases", "-A", "-o", "json", "--show-managed-fields")
    found = {}
    for one in json.loads(cluster.kubectl(*words))["items"]:
        metadata = one["metadata"]
        entries = [entry for entry in metadata.pop("managedFields") if entry.get("subresource") != "status"]
        owners = {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}
        for counted in ("resourceVersion", "generation"):
            metadata.pop(counted)
        place = f"{metadata['namespace']}/{metadata['name']}"
        found[place] = {"spec": one["spec"], "metadata": metadata, "owners": owners}
    return found


def colour(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("get", "configmap", name, "-n", "shop", "-o", "jsonpath={.data.colour}")


def paint(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.kubectl(*patch(name, {"data": {"colour": "blue"}}))


def told(cluster: Cluster, kind: str, place: str, path: str) -> str:
    namespace, _, name = place.partition("/")
    return cluster.kubectl("get", kind, name, "-n", namespace, "-o", f"jsonpath={{{path}}}")


def request(cluster: Cluster, kind: str, place: str, token: str, eventually: Eventually) -> None:
    """As `flux reconcile`, which refuses to ask what is suspended, and leaves its request there."""
    namespace, _, name = place.partition("/")
    words = ("annotate", kind, name, "-n", namespace, "--overwrite", "--field-manager=somebody")
    cluster.kubectl(*words, f"{REQUESTED_AT}={token}")
    eventually(lambda: told(cluster, kind, place, ".status.lastHandledReconcileAt") == token, what=f"{place} answers")
    cluster.kubectl(*words, f"{REQUESTED_AT}-")


def report_only(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fluxlab", "report-only", *words, f"--lab={lab.name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)


def test_nothing_is_corrected_while_it_is_on_and_everything_once_it_is_off(shop: Lab, eventually: Eventually) -> None:
    lab, cluster = shop, shop.cluster
    before = flux_objects(cluster)
    suspended = ("Kustomization flux-system/frozen", "/spec/suspend")
    began = datetime.now(UTC)
    with lab.report_only():
        paint(cluster, "settings", "released")
        lab.repository.write("explicit/all.yaml", {**config_map("explicit"), "data": {"colour": "green"}})
        commit = lab.repository.commit("Paint it green")
        for place in (SYSTEM, APPS, EXPLICIT):
            request(cluster, "kustomization", place, commit.sha, eventually)
        request(cluster, "helmrelease", "shop/corrects", commit.sha, eventually)
        assert told(cluster, "gitrepository", SYSTEM, ".status.artifact.revision").endswith(commit.sha)
        assert {name: colour(cluster, name) for name in ("settings", "released", "explicit")} == {
            "settings": "blue",
            "released": "blue",
            "explicit": "red",
        }
        drifted = '.status.conditions[?(@.type=="Drifted")].status'
        assert told(cluster, "helmrelease", "shop/corrects", drifted) == "True"

        report = lab.drift()
        stays = {(str(one.object), one.pointer): (one.fate.reverted, one.fate.why) for one in report.drifts}
        assert stays.keys() == {
            ("ConfigMap shop/settings", "/data/colour"),
            ("ConfigMap shop/released", "/data/colour"),
            suspended,
        }
        for subject, owner in (
            ("settings", "Kustomization flux-system/apps"),
            ("released", "HelmRelease shop/corrects"),
        ):
            reverted, why = stays[f"ConfigMap shop/{subject}", "/data/colour"]
            assert (reverted, why.partition(";")[0]) == (False, f"report-only holds {owner} back")
        said = {str(one.object): one.flux_said for one in report.drifts}
        assert "DriftDetected" in said["ConfigMap shop/released"]
        assert (report.held_back, report.unknown) == ((cluster.name,), ())
        with pytest.raises(
            ConvergenceError,
            match=rf"{EXPLICIT}: is held back by report-only: .* \(fluxlab report-only off --lab {lab.name}\)",
        ):
            lab.converge()

    for name, wanted in (("settings", "red"), ("released", "red"), ("explicit", "green")):
        eventually(lambda name=name, wanted=wanted: colour(cluster, name) == wanted, what=f"{name} is {wanted}")
    assert flux_objects(cluster) == before
    rest = lab.drift()
    assert [(str(one.object), one.pointer) for one in rest.drifts] == [suspended]
    assert (rest.held_back, rest.unknown) == ((), ())
    eventually(lambda: [edit.ending for edit in lab.edits(since=began)].count(None) == 0, what="all edits have ended")
    assert {(str(edit.object), edit.field) for edit in lab.edits(since=began)} == {
        ("ConfigMap shop/settings", ".data.colour"),
        ("ConfigMap shop/released", ".data.colour"),
    }


class Died(BaseException):
    """Nobody catches it: what it ends has no time to clean up."""


def noted(cluster: Cluster) -> set[str]:
    """The places of what is held back, or was and is not let go yet."""
    found = flux_objects(cluster).items()
    return {place for place, one in found if REPORT_ONLY in one["metadata"].get("annotations", {})}


def dying(cluster: Cluster, *, written: int) -> Callable[[str], None]:
    """What ends its caller once it has written so many objects or more; how many it takes for it nobody knows before.

    It writes none that a controller wrote to meanwhile, and looks again.
    """
    before = noted(cluster)

    def step(_: str) -> None:
        if len(noted(cluster) ^ before) >= written:
            raise Died

    return step


def on(cluster: Cluster, progress: Callable[[str], None] = lambda _: None, seconds: float = 60) -> None:
    hold(cluster, progress=progress, timeout_seconds=seconds)


def off(cluster: Cluster, progress: Callable[[str], None] = lambda _: None) -> None:
    assert release_cluster(cluster, progress=progress, timeout_seconds=60) == ()


@pytest.mark.parametrize(
    ("verb", "steps"),
    [
        pytest.param(off, 2, id="off, soon"),
        *(pytest.param(verb, None, marks=pytest.mark.verify, id=verb.__name__) for verb in (on, off)),
    ],
)
def test_what_ends_at_any_step_another_goes_on_with_and_undoes(
    shop: Lab, verb: Callable[[Cluster, Callable[[str], None]], None], steps: int | None
) -> None:
    """At each of its first steps, or of all of them."""
    cluster = shop.cluster
    before = flux_objects(cluster)
    on(cluster)
    held = flux_objects(cluster)
    everything = len(noted(cluster))
    seen = set()
    for written in range(1, (steps or everything) + 1):
        (off if verb is on else on)(cluster)
        with pytest.raises(Died):
            verb(cluster, dying(cluster, written=written))
        there = noted(cluster)
        assert SYSTEM in there or not there, "it would take a suspension of its children back"
        seen.add(len(there))
        if written % 2:
            on(cluster)
            assert {place: one["spec"] for place, one in flux_objects(cluster).items()} == {
                place: one["spec"] for place, one in held.items()
            }
        off(cluster)
        assert flux_objects(cluster) == before
    assert seen & set(range(1, everything)), f"it was never half done: {seen}"


def test_a_block_that_fails_or_is_ended_lets_go(shop: Lab) -> None:
    cluster = shop.cluster
    before = flux_objects(cluster)

    def fail() -> None:
        with shop.report_only(cluster.name):
            assert flux_objects(cluster) != before
            raise FluxlabError("on purpose")

    with pytest.raises(FluxlabError, match="on purpose"):
        fail()
    assert flux_objects(cluster) == before
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        words = [sys.executable, "-c", HOLDING, shop.name]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            held = flux_objects(cluster)
            assert held != before
            process.send_signal(number)
            process.wait(60)
        assert flux_objects(cluster) == (held if number is signal.SIGKILL else before)
    off(cluster)
    assert flux_objects(cluster) == before


@pytest.mark.verify
def test_twice_on_and_twice_off_are_as_good_as_once(shop: Lab) -> None:
    cluster = shop.cluster
    before = flux_objects(cluster)
    assert "report-only is on: 4 " in report_only(shop, "on").stderr
    held = flux_objects(cluster)
    assert "report-only is on: 4 " in report_only(shop, "on", f"--cluster={cluster.name}").stderr
    assert flux_objects(cluster) == held
    told = {
        one["object"]: (one["standing"], one["why"])
        for one in json.loads(report_only(shop, "status", "-o", "json").stdout)
    }
    assert told == {
        **{f"Kustomization {place}": ("held back", "is suspended") for place in (SYSTEM, APPS, EXPLICIT)},
        f"Kustomization {FROZEN}": ("does not correct", "is suspended"),
        "HelmRelease shop/corrects": ("held back", "driftDetection is warn"),
        "HelmRelease shop/off": ("does not correct", "driftDetection is disabled"),
    }
    cluster.kubectl("annotate", "kustomization", "apps", "-n", "flux-system", f"{REQUESTED_AT}-")
    on(cluster)
    words = [sys.executable, "-m", "fluxlab", "drift", f"--lab={shop.name}"]
    drift = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert f"report-only is on in cluster {cluster.name}" in drift.stderr
    report_only(shop, "off")
    assert flux_objects(cluster) == before
    report_only(shop, "off")
    assert flux_objects(cluster) == before


def test_what_a_person_changes_meanwhile_stays_and_is_told(shop: Lab) -> None:
    cluster = shop.cluster
    before = flux_objects(cluster)
    cluster.kubectl("create", "-f", "-", *AS_ALICE, stdin=json.dumps(release("mine", [], mode="enabled")))  # not in git
    report_only(shop, "on")
    disable: JsonObject = {"spec": {"driftDetection": {"mode": "disabled"}}}
    cluster.kubectl(*patch("mine", disable, kind="helmrelease"))
    resume: JsonObject = {"spec": {"suspend": None}}
    cluster.kubectl(*patch("apps", resume, kind="kustomization", namespace="flux-system"))
    assert re.search(rf"Kustomization {APPS} +corrects\n", report_only(shop, "status").stdout)
    told_at_the_end = report_only(shop, "off").stderr
    mode = "HelmRelease shop/mine: .spec.driftDetection.mode"
    assert f'{mode} was set to "disabled" by kubectl-patch meanwhile, and stays so\n' in told_at_the_end
    assert f"Kustomization {APPS}: .spec.suspend was removed meanwhile, and stays so\n" in told_at_the_end
    after = dict(flux_objects(cluster))
    mine = after.pop("shop/mine")
    assert mine["spec"]["driftDetection"] == {"mode": "disabled"}
    assert "annotations" not in mine["metadata"]
    assert after == before
    cluster.kubectl("delete", "helmrelease", "mine", "-n", "shop")


@pytest.mark.verify
def test_what_somebody_did_with_helm_stays_too(shop: Lab, tmp_path: Path, eventually: Eventually) -> None:
    cluster = shop.cluster
    before = flux_objects(cluster)
    values = {"objects": [{**config_map("left"), "data": {"colour": "blue", "size": "1"}}]}
    words = ("upgrade", "off", chart(tmp_path / "everything"), "--namespace=shop", "--force-conflicts", "--values=-")
    options = (f"--kubeconfig={cluster.kubeconfig}", "--kube-as-user=alice", "--kube-as-group=system:masters")
    run([find().binary("helm"), *words, *options], stdin=json.dumps(values))
    with shop.report_only():
        request(cluster, "helmrelease", "shop/off", "now", eventually)
        assert colour(cluster, "left") == "blue"
        [one] = [one for one in shop.drift().drifts if one.object.name == "left"]
        assert (one.pointer, one.fate.reverted) == ("/data/colour", False)
        assert one.fate.why.startswith("report-only holds HelmRelease shop/off back")
    eventually(lambda: colour(cluster, "left") == "red", what="helm-controller undoes it")
    assert flux_objects(cluster) == before


def test_a_controller_that_may_still_correct_is_waited_for(shop: Lab) -> None:
    cluster = shop.cluster
    before = flux_objects(cluster)
    components = {one.name: one.pid for one in shop.status().clusters[0].components}
    controller = components[f"{cluster.name}/kustomize-controller"]
    assert controller
    os.kill(controller, signal.SIGSTOP)
    try:
        with pytest.raises(WaitTimeoutError, match=f"Kustomization {APPS} may be at work still"):
            on(cluster, seconds=5)
    finally:
        os.kill(controller, signal.SIGCONT)
    on(cluster)
    off(cluster)
    assert flux_objects(cluster) == before


@pytest.mark.verify
def test_what_git_wants_no_more_flux_still_takes_away(shop: Lab, eventually: Eventually) -> None:
    cluster, repository = shop.cluster, shop.repository
    with shop.report_only():
        pass
    repository.patch("apps/all.yaml", {"spec": {"driftDetection": None}}, kind="HelmRelease", name="corrects")
    repository.patch(ROOT, {"spec": {"suspend": None}}, name="explicit")
    repository.commit("Leave it to Flux's defaults")
    eventually(
        lambda: not told(cluster, "helmrelease", "shop/corrects", ".spec.driftDetection"),
        what="the release has no mode",
    )
    eventually(
        lambda: not told(cluster, "kustomization", EXPLICIT, ".spec.suspend"), what="nothing speaks of suspension"
    )


@pytest.mark.verify
def test_who_only_waits_for_health_is_not_waited_for(shop: Lab, eventually: Eventually) -> None:
    cluster = shop.cluster
    homeless = json.loads(json.dumps(deployment("homeless")))
    homeless["spec"]["template"]["spec"]["nodeSelector"] = {"no": "where"}
    shop.repository.write("slow/all.yaml", homeless)
    slow = kustomization("slow", wait=True)  # for an hour
    shop.repository.write("clusters/flux-playground/slow.yaml", slow)
    shop.repository.commit("Wait for what has no place")
    place = "flux-system/slow"
    message = '.status.conditions[?(@.type=="Reconciling")].message'
    eventually(
        lambda: (
            shop.cluster.find("Kustomization", place)
            and "health checks" in told(cluster, "kustomization", place, message)
        ),
        what="it waits for health",
    )
    with shop.report_only():
        assert told(cluster, "kustomization", place, ".spec.suspend") == "true"
        assert "health checks" in told(cluster, "kustomization", place, message)
    assert told(cluster, "kustomization", place, ".spec.suspend") == ""
