"""Where everything stands in a drawn timeline."""

from datetime import timedelta

import pytest
from tests.unit.report.samples import BEGAN, CONTROL, CROWDED, FAILED, INCONCLUSIVE, PASSED, SAMPLES, at

from fluxlab.rehearsals.results import RunResult
from fluxlab.report.canvas import Lane
from fluxlab.report.drawing import Drawing, draw


def lane(drawing: Drawing, name: str) -> Lane:
    return next(one for one in drawing.lanes if one.name == name)


def test_the_axis_begins_with_the_first_fault_at_nought() -> None:
    drawing = draw(PASSED)
    zero = next(tick.x for tick in drawing.ticks if tick.label == "0")
    [shade] = drawing.shades
    [bar] = lane(drawing, "faults").bars
    assert shade.x == bar.x == pytest.approx(zero, abs=0.1)
    five = next(tick.x for tick in drawing.ticks if tick.label == "+5 s")
    assert bar.width == pytest.approx((five - zero) / 5 * 20.99, abs=0.1)


def test_a_signal_stands_when_it_was_seen_within_the_time_that_it_had() -> None:
    drawing = draw(PASSED)
    signals = lane(drawing, "signals")
    ticks = {tick.label: tick.x for tick in drawing.ticks}
    assert [mark.look for mark in signals.marks] == ["seen", "seen"]
    assert ticks["+10 s"] < signals.marks[0].x < signals.marks[1].x < ticks["+15 s"]
    for bar in signals.bars:
        assert bar.x + bar.width == pytest.approx(ticks["+20 s"], abs=0.1)


def test_what_did_not_come_stands_at_its_deadline_and_what_must_not_when_it_came() -> None:
    drawing = draw(FAILED)
    ticks = {tick.label: tick.x for tick in drawing.ticks}
    seen, missed, forbidden = lane(drawing, "signals").marks
    assert (seen.look, missed.look, forbidden.look) == ("seen", "missed", "missed")
    assert missed.x == pytest.approx(ticks["+20 s"], abs=0.1)
    assert ticks["+10 s"] < forbidden.x < ticks["+15 s"]


def test_in_a_control_run_silence_is_what_holds() -> None:
    assert {mark.look for mark in lane(draw(CONTROL), "signals").marks} == {"holds"}
    loud = CONTROL.model_copy(update={"signals": PASSED.signals})
    assert {mark.look for mark in lane(draw(loud), "signals").marks} == {"missed"}


def test_what_is_close_together_is_one_mark_as_bad_as_the_worst_of_it() -> None:
    drawing = draw(PASSED)
    git, sources = lane(drawing, "git"), lane(drawing, "sources")
    assert len(git.marks) == 1
    assert "(and 1 more)" in git.marks[0].title
    assert [mark.look for mark in sources.marks] == ["info", "error", "error", "info"]
    assert all(len(one.marks) <= 201 for one in draw(CROWDED).lanes)


def test_a_fault_that_was_never_out_lasts_to_the_end() -> None:
    [fault] = PASSED.faults
    stuck = PASSED.model_copy(update={"faults": (fault.model_copy(update={"healed": None}),)})
    [shade] = draw(stuck).shades
    assert shade.x + shade.width == pytest.approx(100)
    assert "never out" in draw(stuck).words


def test_what_came_before_is_counted() -> None:
    assert draw(PASSED).earlier == 1


HOUR = timedelta(hours=1)
CLOCKS = {
    "set back before the first fault": PASSED.model_copy(update={"began": BEGAN + HOUR}),
    "set back by little": PASSED.model_copy(update={"ended": at(-0.5)}),
    "set back to the first fault": PASSED.model_copy(update={"ended": at(0)}),
    "set forward": PASSED.model_copy(update={"ended": at(25) + HOUR}),
}


@pytest.mark.parametrize("result", [*SAMPLES.values(), *CLOCKS.values()], ids=[*SAMPLES, *CLOCKS])
def test_everything_is_within_the_drawing(result: RunResult) -> None:
    drawing = draw(result)
    for one in drawing.lanes:
        assert one.top + one.height <= drawing.height
        for mark in one.marks:
            assert 0 <= mark.x <= 100
            assert one.top < mark.y < one.top + one.height
        for bar in one.bars:
            assert 0 <= bar.x <= bar.x + bar.width <= 100.4
    assert 2 <= len(drawing.ticks) <= 9


@pytest.mark.parametrize("seconds", [0, 0.001, 1, 3599, 100_000])
def test_a_run_of_any_length_has_an_axis(seconds: float) -> None:
    run = INCONCLUSIVE.model_copy(update={"began": at(0), "ended": at(0) + timedelta(seconds=seconds)})
    assert 2 <= len(draw(run).ticks) <= 9
