"""Clusters are asked for their Secrets often enough, and no oftener: none that hangs keeps people from a log."""

from pathlib import Path

import pytest
from tests.unit.secret_keeper import SecretKeeper

from fluxlab.cli import masks
from fluxlab.cli.masks import Masks
from fluxlab.clusters import masking
from fluxlab.state import LabFolder

SCALE = 0.2


def test_a_cluster_that_hangs_does_not_keep_each_line_of_a_log_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "ANSWER_SECONDS", SCALE * masking.ANSWER_SECONDS)
    monkeypatch.setattr(masks, "ASK_SECONDS", SCALE * masks.ASK_SECONDS)
    folder = LabFolder(tmp_path)
    with SecretKeeper.of(folder) as keeper:
        keeper.answering.clear()
        known = Masks(folder)
        known.often()
        once = keeper.asked
        for _ in range(3):
            known.often()
    assert once > 0
    assert keeper.asked == once
