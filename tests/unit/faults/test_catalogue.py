"""Where faults lie."""

import pytest

from fluxlab.errors import UsageError
from fluxlab.faults import layers
from fluxlab.faults.base import Layer
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.choosing import chosen_parameters


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_fault_lies_with_its_layer(name: str) -> None:
    fault = CATALOGUE[name]
    assert f"{type(fault).__module__}.".startswith(f"{layers.__name__}.{fault.layer}.")


def test_every_layer_has_faults() -> None:
    assert {fault.layer for fault in CATALOGUE.values()} == set(Layer)


@pytest.mark.parametrize("key", ["a..b", "x y!", ".a", "a.", ""])
def test_what_is_no_path_of_a_value_is_refused(key: str) -> None:
    assert chosen_parameters(CATALOGUE["release-bad-values"], {"key": "image.tag-1"}).key == "image.tag-1"
    with pytest.raises(UsageError, match="cannot have these parameters"):
        chosen_parameters(CATALOGUE["release-bad-values"], {"key": key})
