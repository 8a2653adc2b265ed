"""Rehearsal files: what is refused names the place, and what is allowed there."""

import re
from pathlib import Path

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.errors import UsageError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.rehearsals.loading import load_rehearsal, shipped_rehearsals
from fluxlab.rehearsals.spec import Rehearsal

SOUND = """\
title: A pause
hypothesis:
- {what: the shop is rolled out, workloads: shop}
steps:
- fault: {fault: controller-pause}
  name: pause
expect:
- what: it is late
  pending: {object: Kustomization flux-system/shop}
truth: {cause: a pause, not: [the commit]}
"""


def load(tmp_path: Path, text: str) -> Rehearsal:
    file = tmp_path / "one.yaml"
    file.write_text(text)
    return load_rehearsal(file)


def complaint(tmp_path: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    return "\n".join(caught.value.facts).replace(f"{tmp_path}/", "")


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    rehearsal = load(tmp_path, SOUND)
    assert rehearsal.lab.scenarios == ("shop",)
    assert rehearsal.hypothesis[0].when == ("before", "during", "after")
    assert rehearsal.expect[0].within_seconds == 30
    assert rehearsal.truth.not_ == ("the commit",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: A pause", "titel: A pause", "one.yaml:1: titel: unknown field; allowed here: expect"),
        ("workloads: shop", "workload: shop", "unknown field; allowed here: absent, arrived, condition, drift, field"),
        (", workloads: shop", "", "exactly one of arrived, workloads"),
        ("workloads: shop", "workloads: shop, arrived: true", "exactly one of"),
        ("name: pause", "name: pause\n- {name: pause, heal: pause}", "two steps are called pause"),
        (
            "  name: pause",
            "- fault: {fault: controller-pause}",
            "two steps are called controller-pause; a name tells them apart",
        ),
        (
            "name: pause",
            "name: git-slow\n- fault: {fault: git-slow}",
            "two steps are called git-slow; a name tells them apart",
        ),
        ("fault: {fault: controller-pause}", "human: {kubectl: [get, pods]}", "none of them is a fault"),
        (
            "- what: it is late",
            "- what: it is late\n  after: later",
            "after later: no step is named so; there are pause",
        ),
        (
            "truth: {",
            "forbid:\n- {what: noise, during: later, pending: {object: Kustomization a/b}}\ntruth: {",
            "during later: no fault is named so; there are pause",
        ),
        ("name: pause", "name: pause\n- {heal: other}", "heal other: no fault that is in is named so; there are pause"),
        (
            "workloads: shop",
            "absent: settings",
            "one.yaml:3: hypothesis.0.absent: 'settings' names no object; it is KIND NAME",
        ),
        ("workloads: shop", "absent: ConfigMap shop/", "'ConfigMap shop/' names no object"),
        ("name: pause", "name: pause\n- {until: {absent: ConfigMap}}", "'ConfigMap' names no object"),
        (
            "controller-pause}",
            "controller-pause, for_seconds: .inf}",
            "one.yaml:5: steps.0.fault.for_seconds: Input should",
        ),
        ("controller-pause}", "controller-pause, for_seconds: 1.0e+12}", "less than or equal to 31622400"),
        ("truth: {cause", "recovery_seconds: .inf\ntruth: {cause", "should be a finite number"),
        ("truth: {", "lab: {secrets: [shop-secrets TOKEN]}\ntruth: {", "'shop-secrets' names no Secret"),
        ("truth: {", "lab: {secrets: [shop/a B=C]}\ntruth: {", "'B=C' is no key"),
        ("{fault: controller-pause}", "{fault: nothing}", "there is no fault 'nothing'; there are: "),
        ("{fault: controller-pause}", "{fault: git-slow, set: {delay_seconds: 0}}", "greater than or equal to"),
        ("{fault: controller-pause}", "{fault: git-slow, set: {delay: 1}}", "delay: Extra inputs are not permitted"),
        ("name: pause", "name: pause\n- {heal: pause}\n- {heal: pause}", "heal pause: no fault that is in"),
        ("name: pause", "name: pause\n- {commit: {message: x, revert: y}}", "revert y: no commit is named so"),
        (
            "expect:",
            "expect:\n- {what: it is told, alert: {commit: later}}",
            "alert: commit later: no commit is named so; there are none",
        ),
        (
            "expect:",
            "expect:\n- {what: it is late, pending: {object: Kustomization a/b}}",
            "told in the same words: it is late",
        ),
        (
            "object: Kustomization flux",
            "object: kustomization flux",
            "'kustomization' is never pending; there are DaemonS",
        ),
        ("object: Kustomization flux", "object: ConfigMap flux", "'ConfigMap' is never pending"),
        ("flux-system/shop}", "shop}", "'Kustomization shop' names no object"),
        (
            "expect:",
            "expect:\n- {what: it is told, alert: {object: kustomization flux-system/shop}}",
            "there are no alerts about 'kustomization'; there are Bucket",
        ),
        (
            "expect:",
            "expect:\n- {what: it is told, alert: {provider: Slack}}",
            "there is no provider 'Slack'; there are generic, generic-hmac, github, slack, and hosts",
        ),
        (
            "expect:",
            "expect:\n- {what: it differs, drift: {object: deployment shop/frontend}}",
            "'deployment' is no kind: it begins with a capital letter",
        ),
        (
            "expect:",
            "expect:\n- {what: it differs, drift: {object: Deployment}}",
            "'Deployment' names no object; it is KIND NAMESPACE/NAME, or a pattern (*)",
        ),
        (
            "expect:",
            "expect:\n- {what: it differs, drift: {object: Deployment shop/frontend, class: unknown}}",
            "what could not be compared is no signal: nobody knows whether it differs",
        ),
        (
            "expect:",
            "expect:\n- {what: it is told, alert: {provider: slack, reason: BuildFailed}}",
            "slack is told no reason; generic webhooks are",
        ),
        ("pending: {object: Kustomization flux-system/shop}", "log: {component: a, pattern: '['}", "no regular expr"),
        ("pending: {object: Kustomization flux-system/shop}", "log: {component: a, pattern: .+}", "matches every line"),
        ("truth: {cause: a pause, not: [the commit]}", "", "truth: Field required"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SOUND
    assert words in complaint(tmp_path, SOUND.replace(old, new))


def test_objects_of_drift_may_be_patterns_and_providers_hosts(tmp_path: Path) -> None:
    for signal in (
        "drift: {object: 'Deployment shop/*'}",
        "drift: {object: '*'}",
        "pending: {object: the cluster}",
        "drift: {object: Namespace shop, class: deleted}",
        "alert: {provider: hooks.slack.com}",
        "alert: {provider: generic-hmac, object: HelmRelease flux-system/cart}",
    ):
        assert load(tmp_path, SOUND.replace("pending: {object: Kustomization flux-system/shop}", signal)).expect


def test_what_is_not_there_may_be_in_a_namespace_or_in_none(tmp_path: Path) -> None:
    for absent in ("ConfigMap shop/settings", "Namespace shop"):
        assert load(tmp_path, SOUND.replace("workloads: shop", f"absent: {absent}")).hypothesis[0].absent == absent


@pytest.mark.usefixtures("state_dir")
def test_pytest_collects_what_has_either_ending_of_yaml(pytester: pytest.Pytester) -> None:
    pytester.mkdir("rehearsals")
    for name in ("one.yaml", "other.yml", "notes.txt"):
        (pytester.path / "rehearsals" / name).write_text(SOUND)
    told = pytester.runpytest_inprocess("--collect-only", "-q").stdout.str()
    assert re.findall(r"^\S+::\S+$", told, re.MULTILINE) == ["rehearsals/one.yaml::one", "rehearsals/other.yml::other"]


def test_every_rehearsal_that_comes_with_fluxlab_is_one() -> None:
    titles = [load_rehearsal(file).title for file in shipped_rehearsals()]
    assert titles
    assert len(set(titles)) == len(titles)


def test_every_fault_that_can_be_here_is_rehearsed_and_there_are_enough_stories() -> None:
    shipped = [load_rehearsal(file) for file in shipped_rehearsals()]
    rehearsed = {step.fault.fault for one in shipped for step in one.steps if step.fault}
    here = {name for name, fault in CATALOGUE.items() if str(Footing.LOCAL) in describe(fault).backends}
    assert here - rehearsed == set()
    stories = {
        (step.fault.fault, _phase(one), signal.way())
        for one in shipped
        for step in one.steps
        if step.fault
        for signal in one.expect
    }
    assert len(stories) >= 25
    assert sum(_at_once(one) for one in shipped) >= 2


def _phase(rehearsal: Rehearsal) -> str:
    """What is going on when something breaks: a release, or nothing."""
    return "release" if "commit" in ways(rehearsal) else "rest"


def _at_once(rehearsal: Rehearsal) -> bool:
    """Whether two faults are in at the same time."""
    in_ = most = 0
    for step in rehearsal.steps:
        in_ += (step.fault is not None) - (step.heal is not None)
        most = max(most, in_)
    return most > 1


def ways(rehearsal: Rehearsal) -> set[str]:
    return {step.way() for step in rehearsal.steps}
