"""Sound rehearsals pass, and none with a planted mistake does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from tests.integration.rehearsals.rehearsing import (
    PATIENT,
    SOON,
    UNRECOVERED,
    Rehearsing,
    Remains,
    errors_told,
    reasons,
)

from fluxlab.alerts import Alerts
from fluxlab.clusters.api import ApiUnreachableError
from fluxlab.drift.records import DriftReport
from fluxlab.faults.layers.controllers.processes import ControllerPause
from fluxlab.flux.look import Convergence
from fluxlab.lab import Lab
from fluxlab.recorder.watching import Watching
from fluxlab.rehearsals import history, running, sampling, sensing
from fluxlab.rehearsals.checks import Answers, await_checks
from fluxlab.rehearsals.footprint import Footprint
from fluxlab.rehearsals.history import History, Sighting
from fluxlab.rehearsals.results import Outcome
from fluxlab.rehearsals.signals import SignalSpec
from fluxlab.rehearsals.spec import SteadyState
from fluxlab.rehearsals.steps import Steps
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

PUSHED = """\
- commit:
    message: Take dollars, too
    patch:
    - {path: apps/shop/settings.yaml, kind: ConfigMap, name: settings, change: {data: {currency: EUR USD}}}
"""


@pytest.mark.verify
def test_what_is_pushed_is_taken_back_while_a_fault_is_in(rehearsing: Rehearsing, remains: Sequence[Remains]) -> None:
    pushed = PUSHED.replace("- commit", "- name: dollars\n  commit")
    told = (
        "- what: the change is told\n"
        "  alert: {object: Kustomization flux-system/shop, commit: dollars}\n"
        "  after: dollars\n"
    )
    result = rehearsing(
        {
            "steps:\n": f"steps:\n{pushed}- until: {{arrived: true}}\n",
            PUSHED: "- commit: {message: Take no dollars, revert: dollars}\n",
            "expect:\n": f"expect:\n{told}",
        },
        timeout_factor=PATIENT,
    )
    assert result.outcome is Outcome.PASS, result.findings
    [seen] = remains
    assert seen.subjects[:2] == ["Take no dollars", "Take dollars, too"]
    assert seen.currencies == ["EUR", "EUR USD", "EUR"]
    assert seen.currency == "EUR"
    about = {one["commit"] for one in seen.alerts if one.get("object") == "Kustomization flux-system/shop"}
    assert set(seen.commits[:2]) <= about


def test_a_sound_rehearsal_passes_and_its_control_run_says_nothing(rehearsing: Rehearsing) -> None:
    for control in (False, True):
        # Long enough that also a machine with much else to do is never that late by itself.
        result = rehearsing({"for_seconds: 1": "for_seconds: 8"}, control=control, timeout_factor=PATIENT)
        assert result.outcome is Outcome.PASS, result.reasons
        assert [one.skipped for one in result.steps] == [control, False]
        assert len(result.faults) == (0 if control else 1)


@pytest.mark.usefixtures("short_proofs")
def test_a_fault_that_does_nothing_proves_nothing(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllerPause, "inject", lambda *_: None)
    result = rehearsing()
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "could not be proven" in reasons(result, "step")[0].why


@pytest.mark.usefixtures("short_proofs")
def test_a_heal_that_does_nothing_is_caught(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllerPause, "heal", lambda *_: None)
    result = rehearsing(UNRECOVERED)
    assert result.outcome is Outcome.FAIL
    assert any("could not be taken out" in one.why for one in result.findings)
    assert any("kustomize-controller is paused" in one.why for one in reasons(result, "residue"))


def test_a_signal_that_does_not_come_fails(rehearsing: Rehearsing) -> None:
    result = rehearsing({"flux-system/flux-system, why": "flux-system/other, why", "within_seconds: 20": SOON})
    assert result.outcome is Outcome.FAIL
    assert "never came" in reasons(result, "signal")[0].why


EVERYTHING = {
    PUSHED: """\
