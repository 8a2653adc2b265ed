"""A lab's repository from the side of whoever works with it; here the bare repository itself is what is cloned."""

import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from fluxlab.commands import CommandError
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.repository import Repository, known_clones
from fluxlab.spec import RepositorySpec
from fluxlab.state import LabFolder

TOKEN = "t0k3n-of-this-lab"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def change(clone: Path, name: str, *, push: bool = False) -> str:
    (clone / name).write_text(name)
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", f"--message=Add {name}")
    if push:
        git(clone, "push", "--quiet", "origin", "HEAD:main")
    return git(clone, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository with one commit, to be copied: git takes its time."""
    folder = tmp_path_factory.mktemp("template")
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "fleet.git")
    git(folder, "clone", "--quiet", "fleet.git", "tree")
    git(folder / "tree", "symbolic-ref", "HEAD", "refs/heads/main")
    change(folder / "tree", "README.md", push=True)
    return folder / "fleet.git"


def make(root: Path, template: Path, *, token: str = TOKEN) -> Repository:
    """The repository of a lab in `root`."""
    folder = LabFolder(root)
    folder.repositories.mkdir(parents=True)
    bare = shutil.copytree(template, folder.repositories / "fleet.git")
    (folder.repositories / "fleet.token").write_text(f"{token}\n")
    return Repository(folder=folder, spec=RepositorySpec(), clone_url=str(bare))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    return tmp_path / "labs" / "one"


@pytest.fixture
def repository(lab: Path, template: Path) -> Repository:
    return make(lab, template)


@pytest.fixture
def mine(bare: Path, tmp_path: Path) -> Path:
    """A clone that the test made itself."""
    git(tmp_path, "clone", "--quiet", str(bare), "mine")
    return tmp_path / "mine"


@pytest.fixture
def bare(lab: Path) -> Path:
    return lab / "git" / "fleet.git"


# -- questions -------------------------------------------------------------------------------------------------------


def test_the_head_is_what_is_served(repository: Repository, bare: Path) -> None:
    assert repository.head() == git(bare, "rev-parse", "refs/heads/main")


def test_a_branch_that_was_never_pushed_has_no_head(repository: Repository, bare: Path) -> None:
    git(bare, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(FluxlabError, match="has no branch main"):
        repository.head()


def test_a_commit_is_resolved_by_any_name_it_has(repository: Repository, bare: Path) -> None:
    commit = git(bare, "rev-parse", "main")
    assert {repository.resolve(name) for name in (commit, commit[:10], "main", "refs/heads/main", "HEAD")} == {commit}


@pytest.mark.parametrize("name", ["0" * 40, "nope", "", "main:README.md", "a b", "--all", "-h"])
def test_what_was_not_pushed_is_told(repository: Repository, name: str) -> None:
    with pytest.raises(UsageError):
        repository.resolve(name)


def test_since_a_commit_are_itself_and_all_later_ones(repository: Repository, mine: Path) -> None:
    first = git(mine, "rev-parse", "HEAD")
    second = change(mine, "b", push=True)
    third = change(mine, "c", push=True)
    assert repository.since(first) == {first, second, third}
    assert repository.since(third) == {third}


def test_since_a_commit_that_was_pushed_away_is_nothing(repository: Repository, mine: Path) -> None:
    lost = change(mine, "b", push=True)
    git(mine, "reset", "--quiet", "--hard", "HEAD~1")
    change(mine, "c")
    git(mine, "push", "--quiet", "--force", "origin", "HEAD:main")
    assert repository.since(lost) == frozenset()


# -- changes ---------------------------------------------------------------------------------------------------------


def test_files_are_committed_and_pushed(repository: Repository, bare: Path) -> None:
    before = repository.head()
    commit = repository.commit({"apps/deep/a.yaml": b"a: \xff\n", "README.md": b"new"}, "Add apps\n\nand more")
    assert repository.head() == commit
    assert git(bare, "rev-parse", f"{commit}^") == before
    assert (
        git(bare, "log", "-1", "--format=%an <%ae>|%cn|%s", commit) == "fluxlab <lab@fluxlab.invalid>|fluxlab|Add apps"
    )
    assert git(bare, "ls-tree", "-r", "--name-only", commit).split() == ["README.md", "apps/deep/a.yaml"]
    shown = subprocess.run(["git", "show", f"{commit}:apps/deep/a.yaml"], cwd=bare, capture_output=True, check=True)
    assert shown.stdout == b"a: \xff\n"


def test_when_nothing_changed_there_is_no_commit(repository: Repository) -> None:
    before = repository.head()
    assert repository.commit({"README.md": b"README.md"}, "Nothing") == before
    assert repository.head() == before


def test_the_users_own_git_configuration_and_repository_do_not_matter(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "users"
    users.mkdir()
    git(users, "init", "--quiet", "--initial-branch=main")
    before = change(users, "mine")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[user]\n\tname = Ada\n[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(users / ".git"))  # as in a hook
    monkeypatch.setenv("GIT_WORK_TREE", str(users))
    commit = repository.commit({"crlf": b"a\r\n"}, "From a hook")
    monkeypatch.undo()
    assert git(users, "rev-parse", "HEAD") == before
    assert git(users, "status", "--porcelain") == ""
    assert repository.head() == commit


def test_a_push_that_is_refused_is_an_error(repository: Repository, bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no entry >&2; exit 1\n")
    hook.chmod(0o700)
    with pytest.raises(CommandError, match="no entry"):
        repository.commit({"a": b"a"}, "Refused")


# -- clones for people -----------------------------------------------------------------------------------------------


def test_a_plain_push_from_a_clone_reaches_the_lab(repository: Repository, lab: Path, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "fleet")
    assert clone == tmp_path / "fleet"
    assert git(clone, "remote", "get-url", "--push", "origin") == str(lab / "git" / "fleet.git")
    assert git(clone, "branch", "--show-current") == "main"
    commit = change(clone, "mine")
    git(clone, "push", "--quiet")
    assert repository.head() == commit


def test_the_token_is_in_a_private_file_and_not_in_the_clone(repository: Repository, lab: Path, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "fleet")
    assert not [file for file in clone.rglob("*") if file.is_file() and TOKEN.encode() in file.read_bytes()]
    credentials = lab / "git" / "fleet.credentials"
    assert TOKEN in credentials.read_text()
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    helpers = git(clone, "config", "--local", "--get-all", "credential.helper").split("\n")
    assert shlex.split(helpers[-1]) == ["store", f"--file={credentials}"]


def test_cloning_again_keeps_the_clone_as_it_is(repository: Repository, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "fleet")
    change(clone, "unpushed")
    (clone / "untracked").write_text("x")
    assert repository.clone(clone) == clone
    assert (clone / "untracked").exists()
    assert (clone / "unpushed").exists()


def test_an_empty_folder_will_do(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    assert (repository.clone(tmp_path / "fleet") / "README.md").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "repository"])
def test_what_is_somebody_elses_is_refused_and_left_alone(repository: Repository, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "fleet"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("mine")
    if kind == "repository":
        git(target, "init", "--quiet")
    with pytest.raises(UsageError, match="is there already"):
        repository.clone(target)
    assert (target if kind == "file" else target / "mine").read_text() == "mine"


@pytest.fixture
def earlier(tmp_path: Path, template: Path) -> Path:
    """A clone of an earlier lab of the same name."""
    return make(tmp_path / "earlier", template, token="another-token").clone(tmp_path / "fleet")


def test_a_clone_of_an_earlier_lab_without_own_work_is_replaced(
    repository: Repository, lab: Path, earlier: Path
) -> None:
    assert repository.clone(earlier) == earlier
    assert git(earlier, "remote", "get-url", "origin") == str(lab / "git" / "fleet.git")
    assert git(earlier, "rev-parse", "HEAD") == repository.head()


def lose_commit(clone: Path) -> None:
    change(clone, "work")


def lose_file(clone: Path) -> None:
    (clone / "work").write_text("x")


def lose_edit(clone: Path) -> None:
    (clone / "README.md").write_text("work")


def lose_branch(clone: Path) -> None:
    git(clone, "switch", "--quiet", "--create", "work")
    change(clone, "work")
    git(clone, "switch", "--quiet", "main")


def lose_stash(clone: Path) -> None:
    lose_edit(clone)
    git(clone, "stash", "push", "--quiet")


def lose_detached_commit(clone: Path) -> None:
    git(clone, "checkout", "--quiet", "--detach")
    change(clone, "work")


def lose_ignored_file(clone: Path) -> None:
    (clone / ".git" / "info" / "exclude").write_text(".env\n")
    (clone / ".env").write_text("work")


@pytest.mark.parametrize(
    "work",
    [
        lose_commit,
        lose_file,
        lose_edit,
        lose_branch,
        lose_stash,
        lose_detached_commit,
        lose_ignored_file,
    ],
)
def test_a_clone_of_an_earlier_lab_with_work_in_it_is_refused(
    repository: Repository, earlier: Path, work: object, tmp_path: Path
) -> None:
    assert callable(work)
    work(earlier)
    before = {file.relative_to(earlier): file.read_bytes() for file in earlier.rglob("*") if file.is_file()}
    with pytest.raises(UsageError, match=r"work that was not pushed|there already"):
        repository.clone(earlier)
    assert (
        before.items()
        <= {file.relative_to(earlier): file.read_bytes() for file in earlier.rglob("*") if file.is_file()}.items()
    )
    assert earlier.parent == tmp_path


def test_a_clone_that_fails_leaves_nothing(repository: Repository, bare: Path, tmp_path: Path) -> None:
    git(bare, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(CommandError):
        repository.clone(tmp_path / "fleet")
    assert not (tmp_path / "fleet").exists()


def test_clones_are_remembered_while_they_exist(repository: Repository, lab: Path, tmp_path: Path) -> None:
    folder = LabFolder(lab)
    assert known_clones(folder, "fleet") == ()
    clones = [repository.clone(tmp_path / name) for name in ("b", "a")]
    assert known_clones(folder, "fleet") == tuple(sorted(map(str, clones)))
    clones[0].rename(tmp_path / "moved")
    assert known_clones(folder, "fleet") == (str(tmp_path / "a"),)
