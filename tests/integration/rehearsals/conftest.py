"""Labs for rehearsals, prepared once for each file of tests."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.rehearsals.rehearsing import Rehearsing, Remains

from fluxlab.faults.layers.controllers.processes import ControllerPause
from fluxlab.lab import Lab
from fluxlab.rehearsals.grounds import Grounds


@pytest.fixture(scope="module")
def grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    with closing(Grounds(tmp_path_factory.mktemp("grounds"))) as found:
        yield found


@pytest.fixture
def short_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControllerPause, "proof_seconds", 2.0)


@pytest.fixture
def rehearsing(grounds: Grounds, tmp_path: Path) -> Rehearsing:
    return Rehearsing(grounds, tmp_path)


@pytest.fixture
def remains(monkeypatch: pytest.MonkeyPatch) -> Sequence[Remains]:
    """What each lab of this test was like at its end."""
    found: list[Remains] = []

    def down(self: Lab) -> None:
        try:
            found.append(Remains.of(self))
        finally:
            down_really(self)

    down_really = Lab.down
    monkeypatch.setattr(Lab, "down", down)
    return found
