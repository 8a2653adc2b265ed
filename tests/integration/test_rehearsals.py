"""Rehearsals that come with fluxlab, and rehearsals with planted mistakes: none of the latter may pass."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest
import yaml

from fluxlab.clusters.api import ApiUnreachableError
from fluxlab.faults.layers.controllers.processes import ControllerPause
from fluxlab.lab import Lab
from fluxlab.recorder.watching import Watching
from fluxlab.rehearsals import history, running, sampling
from fluxlab.rehearsals.checks import Answer, await_check
from fluxlab.rehearsals.footprint import Footprint
from fluxlab.rehearsals.grounds import Grounds
from fluxlab.rehearsals.loading import load_rehearsal, shipped_rehearsals
from fluxlab.rehearsals.results import Finding, Outcome, RunResult
from fluxlab.rehearsals.running import rehearse
from fluxlab.rehearsals.spec import Rehearsal, SteadyState
from fluxlab.rehearsals.steps import Steps
from fluxlab.toolchain import find
from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

SHIPPED = {file.stem: file for file in shipped_rehearsals()}
DAILY = (  # a third of them: of each layer something, and what takes little time
    "git-unavailable",
    "git-certificate",
    "charts-unauthorized",
    "chart-yanked",
    "link-gateway-reset",
    "admission-denied",
    "apiservice-dead",
    "etcd-restored",
    "controller-paused",
    "controller-killed",
    "release-killed-halfway",
    "artifact-corrupt",
    "node-not-ready",
    "pod-crash-loop",
    "pod-pending",
    "secret-rotated",
    "manifests-cannot-be-built",
    "release-unknown-version",
    "field-added-by-hand",
    "two-git-and-controller",
)
SEEDS = range(1, 11)
SMALL = """\
title: A pause
hypothesis:
- {what: the shop is rolled out, workloads: shop}
- {what: the newest commit is everywhere, arrived: true, when: [before, after]}
steps:
- fault: {fault: controller-pause, target: kustomize-controller}
- commit:
    message: Take dollars, too
    patch:
    - {path: apps/shop/settings.yaml, kind: ConfigMap, name: settings, change: {data: {currency: EUR USD}}}
expect:
- what: it is late
  pending: {object: Kustomization flux-system/flux-system, why: has applied, for_seconds: 1}
  within_seconds: 20
truth: {cause: a pause}
recovery_seconds: 30
"""
SOON = "within_seconds: 6"
UNRECOVERED = {"recovery_seconds: 30": "recovery_seconds: 3"}
"""What is planted does not go by itself: there is nothing to wait for."""


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Grounds:
    return Grounds(tmp_path_factory.mktemp("grounds"))


@pytest.fixture
def short_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllerPause, "proof_seconds", 2.0)


class Rehearsing:
    """Runs small rehearsals."""

    def __init__(self, grounds: Grounds, folder: Path) -> None:
        self._grounds = grounds
        self._file = folder / "small.yaml"

    def __call__(self, changes: Mapping[str, str] | None = None, *, control: bool = False) -> RunResult:
        text = SMALL
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        self._file.write_text(text)
        rehearsal: Rehearsal = load_rehearsal(self._file)
        return rehearse(rehearsal, file=self._file, seed=1, grounds=self._grounds, control=control)


@pytest.fixture
def rehearsing(grounds: Grounds, tmp_path: Path) -> Rehearsing:
    return Rehearsing(grounds, tmp_path)


@dataclass(frozen=True)
class Remains:
    """What git, kubectl and the sinks' own files say of a lab, just before it goes."""

    subjects: Sequence[str]
    """Of the commits that changed the shop's settings, the newest first."""
    commits: Sequence[str]
    currencies: Sequence[str]
    """What each of them says."""
    currency: str
    """What the cluster has."""
    alerts: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, lab: Lab) -> Self:
        [bare] = lab.folder.repositories.glob("*.git")
        git, settings = ("git", f"--git-dir={bare}"), "apps/shop/settings.yaml"
        told = [
            line.split(maxsplit=1)
            for line in _told_by(*git, "log", "--format=%H %s", "main", "--", settings).splitlines()
        ]
        texts = [_told_by(*git, "show", f"{commit}:{settings}") for commit, _ in told]
        kubectl = [str(find().binary("kubectl")), f"--kubeconfig={lab.cluster.kubeconfig}", "--namespace=shop"]
        lines = [
            line for file in (lab.folder.timeline / "supervisor").iterdir() for line in file.read_text().splitlines()
        ]
        entries = (json.loads(line) for line in lines)
        return cls(
            subjects=[subject for _, subject in told],
            commits=[commit for commit, _ in told],
            currencies=[yaml.safe_load(text)["data"]["currency"] for text in texts],
            currency=_told_by(*kubectl, "get", "configmap", "settings", "--output=jsonpath={.data.currency}"),
            alerts=[one for one in entries if one["source"] == "alert"],
        )


