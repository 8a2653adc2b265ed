"""docs/faults.md has the catalogue as it is, and every fault tells enough to be chosen."""

import pytest
from tools.faults_document import DOCUMENT, written

from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe


def test_the_document_has_the_catalogue_as_it_is() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "python -m tools.faults_document writes it"


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fault_tells_what_happens_what_to_expect_and_what_can_be_chosen(name: str) -> None:
    told = describe(CATALOGUE[name])
    assert told.summary
    assert told.expect
    assert told.backends or all(told.lacks.values())
    undescribed = [key for key, text in told.parameters.items() if "default" not in text and "required" not in text]
    assert not undescribed
