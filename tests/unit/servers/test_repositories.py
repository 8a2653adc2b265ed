"""Names, branches and tokens of repositories."""

from pathlib import Path

import pytest

from fluxlab.errors import UsageError
from fluxlab.redaction import Redactor
from fluxlab.servers.git_repositories import GitRepositories


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/a", "A", "a.git", "a.lock", "a..b", "-a", "a-", "a b", "a\n", "ü", "a" * 101],
)
def test_a_name_that_could_mean_something_else_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        GitRepositories(tmp_path).create(name, url="https://x/y")


@pytest.mark.parametrize(
    "branch", ["", "-x", "a..b", "a b", "a~b", "a:b", "/a", "a/", "a.lock", "a.", "a@{b", "a\\b", "a\n"]
)
def test_a_branch_that_is_none_is_refused(tmp_path: Path, branch: str) -> None:
    with pytest.raises(UsageError):
        GitRepositories(tmp_path).create("fleet", url="https://x/y", branch=branch)


def test_a_token_is_masked_from_the_moment_it_exists(tmp_path: Path) -> None:
    redactor = Redactor()
    repository = GitRepositories(tmp_path, redactor=redactor).create("fleet", url="https://x/y")
    assert repository.token not in redactor.redact(f"http://x:{repository.token}@127.0.0.1/")


def test_a_wrong_token_opens_nothing(tmp_path: Path) -> None:
    repository = GitRepositories(tmp_path).create("fleet", url="https://x/y")
    assert repository.opens(repository.token)
    assert not any(repository.opens(wrong) for wrong in ("", repository.token[:-1], repository.token + "x", "é"))


@pytest.mark.parametrize("url", ["https://x/y/z", "https://x/y/z.git", "https://x/y/z.git/"])
def test_both_spellings_of_a_url_are_known(tmp_path: Path, url: str) -> None:
    repository = GitRepositories(tmp_path).create("fleet", url=url)
    assert repository.urls == ("https://x/y/z", "https://x/y/z.git")


def test_the_branch_of_a_lab_may_change(tmp_path: Path) -> None:
    repositories = GitRepositories(tmp_path)
    repositories.create("fleet", url="https://x/y", branch="main")
    changed = repositories.create("fleet", url="https://x/y", branch="release/1")
    assert (changed.path / "HEAD").read_text() == "ref: refs/heads/release/1\n"
    assert repositories.all() == (changed,)
    assert repositories.find("fleet") == changed
    assert repositories.find("other") is None


def test_a_repository_whose_branch_is_gone_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    repository = GitRepositories(tmp_path).create("fleet", url="https://x/y")
    assert not repository.used
    empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    commit = repository.git(*settings, "commit-tree", empty_tree, "-m", "one").strip()
    repository.git("update-ref", "refs/heads/main", commit)
    repository.git("gc", "--quiet")
    repository.git("update-ref", "-d", "refs/heads/main")
    assert repository.served_commit() is None
    assert repository.used
