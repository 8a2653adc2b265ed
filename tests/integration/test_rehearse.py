"""Rehearsals from the command line and as tests: verdicts, reports of what has ended, and no secret in any of them."""

import base64
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from xml.etree.ElementTree import Element, parse

import pytest
from tests.integration.conftest import CommandLine
from tests.integration.suites import Suite
from tests.integration.traces import leftovers

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]
SHIPPED = Path(__file__).parents[2] / "scenarios" / "rehearsals" / "controller-paused.yaml"
CANARY = "k7-canary/3f9~rotated"
LOUD = f"""
    title: Nobody says anything
    lab: {{scenarios: []}}
    hypothesis: [{{what: the commit is everywhere, arrived: true, when: [before, after]}}]
    steps:
    - human: {{kubectl: [create, secret, generic, canary, -n, default, --from-literal=token={CANARY}]}}
    - fault: {{fault: controller-pause, target: source-controller}}
    - human: {{kubectl: [get, secret, canary, -n, default, -o, "jsonpath=raw {CANARY} encoded {{.data.token}}"]}}
    - human: {{kubectl: [delete, secret, canary, -n, default]}}
    expect: [{{what: the moon falls, log: {{component: helm-controller, pattern: the moon falls}}, within_seconds: 1}}]
    truth: {{cause: source-controller is stopped}}
"""
CALM = """
    title: A controller that stands still is noticed, and goes on
    lab: {scenarios: []}
    hypothesis: [{what: the commit is everywhere, arrived: true, when: [before, after]}]
    steps:
    - fault: {fault: controller-pause, target: kustomize-controller}
    - commit:
        message: Say something
        write:
          clusters/flux-playground/said.yaml: |
            {apiVersion: v1, kind: ConfigMap, metadata: {name: said, namespace: default}}
    expect:
    - what: the commit does not arrive
      pending: {object: Kustomization flux-system/flux-system, why: has applied}
      within_seconds: 20
    truth: {cause: kustomize-controller is stopped}
"""
VAIN = """
    title: Nobody can tell
    lab: {scenarios: []}
    hypothesis: [{what: the commit is everywhere, arrived: true, when: [before]}]
    steps: [{fault: {fault: controller-pause, target: source-controller}}]
    expect: [{what: a number, metric: {component: no-such-controller, name: x, above: 0}, within_seconds: 1}]
    truth: {cause: nothing}
"""


@pytest.fixture
def suite(fluxlab: CommandLine) -> Suite:
    folder = fluxlab.folder / "suite"
    folder.mkdir()
    return Suite(folder=folder, fluxlab=fluxlab)


def cases(file: Path) -> dict[str, Element]:
    """The test cases of a file in JUnit's format, by name."""
    return {case.attrib["name"]: case for case in parse(file).iter("testcase")}  # noqa: S314 # made by the test's run


def properties(case: Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in case.iter("property")}


def test_a_verdict_is_an_outcome_and_every_run_has_its_report(suite: Suite) -> None:
    folder = suite.folder / "rehearsals"
    folder.mkdir()
    for name, text in {"calm": CALM, "loud": LOUD, "vain": VAIN}.items():
        (folder / f"{name}.yaml").write_text(dedent(text))
    result = suite.run("--fluxlab-artifacts=evidence", "--fluxlab-seed=3", "--junitxml=junit.xml", "rehearsals")
    assert result.outcomes() == {"passed": 1, "failed": 1, "error": 1}, result.text
    assert result.outcome("calm") == {"PASSED"}
    assert result.outcome("loud") == {"FAILED"}
    assert result.outcome("vain") == {"ERROR"}
    assert "signal: the moon falls: never came; it has 1 s" in result.text
    assert "no-such-controller" in result.text
    assert "Traceback" not in result.text
    found = cases(suite.folder / "junit.xml")
    for name, verdict in {"calm": "pass", "loud": "fail", "vain": "inconclusive"}.items():
        told = properties(found[name])
        assert (told["fluxlab_verdict"], told["fluxlab_seed"]) == (verdict, "3")
        assert re.fullmatch(rf"fluxlab rehearse \S*{name}\S* --seed 3", told["fluxlab_replay"])
        page = Path(told["fluxlab_report"])
        assert page.parent.parent == suite.folder / "evidence"
        assert page.name == f"{name}-3.html"
        assert json.loads(page.with_suffix(".json").read_text())["outcome"] == verdict
        assert f"<title>{verdict}: " in page.read_text()
    assert not leftovers(suite.fluxlab)
    told_of_secrets(suite.folder / "evidence")


def told_of_secrets(evidence: Path) -> None:
    """No report holds the Secret that was there for a moment only, in any spelling."""
    [page] = evidence.rglob("loud-3.html")
    steps = json.loads(page.with_suffix(".json").read_text())["steps"]
    assert [step["skipped"] for step in steps] == [False] * 4
    assert re.fullmatch(r"raw \S+ encoded \S+", steps[2]["words"])  # it was there, and quoted
    encoded = base64.b64encode(CANARY.encode()).decode()
    for file in (page, page.with_suffix(".json")):
        text = file.read_text()
        assert CANARY not in text
        assert encoded not in text
        assert "[redacted]" in text


@pytest.mark.verify
def test_what_has_ended_is_reported_when_the_rest_is_interrupted(fluxlab: CommandLine, eventually: Eventually) -> None:
    reports = fluxlab.folder / "reports"
    words = [
        sys.executable,
        "-m",
        "fluxlab",
        "rehearse",
        str(SHIPPED),
        "--repeat=3",
        "--seed=4",
        f"--reports={reports}",
    ]
    process = subprocess.Popen(words, env=fluxlab.environment, cwd=fluxlab.folder, stdout=subprocess.PIPE, text=True)
    try:
        eventually(lambda: (reports / "index.html").exists() or process.poll() is not None, within=120)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"report: {reports}/controller-paused-4.html" in said
    assert "again: fluxlab rehearse controller-paused --seed 4" in said
    assert {path.name for path in reports.iterdir()} == {
        "controller-paused-4.html",
        "controller-paused-4.json",
        "junit.xml",
        "index.html",
    }
    [case] = cases(reports / "junit.xml").values()
    told = properties(case)
    assert (told["verdict"], told["seed"]) == ("pass", "4")
    assert float(told["first_signal_seconds"]) >= 3  # that is how long the rehearsal wants to see it
    assert not leftovers(fluxlab)
