"""What the unit tests share: a state folder of their own, and waiting for what a test observes itself."""

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

# No deadline: on a busy machine the time of one example says nothing. No database: a run leaves no files behind.
settings.register_profile("fluxlab", deadline=None, database=None, max_examples=60)
settings.load_profile("fluxlab")

PATIENCE_SECONDS = 20.0
T = TypeVar("T")


def pytest_collection_finish() -> None:
    # Thousands of tests stay till the end: each run of the plugin's tests collects garbage, and would look at them all.
    gc.collect()
    gc.freeze()


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty FLUXLAB_STATE_DIR."""
    folder = tmp_path / "state"
    monkeypatch.setenv("FLUXLAB_STATE_DIR", str(folder))
    monkeypatch.delenv("FLUXLAB_LAB", raising=False)
    return folder


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Wait for a fact without fluxlab's help; fails the test when it does not come."""

    def wait(fact: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not fact():
            assert time.monotonic() < deadline, "what the test waited for did not come"
            time.sleep(0.005)

    return wait


@pytest.fixture
def refused() -> Iterator[None]:
    """For tests in which httpx is refused: httpcore leaves the socket to the garbage collector, so it comes here.

    They also need the mark `filterwarnings("ignore:unclosed <socket:ResourceWarning")`.
    """
    yield
    gc.collect()
