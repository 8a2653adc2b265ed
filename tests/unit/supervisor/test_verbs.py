"""What a supervisor answers while a part of its lab does not answer it."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fluxlab.clusters import existing, kind
from fluxlab.clusters.base import ComponentStatus
from fluxlab.clusters.root import Root
from fluxlab.redaction import MASK
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder, Phase
from fluxlab.status import ClusterState, LabStatus
from fluxlab.supervisor import control, verbs
from fluxlab.supervisor.chronicle import Chronicle
from fluxlab.supervisor.verbs import SupervisorVerbs
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.learned import Learned

Ask = Callable[[], Sequence[ComponentStatus]]


def told(folder: Path, **clusters: Ask) -> LabStatus:
    """The status of a lab with these clusters, of which each is asked in its way."""
    spec = LabSpec.model_validate({"clusters": [{"name": name, "backend": "kind"} for name in clusters]})
    repository = SimpleNamespace(name="fleet", url="https://x/fleet", branch="main", served_commit=lambda: "")
    services = SimpleNamespace(
        ports={},
        registry=SimpleNamespace(process=None),
        repository=repository,
        deliveries=list,
        clone_url="",
        charts={},
        sinks={},
        routes=SimpleNamespace(mapped=list, allowed=list),
    )
    supervisor: Any = SimpleNamespace(
        folder=LabFolder(folder),
        spec=spec,
        record=SimpleNamespace(phase=Phase.READY, error="", supervisor=SimpleNamespace(pid=1), steps=()),
        services=services,
        recording=SimpleNamespace(process=None),
        chronicle=Chronicle(TimelineFolder(LabFolder(folder))),
        toolchain=SimpleNamespace(versions={}),
        clusters=[
            SimpleNamespace(
                name=name,
                root=Root(),
                kubeconfig=folder / "kubeconfig",
                components=ask,
                links=list,
                process_name=f"{name}/{{}}".format,
            )
            for name, ask in clusters.items()
        ],
    )
    return SupervisorVerbs(supervisor)._status()


def parts(cluster: ClusterState) -> Sequence[tuple[str, str]]:
    return [(part.name, part.state) for part in cluster.components]


def test_clusters_are_asked_side_by_side(tmp_path: Path) -> None:
    both_asked = threading.Barrier(2)

    def answer() -> Sequence[ComponentStatus]:
        both_asked.wait(timeout=20)
        return [ComponentStatus(name="api", state="running")]

    assert [parts(one) for one in told(tmp_path, one=answer, two=answer).clusters] == [[("api", "running")]] * 2


def test_a_cluster_that_does_not_answer_in_time_is_told_beside_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "CLUSTERS_SECONDS", 1.0)
    over = threading.Event()

    def hang() -> Sequence[ComponentStatus]:
        over.wait(timeout=60)
        return [ComponentStatus(name="api", state="running")]

    try:
        status = told(tmp_path, one=hang, two=lambda: [ComponentStatus(name="api", state="running")], three=hang)
    finally:
        over.set()
    assert list(map(parts, status.clusters)) == [[("api", "dead")], [("api", "running")], [("api", "dead")]]
    [silent, _] = status.broken()
    assert "cluster one does not answer within 1 s" in silent.detail
    assert "docker info" in silent.detail, "which kind asks first"


def test_the_last_words_of_a_part_are_told_without_the_secrets_that_the_recorder_has_learned(tmp_path: Path) -> None:
    learned = Learned(TimelineFolder(LabFolder(tmp_path)).learned)
    learned.add("canary-of-the-first-day")
    learned.save()
    dead = ComponentStatus(name="kustomize-controller", state="dead", detail="died\nsaid canary-of-the-first-day")
    [part] = told(tmp_path, one=lambda: [dead]).broken()
    assert part.detail == f"died\nsaid {MASK}"


def test_who_asks_a_supervisor_waits_longer_than_that_waits_for_its_clusters() -> None:
    """And that longer than for a single one, which then says more of itself."""
    single = max(existing.API_TIMEOUT_SECONDS, kind.LOOK_SECONDS + kind.API_TIMEOUT_SECONDS)
    assert single + 1 < verbs.CLUSTERS_SECONDS < control.STATUS_TIMEOUT_SECONDS - 1