def _told_by(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture
def remains(monkeypatch: pytest.MonkeyPatch) -> Sequence[Remains]:
    """What each lab of this test was like at its end."""
    found: list[Remains] = []

    def down(self: Lab) -> None:
        try:
            found.append(Remains.of(self))
        finally:
            down_really(self)

    down_really = Lab.down
    monkeypatch.setattr(Lab, "down", down)
    return found


def errors_told(result: RunResult, remains: Remains) -> Sequence[Mapping[str, Any]]:
    """The alerts of errors since a run began; there have to be other alerts, or nobody has listened."""
    told = [one for one in remains.alerts if datetime.fromisoformat(one["time"]) >= result.began]
    assert told, "no alert came at all"
    return [one for one in told if one["level"] == "error"]


def reasons(result: RunResult, part: str) -> Sequence[Finding]:
    found = [one for one in result.reasons if one.part == part]
    assert found, result.findings
    return found


# -- what comes with fluxlab -----------------------------------------------------------------------------------------


def check(grounds: Grounds, name: str, *, seed: int, control: bool = False) -> RunResult:
    file = SHIPPED[name]
    result = rehearse(load_rehearsal(file), file=file, seed=seed, grounds=grounds, control=control)
    told = "\n".join(f"{one.outcome} {one.part}: {one.what}: {one.why}" for one in result.findings)
    assert result.outcome is Outcome.PASS, told
    return result


@pytest.mark.parametrize("name", DAILY)
def test_a_rehearsal_passes(grounds: Grounds, name: str) -> None:
    check(grounds, name, seed=0)


@pytest.mark.parametrize("name", ["controller-paused", "git-unavailable"])
def test_in_a_control_run_nobody_is_told_of_an_error(grounds: Grounds, remains: Sequence[Remains], name: str) -> None:
    result = check(grounds, name, seed=0, control=True)
    assert errors_told(result, remains[-1]) == []


@pytest.mark.verify(each=True)
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_rehearsal_passes_with_every_seed_and_says_nothing_in_its_control_run(
    grounds: Grounds, name: str
) -> None:
    results = [check(grounds, name, seed=seed) for seed in SEEDS]
    check(grounds, name, seed=0, control=True)
    steps = {tuple(step.what for step in result.steps) for result in results}
    assert len(steps) == 1, "the steps do not depend on the seed"
    again = check(grounds, name, seed=SEEDS[0])
    plans = [[(fault.fault, fault.targets, fault.parameters) for fault in one.faults] for one in (results[0], again)]
    assert plans[0] == plans[1], "the same seed, the same plan"


def test_a_third_of_the_rehearsals_is_tried_daily() -> None:
    assert set(DAILY) <= set(SHIPPED)
    assert len(set(DAILY)) * 3 >= len(SHIPPED)


PUSHED = """\
- commit:
    message: Take dollars, too
    patch:
    - {path: apps/shop/settings.yaml, kind: ConfigMap, name: settings, change: {data: {currency: EUR USD}}}
"""


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
        }
    )
    assert result.outcome is Outcome.PASS, result.findings
    [seen] = remains
    assert seen.subjects[:2] == ["Take no dollars", "Take dollars, too"]
    assert seen.currencies == ["EUR", "EUR USD", "EUR"]
    assert seen.currency == "EUR"
    about = {one["commit"] for one in seen.alerts if one.get("object") == "Kustomization flux-system/shop"}
    assert set(seen.commits[:2]) <= about


