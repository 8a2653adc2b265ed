"""Which commits' objects may be in a cluster: a Kustomization that fails may have applied more than its status says."""

from collections.abc import Sequence

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.applied import agreed, applied_revisions, unpruned

A, B, C = (f"main@sha1:{letter * 40}" for letter in "abc")


def kustomization(*attempts: tuple[str, str], applied: str = A) -> KubeObject:
    """One with attempts, newest first, as revision and how it ended."""
    history: Json = [{"metadata": {"revision": at}, "lastReconciledStatus": ended} for at, ended in attempts]
    return KubeObject({"kind": "Kustomization", "status": {"lastAppliedRevision": applied, "history": history}})


@pytest.mark.parametrize(
    ("owner", "revisions"),
    [
        (kustomization((A, "ReconciliationSucceeded")), [A]),
        (kustomization((B, "HealthCheckFailed"), (A, "ReconciliationSucceeded")), [B]),
        (kustomization((B, "PruneFailed"), (A, "ReconciliationSucceeded")), [B]),
        (kustomization((B, "ReconciliationFailed"), (A, "ReconciliationSucceeded")), [B, A]),
        (kustomization((C, "ReconciliationFailed"), (B, "HealthCheckFailed"), (A, "ReconciliationSucceeded")), [C, B]),
        (kustomization((C, "ReconciliationFailed"), (B, "ReconciliationFailed")), [C, B, A]),  # history has an end
        (kustomization((A, "ReconciliationFailed"), (A, "ReconciliationSucceeded")), [A]),  # a webhook is down
        (kustomization((B, "HealthCheckFailed"), applied=""), [B]),
        (kustomization((B, "ReconciliationFailed"), applied=""), []),  # nothing was applied as a whole
        (kustomization(), [A]),  # an older Flux
        (kustomization(applied=""), []),
    ],
)
def test_what_may_be_applied_is_what_was_applied_as_a_whole_and_what_failed_since(
    owner: KubeObject, revisions: Sequence[str]
) -> None:
    assert applied_revisions(owner) == revisions


def config_map(name: str, colour: str) -> KubeObject:
    return KubeObject({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}, "data": {"colour": colour}})


def test_what_two_commits_want_alike_is_certain_and_all_else_is_not() -> None:
    new = [config_map("same", "red"), config_map("other", "blue"), config_map("came", "red")]
    old = [config_map("same", "red"), config_map("other", "red"), config_map("went", "red")]
    certain, disputed = agreed([new, old])
    assert [one.name for one in certain] == ["same"]
    assert sorted(one.name for one in disputed) == ["came", "other", "went"]
    assert agreed([new]) == (new, [])


@pytest.mark.parametrize(
    ("status", "reason", "left"), [("False", "PruneFailed", True), ("False", "BuildFailed", False)]
)
def test_what_could_not_be_pruned_is_not_passed_over(status: str, reason: str, *, left: bool) -> None:
    conditions: Json = [{"type": "Ready", "status": status, "reason": reason, "message": "ConfigMap/n/gone denied"}]
    metadata: Json = {"name": "apps", "namespace": "n"}
    owner = KubeObject({"kind": "Kustomization", "metadata": metadata, "status": {"conditions": conditions}})
    assert ("Kustomization n/apps" in unpruned(owner)) is left
    assert ("ConfigMap/n/gone denied" in unpruned(owner)) is left
