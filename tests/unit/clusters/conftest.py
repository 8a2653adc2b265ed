"""What the tests of clusters share: whether a file would be there after a power cut."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def lasts(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], bool]:
    """Whether a file was brought to the disk, and after that the folder that has its name."""
    brought: list[int] = []
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        brought.append(os.fstat(descriptor).st_ino)

    def lasts(file: Path) -> bool:
        content, name = file.stat().st_ino, file.parent.stat().st_ino
        return content in brought and name in brought[brought.index(content) :]

    monkeypatch.setattr(os, "fsync", synced)
    return lasts
