"""What has passed counts for exactly one content of the tree."""

import subprocess
from pathlib import Path

import pytest
from tools import verify


def test_a_change_of_the_tree_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "one.py").write_text("")
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    before = verify.content()
    verify.Memory(tmp_path / "memory.json", content=before).add("test_one")
    assert verify.Memory(tmp_path / "memory.json", content=before).passed == ["test_one"]
    (tmp_path / "one.py").write_text("CHANGED = True")
    assert verify.content() != before
    assert verify.Memory(tmp_path / "memory.json", content=verify.content()).passed == []
