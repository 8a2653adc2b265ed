"""Wait for facts, never for time: the one `wait_until`, whose timeout quotes the last state."""

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import WaitTimeoutError

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
