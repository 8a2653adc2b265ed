"""The targets of the Makefile, as far as `make` says what it would do."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["lab", "down", "check", "test"])
def test_each_target_sets_up_what_it_needs(target: str, tmp_path: Path) -> None:
    words = ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"-m venv {tmp_path / 'venv'}" in done.stdout
