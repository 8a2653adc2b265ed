"""What must not come while a fault is in may come once it is taken out."""

from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.rehearsals.judging import _forbidden
from fluxlab.rehearsals.results import Outcome, SignalResult

HEALING = datetime(2026, 1, 2, 14, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "until", "outcome"),
    [
        (-1.0, HEALING, Outcome.FAIL),
        (0.0, HEALING, Outcome.FAIL),
        (1.0, HEALING, Outcome.PASS),
        (1.0, None, Outcome.FAIL),
    ],
)
def test_when_a_forbidden_signal_came_counts(seconds: float, until: datetime | None, outcome: Outcome) -> None:
    seen = HEALING + timedelta(seconds=seconds)
    found = SignalResult(what="the chat hears of it", signal={}, forbidden=True, seen=seen, after_seconds=3.0)
    assert _forbidden(found, until=until).outcome is outcome


def test_a_forbidden_signal_that_nobody_could_look_for_is_no_pass() -> None:
    found = SignalResult(what="the chat hears of it", signal={}, forbidden=True, unknown="the API is gone")
    assert _forbidden(found, until=HEALING).outcome is Outcome.INCONCLUSIVE
