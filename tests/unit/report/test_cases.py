"""What is told of a run to programs."""

import pytest
from tests.unit.report.samples import FAILED, INCONCLUSIVE, PASSED

from fluxlab.rehearsals.results import RunResult
from fluxlab.report.cases import properties


@pytest.mark.parametrize("result", [PASSED, FAILED, INCONCLUSIVE], ids=lambda one: str(one.outcome))
def test_properties_are_plain_texts_which_pytest_xdist_hands_on(result: RunResult) -> None:
    told = properties(result)
    assert {type(value) for value in told.values()} == {str}
    assert told["verdict"] == str(result.outcome)
