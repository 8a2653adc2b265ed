"""A commit on its way is no drift: what was compared while git's wishes changed is told apart."""

from collections.abc import Sequence

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.motion import motions

OLD, NEW = f"main@sha1:{'a' * 40}", f"main@sha1:{'b' * 40}"


def kustomization(
    *,
    applied: str = OLD,
    tried: str = OLD,
    ready: str = "True",
    reason: str = "",
    attempts: Sequence[tuple[str, str]] = (),
    generation: int = 1,
    spoken: int = 1,
    observed: int = 1,
) -> KubeObject:
    """`spoken`: the generation that Ready speaks of; `observed`: the one that the status as a whole does."""
    return KubeObject(
        {
            "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "n", "generation": generation},
            "status": {
                "lastAppliedRevision": applied,
                "lastAttemptedRevision": tried,
                "observedGeneration": observed,
                "conditions": [{"type": "Ready", "status": ready, "reason": reason, "observedGeneration": spoken}],
                "history": [{"metadata": {"revision": at}, "lastReconciledStatus": ended} for at, ended in attempts],
            },
        }
    )


def unhealthy(*, reason: str = "HealthCheckFailed", attempts: Sequence[tuple[str, str]] = ()) -> KubeObject:
    """One that was at the old commit and has applied the new one."""
    return kustomization(ready="False", reason=reason, tried=NEW, attempts=attempts)


def edited(*, ready: str = "True", spoken: int = 1, observed: int = 1) -> KubeObject:
    """One whose spec was changed once."""
    return kustomization(generation=2, ready=ready, spoken=spoken, observed=observed)


def suspended(owner: KubeObject) -> KubeObject:
    return KubeObject({**owner.raw, "spec": {"suspend": True}})


def release(*, version: int = 1, ready: str = "True", generation: int = 1) -> KubeObject:
    conditions: Json = [{"type": "Ready", "status": ready, "observedGeneration": 1}]
    metadata: Json = {"name": "shop", "namespace": "n", "generation": generation}
    status: Json = {"history": [{"version": version}], "observedGeneration": 1, "conditions": conditions}
    return KubeObject({"kind": "HelmRelease", "metadata": metadata, "status": status})


WENT_WELL = (OLD, "ReconciliationSucceeded")
WENT_WRONG = (NEW, "HealthCheckFailed")
FIRST = kustomization(applied="", tried="", ready="Unknown")


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (kustomization(), kustomization(), False),
        (kustomization(), kustomization(applied=NEW, tried=NEW), True),
        (kustomization(), kustomization(generation=2), True),
        (kustomization(tried=NEW, ready="Unknown"), kustomization(tried=NEW, ready="Unknown"), True),
        (
            kustomization(tried=NEW, ready="False"),
            kustomization(tried=NEW, ready="False"),
            False,
        ),  # it fails, and stays
        (
            kustomization(applied="", tried="", ready="Unknown"),
            kustomization(applied="", tried="", ready="Unknown"),
            True,
        ),
        (kustomization(applied="", ready="False"), kustomization(applied="", ready="False"), False),
        (suspended(kustomization(applied="")), suspended(kustomization(applied="")), False),
        (kustomization(attempts=[WENT_WELL]), unhealthy(attempts=[WENT_WRONG, WENT_WELL]), True),
        (unhealthy(attempts=[WENT_WRONG, WENT_WELL]), unhealthy(attempts=[WENT_WRONG, WENT_WELL]), False),
        # A newer commit has ended the health checks: what is applied is in no status, and the next try begins at once.
        (unhealthy(reason="HealthCheckCanceled"), unhealthy(reason="HealthCheckCanceled"), True),
        (release(), release(), False),
        (release(), release(version=2), True),
        (release(ready="Unknown"), release(ready="Unknown"), True),
        (release(ready="False"), release(ready="False"), False),
        (None, release(), True),
        (release(generation=2), release(generation=2), True),  # its controller stands still
        (release(generation=2, ready="False"), release(generation=2, ready="False"), True),
        (edited(), edited(), True),
        (edited(spoken=2), edited(spoken=2), True),
        (edited(spoken=2, observed=2), edited(spoken=2, observed=2), False),
        (edited(ready="False", spoken=2), edited(ready="False", spoken=2), False),  # it has seen it, and fails
        (suspended(edited()), suspended(edited()), False),
    ],
)
def test_what_moves_is_told(before: KubeObject | None, after: KubeObject, *, moved: bool) -> None:
    assert set(motions([before] if before else [], [after])) == ({after.reference} if moved else set())


def test_an_owner_that_goes_meanwhile_moves_for_what_it_wanted_is_nobodys_wish_any_more() -> None:
    gone = kustomization()
    assert motions([gone, release()], [release()]) == {gone.reference: "went while it was compared"}
