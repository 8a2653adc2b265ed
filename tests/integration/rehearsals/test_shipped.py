"""Rehearsals that come with fluxlab pass with every seed, and say nothing where nothing is broken."""

from collections.abc import Sequence

import pytest
from tests.integration.rehearsals.rehearsing import PATIENT, SHIPPED, Remains, check, errors_told

from fluxlab.rehearsals.grounds import Grounds

pytestmark = pytest.mark.integration

DAILY = (  # a third of them: of each layer something, and what takes little time
    "git-unavailable",
    "git-history-rewritten",
    "git-branch-deleted",
    "git-certificate",
    "charts-unauthorized",
    "link-gateway-reset",
    "pod-registry-down",
    "pod-pending",
    "apiservice-dead",
    "webhook-dead",
    "etcd-paused",
    "controller-killed",
    "release-killed-halfway",
    "uninstall-killed-halfway",
    "artifact-corrupt",
    "node-drained",
    "secret-malformed",
    "secret-rotated",
    "manifests-are-refused",
    "taken-over-by-hand",
    "deleted-by-hand",
    "field-added-by-hand",
    "two-git-and-controller",
)
SEEDS = range(1, 11)


@pytest.mark.parametrize("name", DAILY)
def test_a_rehearsal_passes(grounds: Grounds, name: str) -> None:
    check(grounds, name, seed=0, timeout_factor=PATIENT)  # its own times it has to keep in `make verify`


@pytest.mark.verify
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
