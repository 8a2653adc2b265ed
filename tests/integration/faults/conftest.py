"""One shop with links for the tests of a module that put faults in; each takes out what it put in."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.conftest import Observer

from fluxlab.lab import Lab
from fluxlab.spec import LabSpec

DAILY = frozenset(
    {
        "test_catalogue",
        "test_kills",
        "test_stuck",
        "test_watchdog",
        "test_a_fault_heals_although_toxiproxy_has_died",
    }
)
"""What no daily rehearsal shows; the other tests of single faults are verified, one after the other."""
HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = {item.path.stem, getattr(item, "originalname", item.name)}
        if item.path.parent == HERE and not names & DAILY:
            item.add_marker(pytest.mark.verify)


@pytest.fixture(scope="module")
def shop_lab() -> Iterator[Lab]:
    lab = Lab.up(LabSpec(name=f"shop-{secrets.token_hex(3)}", links=True, scenarios=["shop"]), lifeline=True)
    lab.converge()
    yield lab
    lab.down()


@pytest.fixture
def shop(shop_lab: Lab) -> Iterator[Lab]:
    """The shop, in which nothing is broken before and after a test."""
    assert not shop_lab.faults.active()
    yield shop_lab
    left = shop_lab.faults.active()
    if left:
        shop_lab.faults.heal()
    assert not left, f"left in: {', '.join(record.id for record in left)}"


@pytest.fixture
def observer(shop_lab: Lab) -> Observer:
    """kubectl, which owes nothing to fluxlab."""
    kubeconfig: Path = shop_lab.cluster.kubeconfig
    return Observer(kubeconfig)
