"""An artifact has the files that source-controller puts into it; how it reads rules was seen in its source."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest

from fluxlab.drift.artifacts import keep_artifact

FILES = {"apps/a.yaml", "apps/sub/b.yaml", "lib/apps/c.yaml"}
RULES: Sequence[tuple[str, Collection[str]]] = [
    ("apps/", {"apps/a.yaml", "apps/sub/b.yaml", "lib/apps/c.yaml"}),
    ("/apps/", {"apps/a.yaml", "apps/sub/b.yaml"}),
    ("a.yaml/", set()),
    ("apps/*", {"apps/a.yaml", "apps/sub/b.yaml"}),
    ("apps/*.yaml", {"apps/a.yaml"}),
    ("**/apps", {"apps/a.yaml", "apps/sub/b.yaml", "lib/apps/c.yaml"}),
    ("apps/**/b.yaml", {"apps/sub/b.yaml"}),
    ("apps/**", {"apps/a.yaml", "apps/sub/b.yaml"}),
    ("/**", set()),
    ("**", {"apps/a.yaml", "apps/sub/b.yaml", "lib/apps/c.yaml"}),
    ("app**/a.yaml", set()),
    ("app?", {"apps/a.yaml", "apps/sub/b.yaml", "lib/apps/c.yaml"}),
    ("[ab].yaml", {"apps/a.yaml", "apps/sub/b.yaml"}),
    ("[^ab].yaml", {"lib/apps/c.yaml"}),
    ("[a-b].yaml", {"apps/a.yaml", "apps/sub/b.yaml"}),
    ("[b-a].yaml", set()),
    ("[a.yaml", set()),
    ("\\a.yaml", {"apps/a.yaml"}),
    ("a.yaml  ", {"apps/a.yaml"}),
    ("a.yaml\\ ", set()),
    (" a.yaml", set()),
    ("# a.yaml", set()),
    ("A.yaml", set()),
    ("a?yaml", {"apps/a.yaml"}),
    ("a.yam", set()),
    ("//apps//a.yaml", {"apps/a.yaml"}),
    ("lib/**/apps/**/c.yaml", {"lib/apps/c.yaml"}),
    ("[[&&~].yaml", set()),
]
"""What each rule takes out of these files; a test on a lab has source-controller say the same."""


def kept(
    tmp_path: Path, files: Collection[str], rules: Mapping[str, str] | None = None, *, ignore: str = ""
) -> set[str]:
    """Which of the files an artifact has, where these rules stand in these files."""
    for name, text in {**dict.fromkeys(files, "x"), **(rules or {})}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    keep_artifact(tmp_path, ignore=ignore)
    return {name for name in files if (tmp_path / name).exists()}


def test_without_rules_pictures_archives_and_what_is_ci_s_are_left_out(tmp_path: Path) -> None:
    left_out = {
        "a.png",
        "docs/b.tar.gz",
        ".github/workflows/test.yaml",
        "apps/.sops.yaml",
        ".gitignore",
        "x/.gitignore",
    }
    assert kept(tmp_path, {"a.yaml", "apps/b.yaml", "github/c.yaml", *left_out}) == {
        "a.yaml",
        "apps/b.yaml",
        "github/c.yaml",
    }


def test_any_rule_takes_the_place_of_those_but_for_git_s_own_files(tmp_path: Path) -> None:
    files = {"a.png", ".github/a.yaml", ".gitignore", "b.txt"}
    assert kept(tmp_path, files, {"apps/.sourceignore": "*.txt\n"}) == {"a.png", ".github/a.yaml", "b.txt"}


def test_a_rule_holds_below_the_folder_in_whose_file_it_stands(tmp_path: Path) -> None:
    files = {"old.yaml", "apps/old.yaml", "apps/cart/old.yaml", "apps/cart/new.yaml"}
    assert kept(tmp_path, files, {"apps/.sourceignore": "old.yaml\n"}) == {"old.yaml", "apps/cart/new.yaml"}


def test_the_newest_rule_decides_also_of_what_is_in_a_folder_that_is_left_out(tmp_path: Path) -> None:
    files = {"apps/a.yaml", "apps/b.yaml", "apps/sub/c.yaml", "infra/d.yaml"}
    rules = {".sourceignore": "/*\n!/apps\n", "apps/.sourceignore": "/sub/\n!sub/c.yaml\nb.*\n"}
    assert kept(tmp_path, files, rules, ignore="!/infra/d.yaml\n") == {"apps/a.yaml", "apps/sub/c.yaml", "infra/d.yaml"}


@pytest.mark.parametrize(("rule", "left_out"), RULES)
def test_rules_mean_what_they_mean_to_source_controller(tmp_path: Path, rule: str, left_out: Collection[str]) -> None:
    assert FILES - kept(tmp_path, FILES, ignore=f"{rule}\n") == left_out


def test_links_are_left_out_and_what_they_lead_to_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "a.yaml").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "folder").symlink_to(tmp_path / "away")
    (tree / "file.yaml").symlink_to(tmp_path / "away" / "a.yaml")
    (tree / "broken").symlink_to("nowhere")
    assert kept(tree, {"b.yaml"}) == {"b.yaml"}
    assert [one.name for one in tree.iterdir()] == ["b.yaml"]
    assert (tmp_path / "away" / "a.yaml").exists()


def test_a_link_to_rules_that_are_not_there_is_no_rule(tmp_path: Path) -> None:
    (tmp_path / ".sourceignore").symlink_to("nowhere")
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / ".sourceignore").symlink_to("/etc/hostname")
    assert kept(tmp_path, {"a.yaml", "b.png"}) == {"a.yaml"}
