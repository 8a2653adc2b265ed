"""What can be repaired is, whatever else cannot."""

import errno
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.broken import broken

from fluxlab.errors import FluxlabError, UsageError, WaitTimeoutError
from fluxlab.spec import ClusterSpec, LabSpec
from fluxlab.state import LabFolder
from fluxlab.supervisor.lifecycle import Supervisor


class Cluster:
    """A cluster whose repair succeeds or fails."""

    def __init__(self, name: str, trouble: Exception | None = None) -> None:
        self.name = name
        self.repaired = False
        self.held: Collection[str] = ()
        self._trouble = trouble

    def process_name(self, program: str) -> str:
        return f"{self.name}/{program}"

    def repair(self, *, held: Collection[str]) -> Sequence[str]:
        if self._trouble:
            raise self._trouble
        self.repaired, self.held = True, held
        return ["etcd"]


class Services:
    """A registry that was dead, whose repair succeeds or fails."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self._trouble = trouble

    def repair(self) -> list[str]:
        if self._trouble:
            raise self._trouble
        return ["registry"]


class Recording:
    """A recorder that goes on, or was paused."""

    def __init__(self, *repaired: str) -> None:
        self._repaired = repaired

    def repair(self) -> list[str]:
        return [*self._repaired]


@dataclass(frozen=True, kw_only=True)
class Lab:
    """What of a supervisor takes part in a repair."""

    clusters: Sequence[Cluster]
    services: Services = field(default_factory=Services)
    recording: Recording = field(default_factory=Recording)
    folder: LabFolder = field(default_factory=lambda: LabFolder(Path("/nowhere")))

    def repair(self, cluster: str = "") -> list[str]:
        return Supervisor.repair(cast("Any", self), cluster)

    @property
    def spec(self) -> LabSpec:
        return LabSpec(clusters=[ClusterSpec(name=one.name) for one in self.clusters])


NO_PROCESS = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
"""What fork says where there are as many processes as there may be."""


def test_all_that_was_repaired_is_named() -> None:
    lab = Lab(clusters=[Cluster("staging"), Cluster("production")])
    assert lab.repair() == ["registry", "staging/etcd", "production/etcd"]


def test_a_recorder_that_was_paused_is_named_as_well() -> None:
    assert Lab(clusters=[Cluster("one")], recording=Recording("recorder")).repair() == [
        "registry",
        "recorder",
        "one/etcd",
    ]


@pytest.mark.usefixtures("state_dir")
def test_what_a_fault_of_the_cluster_touches_is_left_to_whoever_wants_it() -> None:
    folder = LabFolder.named("one")
    folder.create()
    folder.spec.touch()
    broken(folder, cluster="staging", touches=frozenset({"process:etcd", "host:github.com"}))
    staging, production = Cluster("staging"), Cluster("production")
    Lab(clusters=[staging, production], folder=folder).repair()
    assert set(staging.held) == {"etcd"}
    assert set(production.held) == set()


def test_in_one_cluster_nothing_else_is_touched() -> None:
    staging, production = Cluster("staging"), Cluster("production")
    lab = Lab(clusters=[staging, production])
    assert lab.repair("production") == ["production/etcd"]
    assert not staging.repaired
    with pytest.raises(UsageError):
        lab.repair("test")


@pytest.mark.parametrize("trouble", [WaitTimeoutError("staging does not serve"), NO_PROCESS])
def test_a_cluster_that_cannot_be_repaired_keeps_no_other_from_it(trouble: Exception) -> None:
    other = Cluster("production")
    with pytest.raises(FluxlabError) as caught:
        Lab(clusters=[Cluster("staging", trouble), other]).repair()
    assert "staging" in str(caught.value)
    assert str(trouble) in str(caught.value)
    assert other.repaired


@pytest.mark.parametrize("trouble", [WaitTimeoutError("the registry does not answer"), NO_PROCESS])
def test_a_registry_that_cannot_be_repaired_keeps_no_cluster_from_it(trouble: Exception) -> None:
    clusters = [Cluster("staging"), Cluster("production")]
    with pytest.raises(FluxlabError) as caught:
        Lab(clusters=clusters, services=Services(trouble)).repair()
    assert "registry" in str(caught.value)
    assert str(trouble) in str(caught.value)
    assert [cluster.repaired for cluster in clusters] == [True, True]
