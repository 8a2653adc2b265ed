"""A loop in a background thread, which is where a lab's servers live."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


async def _await(awaitable: Awaitable[T]) -> T:
    return await awaitable


@pytest.fixture(scope="module")
def call() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs a coroutine in that loop and returns its result."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="servers")
    thread.start()
    yield lambda awaitable: asyncio.run_coroutine_threadsafe(_await(awaitable), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
