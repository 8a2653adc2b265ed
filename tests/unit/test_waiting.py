"""The one wait: for facts, with a timeout that quotes the last state."""

import time

import pytest

from fluxlab.errors import FluxlabError, UsageError, WaitTimeoutError
from fluxlab.waiting import never, wait_until


def test_a_fact_that_is_there_is_returned_without_waiting() -> None:
    began = time.monotonic()
    assert wait_until(lambda: "there", what="x", timeout_seconds=0, interval_seconds=60) == "there"
    assert time.monotonic() - began < 10


def test_the_result_of_the_probe_is_what_is_returned() -> None:
    answers = iter([None, "", [], ["found"]])
    assert wait_until(lambda: next(answers), what="x", timeout_seconds=20, interval_seconds=0) == ["found"]


def test_a_timeout_tells_what_was_awaited_how_long_the_last_state_and_the_hint() -> None:
    looks: list[int] = []

    def probe() -> bool:
        looks.append(len(looks))
        return False

    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(
            probe,
            what="pod x runs",
            timeout_seconds=0.05,
            interval_seconds=0.01,
            state=lambda: f"look {looks[-1]}",
            hint="kubectl get pods",
        )
    assert str(caught.value) == f"pod x runs: not within 0.05 s\n  look {looks[-1]}\nnext: kubectl get pods"


def test_a_timeout_without_a_state_has_no_facts() -> None:
    with pytest.raises(WaitTimeoutError) as caught:
        wait_until(lambda: None, what="x", timeout_seconds=0)
    assert caught.value.facts == ()


def test_a_fact_that_comes_during_the_last_pause_is_seen() -> None:
    began = time.monotonic()

    def probe() -> bool:
        return time.monotonic() - began > 0.05  # true only after the deadline, during the pause that began before it

    assert wait_until(probe, what="x", timeout_seconds=0.02, interval_seconds=0.2)


def test_a_result_that_took_longer_than_the_timeout_is_not_lost() -> None:
    def slow() -> str:
        time.sleep(0.03)
        return "late"

    assert wait_until(slow, what="x", timeout_seconds=0.01) == "late"


def test_an_exception_ends_the_wait() -> None:
    calls: list[None] = []

    def probe() -> None:
        calls.append(None)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        wait_until(probe, what="x", timeout_seconds=60)
    assert len(calls) == 1


def test_what_should_never_be_is_told_as_soon_as_it_is() -> None:
    answers = iter([None, "", "there it is"])
    with pytest.raises(FluxlabError, match=r"a ghost: it should not have\n  there it is"):
        never(lambda: next(answers), what="a ghost", for_seconds=60)


def test_what_never_was_passes_after_its_time() -> None:
    looks: list[float] = []
    never(lambda: looks.append(time.monotonic()), what="a ghost", for_seconds=0.1)
    assert looks[-1] - looks[0] >= 0.05
    with pytest.raises(WaitTimeoutError, match="an inner wait"):
        never(lambda: wait_until(lambda: None, what="an inner wait", timeout_seconds=0), what="x", for_seconds=60)
    with pytest.raises(ZeroDivisionError):
        never(lambda: 1 // 0, what="a ghost", for_seconds=60)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_to_watch_for_no_time_proves_nothing(seconds: float) -> None:
    with pytest.raises(UsageError, match=rf"a ghost: that it does not happen within {seconds:g} s proves nothing"):
        never(lambda: None, what="a ghost", for_seconds=seconds)
