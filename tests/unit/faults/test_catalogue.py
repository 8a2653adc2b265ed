"""Where faults lie."""

import pytest

from fluxlab.faults import layers
from fluxlab.faults.base import Layer
from fluxlab.faults.catalogue import CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_fault_lies_with_its_layer(name: str) -> None:
    fault = CATALOGUE[name]
    assert f"{type(fault).__module__}.".startswith(f"{layers.__name__}.{fault.layer}.")


def test_every_layer_has_faults() -> None:
    assert {fault.layer for fault in CATALOGUE.values()} == set(Layer)
