"""What is told of a run to programs."""

from xml.etree.ElementTree import fromstring

import pytest
from tests.unit.report.samples import FAILED, INCONCLUSIVE, PASSED, SET_BACK

from fluxlab.rehearsals.results import RunResult
from fluxlab.report.cases import properties, runs_as_junit


@pytest.mark.parametrize("result", [PASSED, FAILED, INCONCLUSIVE], ids=lambda one: str(one.outcome))
def test_properties_are_plain_texts_which_pytest_xdist_hands_on(result: RunResult) -> None:
    told = properties(result)
    assert {type(value) for value in told.values()} == {str}
    assert told["verdict"] == str(result.outcome)


def test_programs_are_told_what_was_not_real() -> None:
    stand_ins = ("pods are simulated", "a chart is a stand-in")
    result = PASSED.model_copy(update={"unreal": stand_ins})
    assert properties(result)["unreal"] == "pods are simulated; a chart is a stand-in"
    assert all(one in runs_as_junit([result]) for one in stand_ins)
    assert "unreal" not in properties(PASSED.model_copy(update={"unreal": ()}))


def test_no_case_takes_less_than_no_time_although_the_clock_was_set_back() -> None:
    taken = [float(one.attrib["time"]) for one in fromstring(runs_as_junit([PASSED, SET_BACK])).iter("testcase")]  # noqa: S314 # made here
    assert taken == [pytest.approx((PASSED.ended - PASSED.began).total_seconds()), 0]