- fault: {fault: manifest-syntax-error, target: flux-system/shop}
- human: {kubectl: [scale, deployment/frontend, -n, shop, --replicas=3]}
- fault: {fault: pod-crash-loop, target: shop/cart}
""",
    "workloads: shop}": "workloads: shop, when: [before, after]}",
    "- fault: {fault: controller-pause, target: kustomize-controller}\n": "",
    """\
- what: it is late
  pending: {object: Kustomization flux-system/flux-system, why: has applied, for_seconds: 1}
  within_seconds: 20
""": """\
- {what: condition, condition: {kind: Kustomization, place: flux-system/shop, status: "False"}, within_seconds: 20}
- {what: event, event: {kind: Kustomization, place: flux-system/shop, reason: BuildFailed}, within_seconds: 20}
- {what: log, log: {component: kustomize-controller, pattern: kustomize build failed}, within_seconds: 20}
- {what: alert, alert: {object: Kustomization flux-system/shop, severity: error}, within_seconds: 20}
- {what: drift, drift: {object: Deployment shop/frontend}, within_seconds: 20}
- {what: metric, metric: {component: kustomize-controller, name: workqueue_adds_total, above: 0}, within_seconds: 20}
- {what: pods, pods: {namespace: shop, waiting: CrashLoopBackOff}, within_seconds: 20}
- {what: pending, pending: {object: Kustomization flux-system/shop, for_seconds: 0}, within_seconds: 20}
""",
}
"""Everything that can be seen is there, in one way each, once these faults are in."""


def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the product show nothing of that: what is recorded, logged, sent, compared, counted and judged."""
    of, drift, look = History.of, Lab.drift, Lab.look

    def nothing_happened(self: History, kind: str, **where: str) -> Sequence[Sighting]:
        return [] if kind in {"Event", "Pod", "Kustomization"} else of(self, kind, **where)

    def nothing_differs(self: Lab, *words: object, **more: object) -> DriftReport:
        return replace(drift(self, *words, **more), drifts=())  # type: ignore[arg-type] # whatever it is asked

    def all_has_arrived(self: Lab, *words: object) -> Sequence[Convergence]:
        return [replace(one, pending=()) for one in look(self, *words)]  # type: ignore[arg-type] # the same

    monkeypatch.setattr(History, "of", nothing_happened)
    monkeypatch.setattr(sensing, "read_log_lines", lambda *_, **__: [])
    monkeypatch.setattr(Alerts, "all", lambda *_, **__: [])
    monkeypatch.setattr(Lab, "drift", nothing_differs)
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [])
    monkeypatch.setattr(Lab, "look", all_has_arrived)


