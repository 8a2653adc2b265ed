"""Names, branches and tokens of repositories."""

import subprocess
import sys
from pathlib import Path

import pytest

from fluxlab.errors import UsageError
from fluxlab.redaction import Redactor
from fluxlab.servers.git_repositories import GitRepositories, GitRepository


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


def commit(repository: GitRepository) -> str:
    empty_tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return repository.git(*settings, "commit-tree", empty_tree, "-m", "one").strip()


@pytest.mark.parametrize("branch", ["main", "a\u0085", "a\u2028b", "a\u00a0b"])
def test_the_commit_of_a_branch_is_found_whatever_white_space_is_in_its_name(tmp_path: Path, branch: str) -> None:
    repository = GitRepositories(tmp_path).create("fleet", url="https://x/y", branch=branch)
    new = commit(repository)
    below = f"refs/heads/{branch}/a\u0085b"
    repository.git("update-ref", below, new)
    assert repository.served_commit() is None
    repository.git("update-ref", "-d", below)
    repository.git("update-ref", f"refs/heads/{branch}", new)
    assert repository.served_commit() == new


def test_a_repository_whose_branch_is_gone_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    repository = GitRepositories(tmp_path).create("fleet", url="https://x/y")
    assert not repository.used
    repository.git("update-ref", "refs/heads/main", commit(repository))
    repository.git("gc", "--quiet")
    repository.git("update-ref", "-d", "refs/heads/main")
    assert repository.served_commit() is None
    assert repository.used


CREATED_ON_A_FULL_DISK = """\
import pathlib, resource, sys
from fluxlab.servers.git_repositories import GitRepositories
repositories = GitRepositories(pathlib.Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
repositories.create("fleet", url="https://x/y")
"""


def create_on_a_full_disk(folder: Path) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-c", CREATED_ON_A_FULL_DISK, str(folder)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_config_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    config = GitRepositories(tmp_path).create("fleet", url="https://x/y").path / "config"
    earlier = config.read_text() + "# of an earlier fluxlab\n"
    config.write_text(earlier)
    done = create_on_a_full_disk(tmp_path)
    assert "File too large" in done.stderr
    assert config.read_text() == earlier


def test_a_config_that_is_as_it_should_be_is_not_written_again(tmp_path: Path) -> None:
    config = GitRepositories(tmp_path).create("fleet", url="https://x/y").path / "config"
    before = config.read_text(), config.stat().st_mtime_ns
    done = create_on_a_full_disk(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (config.read_text(), config.stat().st_mtime_ns) == before
