"""Rehearsal files: what is refused names the place, and what is allowed there."""

import re
from pathlib import Path

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.errors import UsageError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.rehearsals.loading import load_rehearsal, shipped_rehearsals
from fluxlab.rehearsals.signals import AlertSpec, SignalSpec
from fluxlab.rehearsals.spec import Rehearsal, Step
from fluxlab.rehearsals.steps import describe as describe_step

SHIPPED = {file.stem: load_rehearsal(file) for file in shipped_rehearsals()}

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
        (
            "name: pause",
            "name: pause\n- publish: {chart: cart, version: newest, repository: https://charts.shop.example}",
            "'newest' is no version; it is like 1.1.0",
        ),
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
        (
            "expect:",
            "expect:\n- {what: it is told, alert: {object: HelmRelease a/cart, commit: pause, provider: slack}}",
            "alerts about HelmRelease a/cart name no commit; statuses (provider github) do",
        ),
        ("pending: {object: Kustomization flux-system/shop}", "log: {component: a, pattern: '['}", "no regular expr"),
        ("pending: {object: Kustomization flux-system/shop}", "log: {component: a, pattern: .+}", "matches every line"),
        ("truth: {cause: a pause, not: [the commit]}", "", "truth: Field required"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in SOUND
    assert words in complaint(tmp_path, SOUND.replace(old, new))


@pytest.mark.parametrize("provider", ["", "github", "api.github.com"])
def test_a_commit_of_helms_objects_is_asked_for_where_a_status_may_tell_it(provider: str) -> None:
    assert AlertSpec(object="HelmRelease flux-system/cart", commit="change", provider=provider).commit


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
    titles = [one.title for one in SHIPPED.values()]
    assert titles
    assert len(set(titles)) == len(titles)


def test_each_fault_that_can_be_here_has_a_signal_that_is_bound_to_it() -> None:
    here = {name for name, fault in CATALOGUE.items() if str(Footing.LOCAL) in describe(fault).backends}
    shown = {fault for one in SHIPPED.values() for fault, _, _ in stories(one)}
    assert here - shown == set()


def test_there_are_enough_stories() -> None:
    assert len({story for one in SHIPPED.values() for story in stories(one)}) >= 25
    assert sum(_at_once(one) for one in SHIPPED.values()) >= 2


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_no_signal_is_what_flux_says_of_any_reconciliation(name: str) -> None:
    assert [one.what for one in SHIPPED[name].expect if _is_said_of_any(one)] == []


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_something_holds_also_while_something_is_broken(name: str) -> None:
    rehearsal = SHIPPED[name]
    broken = {step.fault.fault for step in rehearsal.steps if step.fault}
    assert broken & MUTE or any("during" in part.when for part in rehearsal.hypothesis)


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ("event: {kind: Kustomization, place: a/b, reason: ReconciliationSucceeded}", True),
        ("event: {kind: Kustomization, place: a/b, reason: ReconciliationSucceeded, message: Applied}", True),
        ("event: {kind: Kustomization, place: a/b, type: Normal}", True),
        ("event: {kind: Kustomization, place: a/b, message: deleted}", False),
        ("event: {kind: GitRepository, place: a/b, reason: GitOperationFailed}", False),
        ("condition: {kind: Kustomization, place: a/b}", True),
        ("condition: {kind: Kustomization, place: a/b, status: Unknown, reason: Progressing}", True),
        ("condition: {kind: Kustomization, place: a/b, message: Applied revision}", True),
        ("condition: {kind: Kustomization, place: a/b, type: Stalled}", False),
        ("condition: {kind: Node, place: a, status: Unknown}", False),
        ('condition: {kind: Kustomization, place: a/b, status: "False"}', False),
        ("alert: {object: Kustomization a/b, provider: generic}", True),
        ("alert: {object: Kustomization a/b, provider: slack}", False),
        ("alert: {object: Kustomization a/b, severity: error}", False),
    ],
)
def test_what_flux_says_of_any_reconciliation_is_told_apart(tmp_path: Path, signal: str, *, said: bool) -> None:
    [one] = load(tmp_path, SOUND.replace("pending: {object: Kustomization flux-system/shop}", signal)).expect
    assert _is_said_of_any(one) is said


