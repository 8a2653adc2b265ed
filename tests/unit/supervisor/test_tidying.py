"""What the supervisor looks after while nothing else happens."""

import errno
import os

import pytest

from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.supervisor import lifecycle
from fluxlab.supervisor.lifecycle import Supervisor


@pytest.mark.usefixtures("state_dir")
@pytest.mark.parametrize(("pause_seconds", "times"), [(60, 1), (0, 3)])
def test_logs_that_could_not_be_bounded_are_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch, pause_seconds: float, times: int
) -> None:
    def full(folder: LabFolder) -> None:
        tried.append(folder.name)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    tried: list[str] = []
    folder = LabFolder.named("one")
    folder.create()
    supervisor = Supervisor(folder, LabSpec(name="one"), brief=True)
    monkeypatch.setattr(lifecycle, "bound_logs", full)
    monkeypatch.setattr(lifecycle, "LOGS_PAUSE_SECONDS", pause_seconds)
    for _ in range(3):
        supervisor._tidy()
    assert tried == ["one"] * times
