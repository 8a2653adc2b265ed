"""What only stands in for something is told wherever what was seen of a lab is."""

from types import SimpleNamespace
from typing import cast

from fluxlab.cluster import Cluster
from fluxlab.errors import UnknownError
from fluxlab.status import ChartState
from fluxlab.unreal import unreal


def told(*charts: ChartState, simulated: bool = False) -> list[str]:
    cluster = SimpleNamespace(name="one", root=SimpleNamespace(simulated=simulated))
    return list(unreal([cast("Cluster", cluster)], lambda: charts))


def chart(version: str, *, stand_in: bool) -> ChartState:
    return ChartState(repository="https://charts.example.com", name="demo", version=version, stand_in=stand_in)


def test_simulated_pods_are_told_with_their_cluster() -> None:
    assert told() == []
    [line] = told(simulated=True)
    assert line == "pods are simulated by KWOK in cluster one: they have no containers"


def test_stand_ins_are_told_and_other_charts_are_not() -> None:
    assert told(chart("1.0.0", stand_in=False), chart("0.0.41", stand_in=True)) == [
        "chart demo 0.0.41 at https://charts.example.com is a stand-in for the public one"
    ]


def test_where_nobody_says_which_charts_stand_in_it_is_told_that_it_is_not_known() -> None:
    def gone() -> list[ChartState]:
        raise UnknownError("its supervisor does not answer", facts=["no such file"])

    cluster = SimpleNamespace(name="one", root=SimpleNamespace(simulated=True))
    assert list(unreal([cast("Cluster", cluster)], gone)) == [
        "pods are simulated by KWOK in cluster one: they have no containers",
        "which charts are stand-ins for public ones is not known: its supervisor does not answer",
    ]
