"""What can be repaired is, whatever else cannot."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from fluxlab.errors import FluxlabError, WaitTimeoutError
from fluxlab.supervisor.lifecycle import Supervisor


class Cluster:
    """A cluster whose repair succeeds or fails."""

    def __init__(self, name: str, trouble: FluxlabError | None = None) -> None:
        self.name = name
        self.repaired = False
        self._trouble = trouble

    def process_name(self, program: str) -> str:
        return f"{self.name}/{program}"

    def repair(self) -> Sequence[str]:
        if self._trouble:
            raise self._trouble
        self.repaired = True
        return ["etcd"]


class Lab:
    """Clusters, and services one of which was dead."""

    def __init__(self, *clusters: Cluster) -> None:
        self.clusters = clusters
        self.services = self

    def repair(self) -> list[str]:
        return ["registry"]


def repair(*clusters: Cluster) -> list[str]:
    return Supervisor.repair(cast("Any", Lab(*clusters)))


def test_all_that_was_repaired_is_named() -> None:
    assert repair(Cluster("staging"), Cluster("production")) == ["registry", "staging/etcd", "production/etcd"]


def test_a_cluster_that_cannot_be_repaired_keeps_no_other_from_it() -> None:
    other = Cluster("production")
    with pytest.raises(WaitTimeoutError, match="staging"):
        repair(Cluster("staging", WaitTimeoutError("staging does not serve")), other)
    assert other.repaired
