"""Rehearsals in tests: a small one, those that come with fluxlab, and what others say of the labs that they had."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import yaml

from fluxlab.lab import Lab
from fluxlab.rehearsals.grounds import Grounds
from fluxlab.rehearsals.loading import load_rehearsal, shipped_rehearsals
from fluxlab.rehearsals.results import Finding, Outcome, RunResult
from fluxlab.rehearsals.running import rehearse
from fluxlab.rehearsals.spec import Rehearsal
from fluxlab.toolchain import find

SHIPPED = {file.stem: file for file in shipped_rehearsals()}
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
PATIENT = 3.0
"""The timeout factor where all signals are expected to come, which ends the waits for them: also on a busy machine."""


class Rehearsing:
    """Runs small rehearsals."""

    def __init__(self, grounds: Grounds, folder: Path) -> None:
        self._grounds = grounds
        self._file = folder / "small.yaml"

    def __call__(
        self, changes: Mapping[str, str] | None = None, *, control: bool = False, timeout_factor: float = 1.0
    ) -> RunResult:
        text = SMALL
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        self._file.write_text(text)
        rehearsal: Rehearsal = load_rehearsal(self._file)
        return rehearse(
            rehearsal,
            file=self._file,
            seed=1,
            grounds=self._grounds,
            control=control,
            timeout_factor=timeout_factor,
        )


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


def errors_told(result: RunResult, remains: Remains) -> Sequence[Mapping[str, Any]]:
    """The alerts of errors since a run began; there have to be other alerts, or nobody has listened."""
    told = [one for one in remains.alerts if datetime.fromisoformat(one["time"]) >= result.began]
    assert told, "no alert came at all"
    return [one for one in told if one["level"] == "error"]


def reasons(result: RunResult, part: str) -> Sequence[Finding]:
    found = [one for one in result.reasons if one.part == part]
    assert found, result.findings
    return found


def check(grounds: Grounds, name: str, *, seed: int, control: bool = False, timeout_factor: float = 1.0) -> RunResult:
    file = SHIPPED[name]
    result = rehearse(
        load_rehearsal(file), file=file, seed=seed, grounds=grounds, control=control, timeout_factor=timeout_factor
    )
    told = "\n".join(f"{one.outcome} {one.part}: {one.what}: {one.why}" for one in result.findings)
    assert result.outcome is Outcome.PASS, told
    return result
