"""Whether a lab is well, as `fluxlab status` judges it."""

from datetime import UTC, datetime

import pytest

from fluxlab.status import ClusterState, ComponentState, FaultTold, LabStatus


def lab(phase: str, *, own: str = "running", clusters: tuple[str, ...] = ("running",)) -> LabStatus:
    return LabStatus(
        name="x",
        phase=phase,
        folder="/x",
        components=(ComponentState(name="gateway", state=own),),
        clusters=tuple(
            ClusterState(
                name=f"c{number}",
                backend="local",
                footing="local",
                nodes=1,
                path="p",
                kubeconfig="/k",
                components=(ComponentState(name=f"c{number}/etcd", state=state, detail="why"),),
            )
            for number, state in enumerate(clusters)
        ),
    )


def test_a_ready_lab_whose_parts_run_is_well() -> None:
    assert lab("ready").well
    assert lab("ready").broken() == []


@pytest.mark.parametrize("phase", ["starting", "stopping", "failed", "dead"])
def test_a_lab_that_is_not_ready_is_not_well(phase: str) -> None:
    assert not lab(phase).well


def test_what_was_stopped_on_purpose_is_not_broken() -> None:
    assert lab("ready", clusters=("stopped",)).well


def test_dead_parts_are_told_wherever_they_are() -> None:
    state = lab("ready", own="dead", clusters=("running", "dead"))
    assert [part.name for part in state.broken()] == ["gateway", "c1/etcd"]
    assert not state.well


def test_a_part_that_is_paused_is_told_like_a_dead_one() -> None:
    state = lab("ready", own="paused", clusters=("running", "paused"))
    assert [part.name for part in state.broken()] == ["gateway", "c1/etcd"]
    assert not state.well


def test_of_a_broken_part_it_is_told_which_fault_has_it_so() -> None:
    told = {"fault": "etcd-pause", "state": "injected", "until": datetime(2026, 11, 22, tzinfo=UTC)}
    faults = (
        FaultTold.model_validate({"id": "git-hang-1", "cluster": "c0", "targets": ("github.com",), **told}),
        FaultTold.model_validate({"id": "etcd-pause-1", "cluster": "c1", "targets": ("etcd",), **told}),
    )
    state = lab("ready", clusters=("paused", "paused")).model_copy(update={"faults": faults})
    first, second = state.broken()
    assert state.fault_of(first) is None
    assert state.fault_of(second) == faults[1]


def test_a_status_survives_the_socket() -> None:
    state = lab("ready", clusters=("dead",))
    assert LabStatus.model_validate_json(state.model_dump_json()) == state


def test_what_an_older_command_line_does_not_know_is_no_error() -> None:
    assert LabStatus.model_validate({"name": "x", "phase": "ready", "folder": "/x", "news": 1}).well
