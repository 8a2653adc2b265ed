"""docs/faults.md has the catalogue as it is, and every fault tells enough to be chosen."""

import re

import pytest
from tools.faults_document import DOCUMENT, written

from fluxlab.clusters.capabilities import Footing
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.descriptions import describe


def test_the_document_has_the_catalogue_as_it_is() -> None:
    text = DOCUMENT.read_text()
    assert written(text) == text, "python -m tools.faults_document writes it"


def test_the_readme_counts_the_faults_that_can_be_had() -> None:
    found = [describe(fault).backends for fault in CATALOGUE.values()]
    counts = sum(map(bool, found)), sum(str(Footing.LOCAL) in backends for backends in found)
    text = (DOCUMENT.parents[1] / "README.md").read_text()
    assert re.findall(r"one of \[(\d+) things\]\(docs/faults\.md\) \((\d+) on `local`\)", text) == [
        tuple(map(str, counts))
    ]


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_a_fault_tells_what_happens_what_to_expect_and_what_can_be_chosen(name: str) -> None:
    told = describe(CATALOGUE[name])
    assert told.summary
    assert told.expect
    assert told.backends or all(told.lacks.values())
    undescribed = [key for key, text in told.parameters.items() if "default" not in text and "required" not in text]
    assert not undescribed