# -- planted mistakes ------------------------------------------------------------------------------------------------


def test_a_sound_rehearsal_passes_and_its_control_run_says_nothing(rehearsing: Rehearsing) -> None:
    for control in (False, True):
        # Long enough that also a machine with much else to do is never that late by itself.
        result = rehearsing({"for_seconds: 1": "for_seconds: 8"}, control=control)
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


def test_a_signal_that_must_not_come_fails(rehearsing: Rehearsing) -> None:
    forbidden = "forbid:\n- {what: silence, pending: {object: Kustomization flux-system/flux-system, for_seconds: 0}}\n"
    result = rehearsing({"truth:": f"{forbidden}truth:"})
    assert result.outcome is Outcome.FAIL
    assert reasons(result, "forbidden")[0].what == "silence"


def test_a_signal_that_comes_without_the_fault_makes_the_rehearsal_worthless(rehearsing: Rehearsing) -> None:
    applied = "condition: {kind: Kustomization, place: flux-system/shop, message: Applied revision}"
    pending = "pending: {object: Kustomization flux-system/flux-system, why: has applied, for_seconds: 1}"
    result = rehearsing({pending: applied}, control=True)
    assert result.outcome is Outcome.FAIL
    assert "without any fault" in reasons(result, "control")[0].why


@pytest.mark.parametrize(("module", "name"), [(sampling, "ask"), (running, "await_check")])
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
    result = rehearsing()
    assert result.outcome is Outcome.INCONCLUSIVE, result.findings
    assert any("a bug" in one.why for one in result.reasons)
    assert len(result.faults) == 1
    assert result.faults[0].healed


def test_what_nobody_has_heard_of_proves_nothing(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watches have listed what there is, and hear of no change."""
    monkeypatch.setattr(Watching, "_follow", lambda self: self._stopping.wait())
    monkeypatch.setattr(history, "CATCHING_UP_SECONDS", 2.0)
    forbidden = "forbid:\n- {what: the shop is broken, condition: {kind: Kustomization, place: flux-system/shop}}\n"
    result = rehearsing({"truth:": f"{forbidden}truth:"})
    assert result.outcome is Outcome.INCONCLUSIVE, result.findings
    assert "not yet of Kustomization flux-system/" in reasons(result, "signal")[0].why


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


def test_what_recovers_too_late_fails(rehearsing: Rehearsing, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(state: SteadyState, lab: Lab, _: float) -> Answer:
        answer = await_check(state, lab, 60)
        return wait_until(lambda: answer if lab.moment().time >= deadline() else None, what="late", timeout_seconds=60)

    healed: list[datetime] = []

    def heal(self: Steps, called: str) -> str:
        told = heal_really(self, called)
        healed.append(datetime.now(UTC))
        return told

    def deadline() -> datetime:
        return healed[0] + timedelta(seconds=3.5) if healed else datetime.fromtimestamp(0, UTC)

    heal_really = Steps.heal
    monkeypatch.setattr(Steps, "heal", heal)
    monkeypatch.setattr(running, "await_check", late)
    result = rehearsing(UNRECOVERED)
    assert result.outcome is Outcome.FAIL, result.findings
    assert "it has 3 s" in reasons(result, "recovery")[0].why


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
LEFT = {
    "[create, configmap, forgotten, -n, default]": "ConfigMap default/forgotten is there, and nobody owns it",
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
