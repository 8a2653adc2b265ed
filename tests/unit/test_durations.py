"""How long, as people type it."""

from datetime import timedelta

import pytest

from fluxlab.durations import interval_of, parse_duration
from fluxlab.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("0.5s", 0.5), ("2m", 120), ("1h30m", 5400), ("1d2h3m4s", 93784)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "soon", "-5s", "5 s", "2m1h", "1.5m", "5ms", "٣s", "1e3"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3000000d", "9" * 400])
def test_what_no_clock_can_add_is_too_long(text: str) -> None:
    with pytest.raises(UsageError, match="is longer than a year"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h0m0s", 3600), ("10m", 600), ("1.5h", 5400), ("500ms", 0.5), ("", None), ("soon", None), ("1h soon", None)],
)
def test_an_interval_of_kubernetes_is_a_time(text: str, seconds: float | None) -> None:
    assert interval_of(text) == (None if seconds is None else timedelta(seconds=seconds))
