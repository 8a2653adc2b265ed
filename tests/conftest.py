"""What holds for all tests."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def pytest_configure() -> None:
    # Shells start background jobs with Ctrl-C ignored, and all children inherit it: tests that interrupt would hang.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


@pytest.fixture(scope="module")
def call() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs a coroutine in a loop of a background thread, which is where a lab's servers live."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="servers")
    thread.start()
    yield lambda awaitable: asyncio.run_coroutine_threadsafe(_await(awaitable), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
