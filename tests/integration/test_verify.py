"""`make verify` goes on where it was interrupted."""

import subprocess
from pathlib import Path

import pytest
from tools import verify

pytestmark = [pytest.mark.integration, pytest.mark.verify]

TESTS = """\
import os
import signal
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.verify


@pytest.fixture(scope="module")
def shared():
    return os.getpid()


@pytest.mark.parametrize("number", [1, 2])
def test_together(shared, number):
    (HERE / f"together-{number}").write_text("ran")


def test_together_with_others(shared):
    (HERE / "together-3").write_text("ran")


@pytest.mark.verify(each=True)
@pytest.mark.parametrize("name", ["one", "two"])
def test_each(name):
    (HERE / f"each-{name}").write_text("ran")
    if (HERE / "interrupt").exists():
        os.kill(os.getpid(), signal.SIGINT)
    assert name == "two" or (HERE / "sound").exists()
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_some.py").write_text(TESTS)
    (tmp_path / ".gitignore").write_text("build\n__pycache__\ntogether-*\neach-*\nsound\ninterrupt\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = verify\n")
    who = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message=Begin"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    monkeypatch.setattr(verify, "MEMORY", tmp_path / "build" / "verify.json")
    monkeypatch.setattr("sys.argv", ["verify"])
    return folder


def ran(tree: Path) -> set[str]:
    """What ran since this was asked last."""
    found = {file.name for pattern in ("together-*", "each-*") for file in tree.glob(pattern)}
    for name in found:
        (tree / name).unlink()
    return found


def test_a_failure_stops_nothing_and_only_what_has_not_passed_runs_again(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify.main() == 1
    assert ran(tree) == {"together-1", "together-2", "together-3", "each-one", "each-two"}
    told = capsys.readouterr().out
    assert "FAILED tests/test_some.py::test_each[one]" in told
    assert "3 parts: 2 passed on this content, 0 on an earlier one, 1 never" in told
    (tree / "sound").touch()
    assert verify.main() == 0
    assert ran(tree) == {"each-one"}
    assert "3 parts: 3 passed on this content, 0 on an earlier one, 0 never" in capsys.readouterr().out


def test_what_has_passed_counts_until_something_changes_on_which_it_may_depend(tree: Path) -> None:
    (tree / "sound").touch()
    assert verify.main() == 0
    assert ran(tree) == {"together-1", "together-2", "together-3", "each-one", "each-two"}
    (tree.parent / "CHANGELOG.md").write_text("All has passed.\n")
    (tree / "test_others.py").write_text("def test_nothing(): pass\n")
    assert verify.main() == 0
    assert ran(tree) == set()
    for changed in (tree.parent / "product.py", tree / "helpers.py", tree / "test_some.py"):
        with changed.open("a") as file:
            file.write("\n")
        assert verify.main() == 0
        assert ran(tree) == {"together-1", "together-2", "together-3", "each-one", "each-two"}, changed


def test_an_interrupted_run_ends_at_once_and_goes_on(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "sound").touch()
    add = verify.Memory.add

    def interrupted(memory: verify.Memory, test: str) -> None:
        add(memory, test)
        raise KeyboardInterrupt

    monkeypatch.setattr(verify.Memory, "add", interrupted)
    monkeypatch.setattr("sys.argv", ["verify", "--workers=1"])
    assert verify.main() == 130
    begun = ran(tree)
    assert "each-two" not in begun
    assert "goes on from here" in capsys.readouterr().out
    monkeypatch.setattr(verify.Memory, "add", add)
    assert verify.main() == 0
    assert "each-two" in ran(tree)


def test_a_run_whose_tests_are_interrupted_without_it_ends_too(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell starts what is in the background with Ctrl-C ignored."""
    (tree / "sound").touch()
    (tree / "interrupt").touch()
    monkeypatch.setattr("sys.argv", ["verify", "--workers=1"])
    assert verify.main() == 130
    assert "each-two" not in ran(tree)
    told = capsys.readouterr().out
    assert "goes on from here" in told
    assert "FAILED" not in told
    (tree / "interrupt").unlink()
    assert verify.main() == 0
    assert ran(tree) == {"each-one", "each-two"}
