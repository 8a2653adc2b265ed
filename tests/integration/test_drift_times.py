"""When a difference was made, seen, alerted and corrected, and when Flux will correct it, as kubectl has it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.integration.drift_objects import patch

from fluxlab.drift.aspects import Voice
from fluxlab.drift.records import Drift
from fluxlab.lab import Lab
from fluxlab.timeline.entries import parse_time
from fluxlab.timeline.folder import SUPERVISOR

pytestmark = [pytest.mark.integration, pytest.mark.fluxlab(scenario="shop")]

INTERVAL = timedelta(seconds=30)
"""That of the scenario's Kustomization."""
JITTER = INTERVAL * 0.05
BUSY = timedelta(seconds=10)
"""How much later a busy machine may be."""


@pytest.fixture(scope="module")
def lab(module_lab: Lab) -> Lab:
    """The shop, in which helm-controller warns of drift."""
    lab = module_lab
    place = "clusters/flux-playground/shop.yaml"
    lab.repository.patch(place, {"spec": {"driftDetection": {"mode": "warn"}}}, kind="HelmRelease", name="cart")
    lab.converge(lab.repository.commit("Warn of drift"))
    lab.drift().assert_clean()
    return lab


def one_of(lab: Lab, name: str) -> Drift:
    [found] = [one for one in lab.drift().drifts if one.object.name == name]
    return found


def alerted(lab: Lab, text: str) -> list[datetime]:
    """When the sinks were told of an object, as the supervisor's journal has it."""
    files = sorted((lab.folder.timeline / SUPERVISOR).glob("*"))
    entries = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted(parse_time(one["time"]) for one in entries if one["source"] == "alert" and text in one["text"])


def last_reconciled(lab: Lab) -> datetime:
    words = ("get", "kustomizations.kustomize.toolkit.fluxcd.io", "shop", "-n", "flux-system")
    return parse_time(lab.cluster.kubectl(*words, "-o=jsonpath={.status.history[0].lastReconciled}"))


def last_in_sync(lab: Lab) -> datetime:
    """As helm-controller's log has it."""
    log = lab.cluster.kubeconfig.parent / "logs" / "helm-controller.log"
    lines = [json.loads(line) for line in log.read_text().splitlines() if "release in-sync with desired state" in line]
    return max(parse_time(one["ts"]) for one in lines if (one["namespace"], one["name"]) == ("flux-system", "cart"))


def test_a_warning_is_told_with_the_alert_that_repeats_it(lab: Lab) -> None:
    began = datetime.now(UTC)
    lab.cluster.kubectl("scale", "deployment", "cart", "-n", "shop", "--replicas=3")
    done = datetime.now(UTC)
    lab.cluster.flux("reconcile", "helmrelease", "cart")
    told = lab.wait_until(
        lambda: found if (found := one_of(lab, "cart")).times.alerted else None, what="a sink is told of it"
    )
    assert told.said.voice is Voice.EVENT
    assert told.flux_said.startswith("DriftDetected: ")
    times = told.times
    assert times.changed
    assert times.detected
    assert began <= times.changed <= done
    assert times.changed <= times.detected <= done + BUSY
    assert times.alerted == next(at for at in alerted(lab, "Deployment/shop/cart") if at >= began)
    assert times.corrected is None
    assert (told.fate.reverted, told.fate.within, told.fate.due) == (False, None, None)


@pytest.mark.verify
def test_a_correction_comes_when_it_was_foretold_and_is_alerted(lab: Lab) -> None:
    began = datetime.now(UTC)
    lab.cluster.kubectl(*patch("settings", {"data": {"currency": "USD"}}))
    told = one_of(lab, "settings")
    assert (told.said.voice, told.times.alerted, told.times.corrected) == (Voice.SILENT, None, None)
    assert (told.fate.reverted, told.fate.within) == (True, INTERVAL)
    assert told.fate.due == last_reconciled(lab) + INTERVAL

    def corrected() -> bool:
        words = ("get", "configmap", "settings", "-n", "shop", "-o", "jsonpath={.data.currency}")
        return lab.cluster.kubectl(*words) == "EUR"

    lab.wait_until(corrected, what="Flux corrects it at its interval", timeout_seconds=60)
    seen = datetime.now(UTC)
    edit = lab.wait_until(
        lambda: next(
            (one for one in lab.edits(since=began) if one.times.alerted and one.said.voice is Voice.EVENT), None
        ),
        what="the timeline has the event and its alert, in whatever order they come",
    )
    times = edit.times
    assert times.corrected
    assert told.fate.due - JITTER - timedelta(seconds=1) <= times.corrected <= told.fate.due + JITTER + BUSY
    assert times.corrected <= seen
    assert times.alerted == next(at for at in alerted(lab, "ConfigMap/shop/settings configured") if at >= began)


@pytest.mark.verify
def test_a_correction_of_a_release_comes_when_it_was_foretold(lab: Lab) -> None:
    place = "clusters/flux-playground/shop.yaml"
    lab.repository.patch(place, {"spec": {"driftDetection": {"mode": "enabled"}}}, kind="HelmRelease", name="cart")
    lab.converge(lab.repository.commit("Correct drift"))
    lab.drift().assert_clean()
    lab.cluster.kubectl("scale", "deployment", "cart", "-n", "shop", "--replicas=4")
    told = one_of(lab, "cart")
    assert (told.fate.reverted, told.fate.within) == (True, INTERVAL)
    assert told.fate.due == last_in_sync(lab) + INTERVAL

    def corrected() -> bool:
        return lab.cluster.kubectl("get", "deployment", "cart", "-n", "shop", "-o", "jsonpath={.spec.replicas}") != "4"

    lab.wait_until(corrected, what="helm-controller corrects it at its interval", timeout_seconds=60)
    seen = datetime.now(UTC)
    assert told.fate.due - JITTER - timedelta(seconds=1) <= seen <= told.fate.due + JITTER + BUSY
