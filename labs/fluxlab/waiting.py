"""Wait for facts, never for time: the one `wait_until`, whose timeout quotes the last state."""

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import FluxlabError, UsageError, WaitTimeoutError

T = TypeVar("T")


def wait_until(
    probe: Callable[[], T | None],
    *,
    what: str,
    timeout_seconds: float,
    state: Callable[[], str] = lambda: "",
    interval_seconds: float = 0.02,
    hint: str = "",
) -> T:
    """Call `probe` until it returns something true, and return that.

    An exception from `probe` ends the wait: a probe turns what it expects on the way into None.

    Raises WaitTimeoutError after `timeout_seconds`, with `what` and the text of `state()`.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() >= deadline:
            facts = [text] if (text := state()) else []
            raise WaitTimeoutError(f"{what}: not within {timeout_seconds:g} s", facts=facts, hint=hint)
        time.sleep(interval_seconds)


def never(
    probe: Callable[[], object],
    *,
    what: str,
    for_seconds: float,
    interval_seconds: float = 0.02,
) -> None:
    """Call `probe` for a while and see to it that it never returns anything true.

    Raises FluxlabError with `what` and what it returned as soon as it does, whatever `probe` raises, and UsageError
    when there is no time to watch.
    """
    check_duration(for_seconds, what=what)
    deadline = time.monotonic() + for_seconds
    while True:
        if seen := probe():
            raise FluxlabError(f"{what}: it should not have", facts=[] if seen is True else [str(seen)])
        if time.monotonic() >= deadline:
            return
        time.sleep(interval_seconds)


def check_duration(for_seconds: float, *, what: str) -> None:
    """Raise UsageError for a time in which nothing could happen: that `what` did not would prove nothing."""
    if not for_seconds > 0:
        raise UsageError(f"{what}: that it does not happen within {for_seconds:g} s proves nothing")
