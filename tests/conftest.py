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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Have one worker run the tests of backends: each that ran some would keep somebody's cluster till the end."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped] # noqa: PLC0415 # only where it is

    class LoadLabScheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            backends = "tests/backends/"
            return backends if nodeid.startswith(backends) else str(super()._split_scope(nodeid))

    return LoadLabScheduling(config, log)


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
