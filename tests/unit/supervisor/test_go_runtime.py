"""Which labs spare the processor, and which memory."""

import pytest

from fluxlab.supervisor import go_runtime as module
from fluxlab.supervisor.go_runtime import CLUSTER_BYTES, SPARING, VARIABLES, go_runtime


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("brief", "clusters", "machine", "sparing"),
    [
        (False, 1, (1, 9), False),  # a person's lab: memory counts
        (False, 1, (8, 9), False),
        (True, 1, (8, 0), True),
        (False, 2, (2, 2), True),
        (False, 2, (4, 9), False),  # cores enough
        (False, 3, (2, 3), True),
        (False, 2, (2, 1), False),  # too little memory
    ],
)
def test_a_brief_lab_and_one_that_crowds_the_cores_spare_the_processor(
    monkeypatch: pytest.MonkeyPatch, brief: bool, clusters: int, machine: tuple[int, int], sparing: bool
) -> None:
    """`machine`: cores, and for how many clusters there is memory."""
    cores, room_for = machine
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr(module, "usable_memory", lambda: room_for * CLUSTER_BYTES)
    assert go_runtime(brief=brief, clusters=clusters) == (SPARING if sparing else {})


def test_what_whoever_starts_it_says_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOGC", "50")
    monkeypatch.setenv("GODEBUG", "x=1")
    assert go_runtime(brief=True, clusters=1) == {**SPARING, "GOGC": "50"}
    assert go_runtime(brief=False, clusters=1) == {"GOGC": "50"}
