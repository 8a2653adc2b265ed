"""Faults of hosts and links, as far as they can be told without a lab."""

from typing import Any, cast

import pytest
from pydantic import ValidationError

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Capability, Footing
from fluxlab.faults.base import Ground
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.faults.layers.charts import FAULTS as CHARTS
from fluxlab.faults.layers.git import FAULTS as GIT
from fluxlab.faults.layers.links import FAULTS as LINKS

NETWORK = [CATALOGUE[kind.name] for kind in (*GIT, *CHARTS, *LINKS)]


class Able:
    """A cluster that lacks nothing, or one thing."""

    def __init__(self, lack: Capability | None = None) -> None:
        self._lack = lack

    def lacks(self, capability: Capability) -> str:
        return "because" if capability is self._lack else ""


def ground(cluster: Able, *, links: bool) -> Ground:
    unused: Any = None
    return Ground(
        cluster=cast("Cluster", cluster), folder=unused, control=unused, open_repository=lambda: unused, links=links
    )


@pytest.mark.parametrize("kind", LINKS, ids=lambda kind: str(kind.name))
def test_a_lab_without_links_is_told_how_to_have_them(kind: Any) -> None:
    assert "links: true" in kind().lacks(ground(Able(), links=False))
    assert not kind().lacks(ground(Able(), links=True))
    assert kind().lacks(ground(Able(Capability.LINKS), links=True)) == "links: because"


@pytest.mark.parametrize("name", ["git-unavailable", "charts-huge-index", "chart-yanked"])
def test_a_cluster_whose_hosts_are_not_mapped_is_refused(name: str) -> None:
    assert CATALOGUE[name].lacks(ground(Able(Capability.MAPPED_HOSTS), links=False)) == "mapped-hosts: because"


def test_what_no_cluster_can_have_is_listed_with_the_reason() -> None:
    fault = CATALOGUE["git-host-key-changed"]
    told = describe(fault)
    assert told.backends == []
    assert set(told.lacks) == {str(footing) for footing in Footing}
    assert all("SSH" in why for why in told.lacks.values())
    assert "SSH" in fault.lacks(ground(Able(), links=True))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("git-unavailable", {"status_code": 499}),
        ("git-unavailable", {"status_code": 600}),
        ("git-slow", {"delay_seconds": 0}),
        ("git-force-push", {"commits": 0}),
        ("git-wrong-certificate", {"problem": "none"}),
        ("charts-truncated", {"keep_percent": 100}),
        ("charts-huge-index", {"index_megabytes": 501}),
        ("link-latency", {"latency_seconds": 1}),
        ("link-bandwidth", {"kilobytes_per_second": 0}),
        ("link-limit", {"limit_bytes": -1}),
    ],
)
def test_parameters_out_of_range_are_refused(name: str, parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CATALOGUE[name].parameters.model_validate(parameters)


@pytest.mark.parametrize("name", ["git-wrong-certificate", "charts-wrong-certificate"])
def test_what_can_be_wrong_with_a_certificate_is_told_and_understood(name: str) -> None:
    told = describe(CATALOGUE[name]).parameters["problem"]
    for problem in ("other-name", "foreign-authority"):
        assert problem in told
        chosen = CATALOGUE[name].parameters.model_validate({"problem": problem})
        assert chosen.model_dump(mode="json") == {"problem": problem}


@pytest.mark.parametrize("fault", NETWORK, ids=lambda fault: str(fault.name))
def test_every_fault_says_what_happens_and_has_defaults(fault: Any) -> None:
    fault.parameters()
    told = list(describe(fault).lines())
    assert fault.summary
    assert fault.expect
    assert all("(" in line for line in told if line.startswith("--set")), "a parameter without bounds or default"
