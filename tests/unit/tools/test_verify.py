"""What has passed counts for exactly one content of the tree, and what passed longest ago is run first."""

import subprocess
from pathlib import Path

import pytest
from tools import verify

TESTS = ["test_one", "test_two", "test_three"]


def memory(tmp_path: Path, content: str) -> verify.Memory:
    held = verify.Content({"product.py": content})
    return verify.Memory(tmp_path / "memory.json", content=held, state=f"state-{content}")


def test_the_content_of_the_tree_changes_with_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "one.py").write_text("")
    monkeypatch.setattr(verify, "ROOT", tmp_path)
    before = verify.Content.of_tree().digest("test_one")
    assert verify.Content.of_tree().digest("test_one") == before
    (tmp_path / "one.py").write_text("CHANGED = True")
    assert verify.Content.of_tree().digest("test_one") != before


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("labs/product.py", True),
        ("tests/integration/test_one.py", True),
        ("tests/integration/helpers.py", True),
        ("tests/unit/test_that_lends_what_it_has.py", True),
        ("tests/integration/test_two.py", False),
        ("CHANGELOG.md", False),
    ],
)
def test_of_what_changes_only_that_counts_on_which_a_test_may_depend(changed: str, counts: bool) -> None:
    before, after = verify.Content({changed: "one"}), verify.Content({changed: "another"})
    test = "tests/integration/test_one.py::test_it[one]"
    assert (before.digest(test) != after.digest(test)) is counts


def test_what_passed_on_this_content_is_not_run_again(tmp_path: Path) -> None:
    memory(tmp_path, "a").add("test_two")
    assert memory(tmp_path, "a").left(TESTS) == ["test_one", "test_three"]
    assert verify.summary(memory(tmp_path, "a"), TESTS) == (
        "3 parts: 1 passed on this content, 0 on an earlier one, 2 never"
    )


def test_after_a_change_what_never_passed_is_run_first_and_then_what_passed_longest_ago(tmp_path: Path) -> None:
    memory(tmp_path, "a").add("test_two")
    memory(tmp_path, "b").add("test_one")
    assert memory(tmp_path, "c").left(TESTS) == ["test_three", "test_two", "test_one"]
    said = verify.summary(memory(tmp_path, "c"), TESTS)
    assert said.startswith("3 parts: 0 passed on this content, 2 on an earlier one, 1 never; the oldest on state-a, ")


def test_a_test_that_is_no_more_counts_for_nothing(tmp_path: Path) -> None:
    memory(tmp_path, "a").add("test_gone")
    assert verify.summary(memory(tmp_path, "a"), TESTS) == (
        "3 parts: 0 passed on this content, 0 on an earlier one, 3 never"
    )


@pytest.mark.parametrize("text", ['{"content": "a", "passed": ["test_one"]}', '{"test_one": {"cont'])
def test_a_memory_of_another_shape_is_said_and_begins_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "memory.json").write_text(text)
    assert memory(tmp_path, "a").left(TESTS) == TESTS
    assert "all is run again" in capsys.readouterr().out