def test_a_story_is_what_was_waited_for_and_what_comes_because_of_the_fault(tmp_path: Path) -> None:
    text = SOUND.replace(
        "expect:",
        "- until: {workloads: shop}\n- fault: {fault: git-slow}\nexpect:\n"
        "- {what: it is slow, after: git-slow, pending: {object: GitRepository a/b}}",
    )
    late = ("pending", '{"pending":{"object":"Kustomization flux-system/shop"}}')
    slow = ("pending", '{"pending":{"object":"GitRepository a/b"}}')
    assert stories(load(tmp_path, text)) == {
        ("controller-pause", AT_REST, late),
        ("git-slow", "wait until workloads", slow),
    }


@pytest.mark.parametrize(
    ("name", "fault", "says"),
    [
        ("git-unreachable", "link-reset", "GitOperationFailed"),
        ("manifests-cannot-be-built", "manifest-syntax-error", "BuildFailed"),
        ("release-stuck", "pod-crash-loop", "RetriesExceeded"),
        ("bad-tag-promoted", "manifest-bad-image", "ImagePull"),
        ("secret-rotated", "secret-rotated", "Secret/shop/checkout configured"),
        ("hotfix-undone", "human-edit", "Deployment/shop/frontend configured"),
    ],
)
def test_the_stories_that_people_tell_are_rehearsed(name: str, fault: str, says: str) -> None:
    assert any(told == fault and says in words for told, _, (_, words) in stories(SHIPPED[name]))


def test_what_a_file_can_say_is_said_in_some_that_comes_with_fluxlab() -> None:
    steps = [step for one in SHIPPED.values() for step in one.steps]
    assert {step.way() for step in steps} == set(Step.ways())
    assert any(step.commit and step.commit.revert for step in steps)
    assert any(part.tolerate_seconds for one in SHIPPED.values() for part in one.hypothesis)


AT_REST = "at rest"


def stories(rehearsal: Rehearsal) -> set[tuple[str, str, tuple[str, str]]]:
    """Faults, what was waited for before each, and what is expected because of it: how it is seen, and what it says."""
    found: set[tuple[str, str, tuple[str, str]]] = set()
    phase, first = AT_REST, True
    for step in rehearsal.steps:
        if step.wait or step.until:
            phase = describe_step(step)
        if step.fault:
            names = {step.called, ""} if first else {step.called}
            first = False
            found |= {(step.fault.fault, phase, _says(one)) for one in rehearsal.expect if one.after in names}
    return found


def _says(signal: SignalSpec) -> tuple[str, str]:
    return signal.way(), signal.model_dump_json(by_alias=True, include={signal.way()}, exclude_defaults=True)


OF_ANY = {"ReconciliationSucceeded", "ArtifactUpToDate", "GitOperationSucceeded"}
"""Reasons of the events with which Flux's controllers end a reconciliation in which nothing was amiss."""
MUTE = {"api-kill", "api-pause", "etcd-kill", "etcd-pause", "etcd-restore"}
"""Faults during which nobody can be asked."""


def _is_said_of_any(signal: SignalSpec) -> bool:
    """Whether a controller of Flux says it also where nothing is broken: at the begin or end of each reconciliation."""
    if event := signal.event:
        return event.reason in OF_ANY or not (event.reason or event.message or event.type == "Warning")
    if condition := signal.condition:
        ready = condition.type == "Ready" and condition.kind not in {"Node", "Pod"}
        applied = condition.status == "True" and (not condition.message or "Applied" in condition.message)
        return ready and (applied or condition.status == "Unknown")
    if alert := signal.alert:
        return not (alert.severity == "error" or alert.message or alert.provider == "slack")
    return False


def _at_once(rehearsal: Rehearsal) -> bool:
    """Whether two faults are in at the same time."""
    in_ = most = 0
    for step in rehearsal.steps:
        in_ += (step.fault is not None) - (step.heal is not None)
        most = max(most, in_)
    return most > 1
