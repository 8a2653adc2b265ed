"""What is asked for and cannot be is refused before anything is touched, with what can be."""

import pytest
from tests.unit.faults.conftest import Lab

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.faults.catalogue import CATALOGUE


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("controller-oom", "backends that have it: kind, existing"),
        ("controller-lease-stolen", "backends that have it: kind, existing"),
        ("git-host-key-changed", "backends that have it: nowhere"),
    ],
)
def test_a_fault_that_the_backend_lacks_is_refused_with_the_backends_that_have_it(
    lab: Lab, name: str, fact: str
) -> None:
    lab.lacks = CATALOGUE[name].needs
    with pytest.raises(UnsupportedError, match=rf"cluster c \(local\) cannot have {name}") as caught:
        lab.faults.inject(name, cluster="c")
    assert fact in caught.value.facts
    assert lab.records.all() == []
