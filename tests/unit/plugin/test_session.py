"""Each worker's share of the labs that are prepared ahead."""

from types import SimpleNamespace
from typing import cast

import pytest

from pytest_fluxlab import session
from pytest_fluxlab.session import LabSession
from pytest_fluxlab.settings import Settings


def share(settings: Settings, *, worker: int, workers: int) -> int:
    config = SimpleNamespace(workerinput={"workerid": f"gw{worker}", "workercount": workers} if workers else None)
    return LabSession(cast("pytest.Config", config), settings, "abc-1")._spares()


def shares(settings: Settings, workers: int) -> list[int]:
    return [share(settings, worker=worker, workers=workers) for worker in range(workers)]


def settings(pytester: pytest.Pytester, *options: str) -> Settings:
    return Settings.of(pytester.parseconfig(*options))


@pytest.mark.parametrize(("given", "workers"), [(0, 3), (1, 4), (2, 2), (3, 2), (7, 3), (16, 16)])
def test_workers_share_what_the_run_is_given(pytester: pytest.Pytester, given: int, workers: int) -> None:
    found = shares(settings(pytester, f"--fluxlab-spares={given}"), workers)
    assert sum(found) == given
    assert max(found) - min(found) <= 1


def test_a_run_without_workers_has_all(pytester: pytest.Pytester) -> None:
    assert share(settings(pytester, "--fluxlab-spares=3"), worker=0, workers=0) == 3


def test_without_a_number_the_machine_decides_for_all_workers_together(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def decide(*, workers: int) -> int:
        asked.append(workers)
        return 4

    monkeypatch.setattr(session, "default_spares", decide)
    assert shares(settings(pytester), 3) == [2, 1, 1]
    assert share(settings(pytester), worker=0, workers=0) == 4
    assert asked == [3, 3, 3, 1]
