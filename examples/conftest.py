"""What all tests here share: a lab with the demo in it, prepared once and then copied."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fluxlab.lab import Lab


@pytest.fixture(scope="session")
def demo(fluxlab_make_snapshot: Callable[..., Path]) -> Path:
    """A snapshot of a lab in which the demo has arrived."""

    def prepare(lab: Lab) -> None:
        lab.repository.apply("otel-demo")
        lab.converge()

    return fluxlab_make_snapshot("demo", prepare)
