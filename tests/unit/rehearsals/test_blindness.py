"""A signal that the product does not show fails a rehearsal that expects it, whatever kind of signal it is."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.rehearsals import test_sensing as product
from tests.unit.rehearsals.test_sensing import Cluster1, alert, drift, late, sample

from fluxlab.clusters.resources import KUSTOMIZATION, POD
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.rehearsals import sensing
from fluxlab.rehearsals.judging import judge
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.observed import Observed
from fluxlab.rehearsals.results import Finding, Outcome, Part
from fluxlab.rehearsals.signals import SignalSpec
from fluxlab.rehearsals.spec import Rehearsal

SHOP = {"kind": "Kustomization", "place": "flux-system/shop"}
KINDS: Mapping[str, Mapping[str, object]] = {
    "condition": {**SHOP, "status": "False"},
    "event": {**SHOP, "reason": "BuildFailed"},
    "log": {"component": "kustomize-controller", "pattern": "build failed"},
    "alert": {"object": "Kustomization flux-system/shop"},
    "drift": {"object": "Deployment shop/cart"},
    "metric": {"component": "source-controller", "name": "depth", "above": 3},
    "pods": {"namespace": "shop", "waiting": "CrashLoop"},
    "pending": {"object": "Kustomization flux-system/shop", "for_seconds": 0},
}


def rehearsal(*hidden: str) -> Rehearsal:
    """One that expects all kinds, and for these not for long."""
    expect = [
        {"what": kind, kind: said, "within_seconds": 0.2 if kind in hidden else 60} for kind, said in KINDS.items()
    ]
    return Rehearsal.model_validate(
        {
            "title": "everything is said",
            "hypothesis": [{"what": "it is there", "workloads": "shop"}],
            "steps": [{"fault": {"fault": "controller-pause"}}],
            "expect": expect,
            "truth": {"cause": "a pause"},
        }
    )


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster1:
    """A cluster at this moment: what is asked for, not heard, is seen now."""
    monkeypatch.setattr(product, "BEGAN", datetime.now(UTC))
    made = Cluster1(tmp_path)
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: made.samples)
    made.kustomization(version=90, status="True")
    log_file(made).parent.mkdir(parents=True)
    log_file(made).write_text("")
    made.lab.moment = lambda: Moment(time=product.BEGAN, versions={"one": 100})
    made.lab.patience = float
    return made


def log_file(cluster: Cluster1) -> Path:
    root: Path = cluster.lab.folder.root
    return root / "clusters" / "one" / "logs" / "kustomize-controller.log"


def logged(cluster: Cluster1) -> None:
    time = (product.BEGAN + timedelta(seconds=0.1)).isoformat()
    log_file(cluster).write_text(json.dumps({"ts": time, "level": "error", "msg": "build failed"}) + "\n")


SHOWN: Mapping[str, Callable[[Cluster1], object]] = {
    "condition": lambda one: one.hear(KUSTOMIZATION, product.kustomization(101, "False"), version=101, seconds=0.1),
    "event": lambda one: one.event(version=102, seconds=0.1),
    "log": logged,
    "alert": lambda one: one.alerts.append(alert(0.1)),
    "drift": lambda one: one.drifts.append(drift("cart")),
    "metric": lambda one: one.samples.append(sample("depth", 5)),
    "pods": lambda one: one.hear(POD, crashing(), version=103, seconds=0.1),
    "pending": lambda one: one.pending.append(late("has applied nothing")),
}
"""How the product shows each kind, once something is broken."""


def crashing() -> dict[str, Any]:
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    metadata = {"namespace": "shop", "name": "cart-1", "uid": "p1"}
    return {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [{"name": "main", "state": state}]}}


def found(cluster: Cluster1, *hidden: str) -> Mapping[str, Finding]:
    """What is found of each expected signal in a run in which the product shows all but these kinds."""
    expecting = rehearsal(*hidden)
    lookout = Lookout(expecting, cast("Lab", cluster.lab), cluster.history, control=False)
    lookout.mark("controller-pause", fault=True)
    for kind, show in SHOWN.items():
        if kind not in hidden:
            show(cluster)
    lookout.await_expected()
    findings = [one for one in judge(observed(expecting, lookout)) if one.part is Part.SIGNAL]
    assert len(findings) == len(KINDS), "none is left out"
    return {one.what: one for one in findings}


def observed(expecting: Rehearsal, lookout: Lookout) -> Observed:
    """A run in which nothing else happened."""
    return Observed(
        rehearsal=expecting,
        file=Path("pause.yaml"),
        seed=0,
        control=False,
        lab="lab",
        timeout_factor=1.0,
        recovery_within_seconds=30.0,
        began=product.BEGAN,
        ended=datetime.now(UTC),
        first_fault=product.BEGAN,
        healed=None,
        recovered=None,
        clock_set_seconds=0.0,
        troubles=(),
        cut_short_at=None,
        unheard="",
        checks=(),
        courses=(),
        sampling_trouble="",
        steps=(),
        faults={},
        signals=lookout.results,
        residue=(),
        residue_unknown="",
        blast_radius=(),
        entries=(),
        unreal=(),
        commit="",
    )


def test_there_is_a_case_for_each_kind_of_signal() -> None:
    assert list(KINDS) == list(SHOWN) == list(SignalSpec.ways())


def test_a_product_that_shows_everything_passes(cluster: Cluster1) -> None:
    assert {kind: one.why for kind, one in found(cluster).items() if one.outcome is not Outcome.PASS} == {}


@pytest.mark.parametrize("kind", SignalSpec.ways())
def test_a_kind_of_signal_that_the_product_shows_no_more_fails_and_no_other(cluster: Cluster1, kind: str) -> None:
    findings = found(cluster, kind)
    assert {one.what for one in findings.values() if one.outcome is not Outcome.PASS} == {kind}
    assert findings[kind].outcome is Outcome.FAIL
    assert "never came" in findings[kind].why
