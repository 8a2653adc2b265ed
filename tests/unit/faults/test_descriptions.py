"""What is told of a fault: what of it can be chosen, where it can be had, and what a lab needs for it."""

from enum import StrEnum
from typing import Literal

import pytest
from pydantic import Field
from tools.faults_document import catalogue

from fluxlab.clusters.capabilities import Footing
from fluxlab.faults.base import Impossible, Layer, Parameters
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Chosen(Parameters):
    colour: Colour = Field(Colour.RED, description="in what colour")
    size: Literal["small", "large"] = Field("small", description="how large")
    key: str = Field("", description="whose value it is")
    count: int = Field(ge=2, lt=5, description="how many")


class Painted(Impossible):
    name = "painted"
    layer = Layer.HUMANS
    summary = "somebody paints it"
    expect = "nothing"
    parameters = Chosen


def told(name: str) -> str:
    return "\n".join(describe(CATALOGUE[name]).lines())


def test_of_a_parameter_all_choices_its_bounds_and_its_default_are_told() -> None:
    assert describe(Painted()).parameters == {
        "colour": "in what colour (one of red, blue, default red)",
        "size": "how large (one of small, large, default small)",
        "key": "whose value it is (string, default empty)",
        "count": "how many (integer, at least 2, less than 5, required)",
    }


def test_what_admission_deny_refuses_is_one_of_three_operations() -> None:
    assert "what is refused (one of CREATE, UPDATE, DELETE, default UPDATE)" in told("admission-deny")


def test_faults_of_links_and_no_others_say_that_the_lab_needs_links() -> None:
    says = {name for name in CATALOGUE if "links: true" in told(name)}
    assert says == {name for name, fault in CATALOGUE.items() if fault.layer is Layer.LINKS}
    assert "needs `links: true` in the lab file (in a test `@pytest.mark.fluxlab(links=True)`)" in told("link-hang")
    assert catalogue().count("- needs `links: true` in the lab file") == len(says)


def test_a_fault_that_can_be_had_nowhere_says_so_once() -> None:
    assert [line for line in told("git-host-key-changed").splitlines() if "SSH" in line][1:] == [
        "nowhere: the lab's git server speaks HTTP only: without SSH there is no host key"
    ]
    assert "- nowhere: the lab's git server speaks HTTP only" in catalogue()


def test_where_a_fault_cannot_be_had_is_a_list_whose_parts_have_no_commas() -> None:
    assert "not on existing (own Flux): mapped-hosts: " in told("git-hang")
    assert "- not on existing, existing (own Flux): links: " in catalogue()
    assert "with its own Flux" not in catalogue()


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("git-host-key-changed", "nowhere"),
        ("pod-deleted", "local, kind, existing, existing (own Flux)"),
        ("controller-oom", "kind, existing"),
    ],
)
def test_places_are_told_in_short(name: str, places: str) -> None:
    assert describe(CATALOGUE[name]).places == places


def test_a_person_who_asks_for_one_fault_is_told_where_it_can_be_had() -> None:
    assert "backends: kind, existing" in told("controller-oom").splitlines()
    assert "backends: local" in told("api-kill").splitlines()
    assert "backends" not in told("git-host-key-changed"), "that it is nowhere is said with the reason"


def test_programs_are_told_places_by_the_names_that_the_status_has() -> None:
    for name in CATALOGUE:
        found = describe(CATALOGUE[name]).as_json()
        assert {*found["backends"], *found["lacks"]} == {str(footing) for footing in Footing}  # type: ignore[misc]
