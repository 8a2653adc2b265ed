"""Every fault of the catalogue, with its defaults: it can be put in, is proven, and leaves nothing once it is out."""

import pytest
from tests.integration.faults.clients import never_injected
from tests.integration.faults.wholeness import Whole, await_token, await_whole

from fluxlab.clusters.capabilities import Footing, UnsupportedError
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.cases import Case
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration

RECOVERY_SECONDS = 90.0
HERE = sorted(name for name, fault in CATALOGUE.items() if str(Footing.LOCAL) in describe(fault).backends)
NOT_HERE = sorted(CATALOGUE.keys() - set(HERE))


SHORT = frozenset(
    {
        "artifact-corrupt",
        "artifact-lost",
        "human-delete",
        "human-edit",
        "human-helm-rollback",
        "human-helm-uninstall",
        "human-deletes-release-secret",
        "human-scale",
        "human-takes-over",
        "pod-deleted",
    }
)
"""Faults that Flux or Kubernetes may mend by itself at any moment."""


@pytest.fixture(scope="module")
def whole(shop_lab: Lab) -> Whole:
    shop_lab.cluster.set_secret("flux-system/shop-secrets", "CHECKOUT_TOKEN", "t0ken")
    await_token(shop_lab.folder.root, "t0ken")
    shop_lab.converge()
    return Whole.of(shop_lab.folder.root)


def _said_to_be_gone(shop: Lab, fault: FaultRecord) -> str:
    """What the proof says that has to say nothing while a fault is in."""
    case = Case(record=fault, ground=shop._ground(fault.cluster), patience=shop.patience)
    return case.fault.healed(case.ground, case.injection)


@pytest.mark.verify
@pytest.mark.parametrize("name", HERE)
def test_a_fault_is_proven_and_leaves_nothing(shop: Lab, whole: Whole, name: str) -> None:
    with shop.fault(name, seed=3) as fault:
        assert fault.proof
        assert [record.id for record in shop.faults.active()] == [fault.id]
        assert name in SHORT or not _said_to_be_gone(shop, fault)
    shop.converge(timeout_seconds=RECOVERY_SECONDS)
    await_whole(shop.folder.root, whole)
    shop.drift().assert_clean()


@pytest.mark.parametrize("name", HERE)
def test_what_was_never_put_in_does_not_show_and_is_gone(shop: Lab, whole: Whole, name: str) -> None:
    del whole  # a shop in which all is well
    fault = CATALOGUE[name]
    ground, injection = never_injected(shop, fault)
    assert not fault.injected(ground, injection)
    assert fault.healed(ground, injection)


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_the_backend_lacks_is_refused_before_anything_is_touched(shop: Lab, name: str) -> None:
    before = Whole.of(shop.folder.root)
    with pytest.raises(UnsupportedError) as caught, shop.fault(name):
        pass
    assert describe(CATALOGUE[name]).lacks[str(Footing.LOCAL)] in "\n".join(caught.value.facts)
    assert Whole.of(shop.folder.root).differences(before) == []


def test_there_are_enough_faults_for_a_rehearsal() -> None:
    assert len(HERE) >= 34