@pytest.mark.verify
def test_of_a_product_that_shows_nothing_each_kind_of_signal_fails_and_else_each_comes(
    rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = rehearsing(EVERYTHING, timeout_factor=PATIENT)
    assert [f"{one.part}: {one.what}: {one.why}" for one in seen.reasons] == []
    assert [one.what for one in seen.findings if one.part == "signal"] == list(SignalSpec.ways())
    blind(monkeypatch)
    result = rehearsing({**EVERYTHING, **UNRECOVERED})
    assert result.outcome is Outcome.FAIL
    told = {one.what: (one.outcome, "never came" in one.why) for one in result.findings if one.part == "signal"}
    assert told == dict.fromkeys(SignalSpec.ways(), (Outcome.FAIL, True))


@pytest.mark.verify
def test_a_signal_that_does_not_come_fails_also_where_a_step_waits_for_it(rehearsing: Rehearsing) -> None:
    lost = "pending: {object: Kustomization flux-system/other, why: has applied, for_seconds: 1}"
    wait = f"- wait:\n    {lost}\n  within_seconds: 8\n"
    changes = {"flux-system/flux-system, why": "flux-system/other, why", "within_seconds: 20": SOON}
    result = rehearsing({**changes, "expect:\n": f"{wait}expect:\n"})
    assert result.outcome is Outcome.FAIL, result.findings
    assert "never came" in reasons(result, "signal")[0].why
    assert [one.outcome for one in result.findings if one.part == "step"] == [Outcome.INCONCLUSIVE]


@pytest.mark.verify
def test_a_signal_that_must_not_come_fails(rehearsing: Rehearsing) -> None:
    forbidden = "forbid:\n- {what: silence, pending: {object: Kustomization flux-system/flux-system, for_seconds: 0}}\n"
    result = rehearsing({"truth:": f"{forbidden}truth:"})
    assert result.outcome is Outcome.FAIL
    assert reasons(result, "forbidden")[0].what == "silence"


APPLIED = "condition: {kind: Kustomization, place: flux-system/shop, message: Applied revision}"
RECONCILED = "event: {kind: Kustomization, place: flux-system/shop, reason: ReconciliationSucceeded}"


@pytest.mark.verify
@pytest.mark.parametrize(
    ("signal", "changes"),
    [
        (APPLIED, {}),
        # Nothing is done, and the shop is reconciled by itself once in 30 s only.
        (RECONCILED, {PUSHED: "", "within_seconds: 20": SOON}),
    ],
    ids=["by the commit", "by itself"],
)
def test_a_signal_that_comes_without_the_fault_makes_the_rehearsal_worthless(
    rehearsing: Rehearsing, signal: str, changes: Mapping[str, str]
) -> None:
    pending = "pending: {object: Kustomization flux-system/flux-system, why: has applied, for_seconds: 1}"
    result = rehearsing({**changes, pending: signal}, control=True)
    assert result.outcome is Outcome.FAIL
    assert {one.part for one in result.reasons} == {"control"}, "of being asked nothing is left"
    assert "without any fault" in reasons(result, "control")[0].why


@pytest.mark.verify
def test_an_alert_of_an_error_without_the_fault_makes_the_rehearsal_worthless(
    rehearsing: Rehearsing, remains: Sequence[Remains]
) -> None:
    """Although no signal is about it."""
    broken = "- commit: {message: Break it, write: {apps/shop/kustomization.yaml: 'resources: [nowhere.yaml]'}}\n"
    result = rehearsing({PUSHED: broken, **UNRECOVERED}, control=True)
    assert result.outcome is Outcome.FAIL
    assert errors_told(result, remains[-1])
    [alert] = reasons(result, "control")
    assert "to slack hooks.slack.com: Kustomization flux-system/shop" in alert.why


@pytest.mark.verify
@pytest.mark.parametrize(("module", "name"), [(sampling, "ask"), (running, "await_checks")])
def test_a_check_that_crashes_proves_nothing(
    rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    whole = getattr(module, name)
    healed: list[bool] = []

    def crash(*words: object) -> object:
        if healed or module is sampling:
            raise RuntimeError("a bug")
        return whole(*words)

    def heal(self: Steps, called: str) -> str:
        healed.append(True)
        return heal_really(self, called)

    heal_really = Steps.heal
    monkeypatch.setattr(Steps, "heal", heal)
    monkeypatch.setattr(module, name, crash)
    result = rehearsing(timeout_factor=PATIENT)
    assert result.outcome is Outcome.INCONCLUSIVE, result.findings
    assert any("a bug" in one.why for one in result.reasons)
    assert len(result.faults) == 1
    assert result.faults[0].healed


@pytest.mark.verify
def test_what_nobody_has_heard_of_proves_nothing(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watches have listed what there is, and hear of no change."""
    monkeypatch.setattr(Watching, "_follow", lambda self: self._stopping.wait())
    monkeypatch.setattr(history, "CATCHING_UP_SECONDS", 2.0)
    forbidden = "forbid:\n- {what: the shop is broken, condition: {kind: Kustomization, place: flux-system/shop}}\n"
    result = rehearsing({"truth:": f"{forbidden}truth:"}, timeout_factor=PATIENT)
    assert result.outcome is Outcome.INCONCLUSIVE, result.findings
    assert "not yet of " in reasons(result, "signal")[0].why


@pytest.mark.verify
def test_what_was_seen_counts_although_residue_cannot_be_looked_for(
    rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Footprint.of
    taken: list[Footprint] = []

    def fail(lab: Lab) -> Footprint:
        if taken:
            raise ApiUnreachableError("nobody answers")
        taken.append(whole(lab))
        return taken[0]

    monkeypatch.setattr(Footprint, "of", fail)
    forbidden = "forbid:\n- {what: silence, pending: {object: Kustomization flux-system/flux-system, for_seconds: 0}}\n"
    result = rehearsing({"truth:": f"{forbidden}truth:"})
    assert result.outcome is Outcome.FAIL
    assert reasons(result, "forbidden")[0].what == "silence"
    [residue] = [one for one in result.findings if one.part == "residue"]
    assert (residue.outcome, "nobody answers" in residue.why) == (Outcome.INCONCLUSIVE, True)


@pytest.mark.verify
def test_what_recovers_too_late_fails(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(states: Sequence[SteadyState], lab: Lab, _: float) -> Answers:
        deadline = healed[0] + timedelta(seconds=3.5)
        wait_until(lambda: lab.moment().time >= deadline, what="late", timeout_seconds=60)
        return await_checks(states, lab, 60)

    healed: list[datetime] = []

    def heal(self: Steps, called: str) -> str:
        told = heal_really(self, called)
        healed.append(datetime.now(UTC))
        return told

    heal_really = Steps.heal
    monkeypatch.setattr(Steps, "heal", heal)
    monkeypatch.setattr(running, "await_checks", late)
    result = rehearsing(UNRECOVERED)
    assert result.outcome is Outcome.FAIL, result.findings
    assert "it has 3 s" in reasons(result, "recovery")[0].why


@pytest.mark.verify
def test_a_recovery_is_seen_when_it_happens_although_the_run_goes_on(rehearsing: Rehearsing) -> None:
    """The fault is out at once; a signal that never comes is waited for much longer than recovery may take."""
    expect = (
        "- {what: the moon falls, log: {component: helm-controller, pattern: the moon falls}, within_seconds: 45}\n"
    )
    result = rehearsing({"expect:\n": f"- heal: controller-pause\nexpect:\n{expect}"})
    assert {one.part for one in result.reasons} == {"signal"}, result.findings
    assert result.healed
    assert result.recovered
    assert result.ended - result.healed > timedelta(seconds=30)
    assert result.recovered - result.healed < timedelta(seconds=30)


@pytest.mark.verify
def test_what_did_not_hold_before_makes_a_run_inconclusive(
    rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BEFORE_SECONDS", 2.0)
    result = rehearsing({"{what: the shop is rolled out, workloads: shop}": "{what: it is so, absent: Namespace shop}"})
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "before anything was done it did not hold" in reasons(result, "step")[0].why
    assert result.faults == ()


BY_SOMEBODY = (
    "--field-manager=somebody, --type=merge"  # Flux leaves alone what git does not have and kubectl did not set
)
OWNER = "kustomize.toolkit.fluxcd.io"  # whose inventory does not have it
LEFT = {
    "[create, configmap, forgotten, -n, default]": "ConfigMap default/forgotten is there, and nobody owns it",
    f"[label, configmap, forgotten, -n, default, {OWNER}/name=shop, {OWNER}/namespace=flux-system]": (
        "ConfigMap default/forgotten is there, and nobody owns it"
    ),
    "[run, forgotten, -n, default, --image=registry.example/none]": (
        "Pod default/forgotten is there, and nobody owns it"
    ),
    f"""[-n, flux-system, patch, kustomization, shop, {BY_SOMEBODY}, -p, '{{"spec":{{"suspend":true}}}}']""": (
        "Kustomization flux-system/shop is suspended"
    ),
    f"""[-n, shop, patch, service, frontend, {BY_SOMEBODY}, -p, '{{"metadata":{{"finalizers":["a.b/c"]}}}}']""": (
        "Service shop/frontend has finalizer a.b/c"
    ),
}


def test_what_is_left_behind_is_found(rehearsing: Rehearsing) -> None:
    by_hand = "".join(f"- human: {{kubectl: {words}}}\n" for words in LEFT)
    result = rehearsing({"expect:": f"{by_hand}expect:", **UNRECOVERED})
    assert result.outcome is Outcome.FAIL
    found = {one.why for one in reasons(result, "residue")}
    assert found >= set(LEFT.values())
    assert "Service shop/frontend has fields of somebody" in found
