"""A lab's repository from the side of whoever works with it; here the bare repository itself is what is cloned."""

import shlex
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from fluxlab.clones import check_target, known_clones
from fluxlab.commands import CommandError
from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.moments import Moment
from fluxlab.repository import Repository
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


def make(root: Path, template: Path, *, token: str = TOKEN, moment: Callable[[], Moment] = Moment) -> Repository:
    """The repository of a lab in `root`."""
    folder = LabFolder(root)
    folder.repositories.mkdir(parents=True)
    bare = shutil.copytree(template, folder.repositories / "fleet.git")
    (folder.repositories / "fleet.token").write_text(f"{token}\n")
    return Repository(folder=folder, spec=RepositorySpec(), clone_url=lambda: str(bare), moment=moment)


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


@pytest.mark.parametrize("name", ["a/refs/heads/main", "main/refs/heads/main"])
def test_a_branch_whose_name_ends_as_the_labs_is_another_one(repository: Repository, bare: Path, name: str) -> None:
    tip = git(bare, "rev-parse", "refs/heads/main")
    git(bare, "branch", "--move", "main", "aside")
    git(bare, "update-ref", f"refs/heads/{name}", git(bare, "commit-tree", f"{tip}^{{tree}}", "-m", "other"))
    assert not repository.has("main")
    with pytest.raises(FluxlabError, match="has no branch main"):
        repository.head()
    assert repository.has(name)


def test_the_head_is_that_of_the_labs_branch_whatever_is_listed_first(repository: Repository, bare: Path) -> None:
    tip = git(bare, "rev-parse", "refs/heads/main")
    other = git(bare, "commit-tree", f"{tip}^{{tree}}", "-m", "other")
    git(bare, "update-ref", "refs/heads/a/refs/heads/main", other)
    assert repository.head() == tip != other


@pytest.mark.parametrize("name", ["a\u0085", "a\u00a0b", "a\u2028b"])
def test_a_branch_is_there_whatever_white_space_is_in_its_name(repository: Repository, bare: Path, name: str) -> None:
    assert not repository.has(name)
    git(bare, "update-ref", f"refs/heads/{name}", "refs/heads/main")
    assert repository.has(name)


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
    repository.write("apps/deep/a.yaml", b"a: \xff\n")
    repository.write("README.md", "new")
    commit = repository.commit("Add apps\n\nand more").sha
    assert repository.head() == commit
    assert git(bare, "rev-parse", f"{commit}^") == before
    assert (
        git(bare, "log", "-1", "--format=%an <%ae>|%cn|%s", commit) == "fluxlab <lab@fluxlab.invalid>|fluxlab|Add apps"
    )
    assert git(bare, "ls-tree", "-r", "--name-only", commit).split() == ["README.md", "apps/deep/a.yaml"]
    shown = subprocess.run(["git", "show", f"{commit}:apps/deep/a.yaml"], cwd=bare, capture_output=True, check=True)
    assert shown.stdout == b"a: \xff\n"


def test_a_commit_of_nothing_is_refused(repository: Repository) -> None:
    before = repository.head()
    with pytest.raises(UsageError, match="nothing to commit"):
        repository.commit("Nothing prepared")
    repository.write("README.md", "README.md")
    with pytest.raises(UsageError, match="nothing to commit"):
        repository.commit("Nothing changed")
    assert repository.head() == before


def test_what_is_written_is_committed_whatever_gitignore_says(repository: Repository, bare: Path) -> None:
    repository.write(".gitignore", "*.tgz\n")
    repository.write("charts/app.tgz", b"an archive")
    commit = repository.commit("Add a chart")
    assert git(bare, "show", f"{commit}:charts/app.tgz") == "an archive"


def test_a_commit_has_the_author_and_date_that_are_asked_for(repository: Repository, bare: Path) -> None:
    repository.write("a", "a")
    date = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    commit = repository.commit("Add a (#42)", author="Ada <ada@example.org>", date=date)
    shown = git(bare, "log", "-1", "--format=%an <%ae>|%aI|%cI|%s", commit.sha)
    assert shown == "Ada <ada@example.org>|2026-01-02T03:04:05+00:00|2026-01-02T03:04:05+00:00|Add a (#42)"


def test_a_commit_knows_the_moment_before_it_was_pushed(lab: Path, template: Path) -> None:
    heads: list[str] = []

    def moment() -> Moment:
        heads.append(made.head())
        return Moment(versions={"c": 7})

    repository = made = make(lab, template, moment=moment)
    before = repository.head()
    repository.write("a", "a")
    commit = repository.commit("Add a")
    assert heads == [before]
    assert commit.before.versions == {"c": 7}
    assert (str(commit), commit.short) == (repository.head(), repository.head()[:10])


def test_files_are_moved_and_deleted(repository: Repository, bare: Path) -> None:
    for name in ("apps/a/one", "apps/a/two", "apps/b"):
        repository.write(name, name)
    repository.commit("Add apps")
    repository.move("apps/a", "moved/here")
    repository.delete("apps/b")
    commit = repository.commit("Move apps")
    assert git(bare, "ls-tree", "-r", "--name-only", commit.sha).split() == [
        "README.md", "moved/here/one", "moved/here/two",
    ]  # fmt: skip
    repository.delete("moved")
    assert git(bare, "ls-tree", "-r", "--name-only", repository.commit("Remove").sha) == "README.md"


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", ".git/config", "a//b", "", "."])
def test_a_path_outside_of_the_repository_is_refused(repository: Repository, path: str) -> None:
    with pytest.raises(UsageError, match="no path in a repository"):
        repository.write(path, "x")


def test_a_link_that_leads_out_of_the_repository_is_not_followed(
    repository: Repository, mine: Path, tmp_path: Path
) -> None:
    (mine / "out").symlink_to(tmp_path)
    (mine / "inner").symlink_to(".git")
    change(mine, "with-link", push=True)
    for path in ("out/x", "inner/hooks/pre-commit"):
        with pytest.raises(UsageError, match="leads out"):
            repository.write(path, "x")
    assert not (tmp_path / "x").exists()


def test_what_is_not_there_is_named_with_its_neighbours(repository: Repository) -> None:
    for act in (repository.delete, repository.read, lambda path: repository.move(path, "a")):
        with pytest.raises(UsageError, match=r"nope: there is no such file(.|\n)*README\.md"):
            act("nope")
    with pytest.raises(UsageError, match="there already"):
        repository.move("README.md", "README.md")


RELEASE = """\
# who owns this
kind: HelmRepository
metadata: {name: charts}
---
kind: HelmRelease
metadata:
  name: app
spec:
  values:
    image: "app:1.0" # {"$imagepolicy": "flux-system:app"}
    cart: {replicas: 1, limits: {cpu: 1}}
"""


def test_values_are_edited_and_everything_else_stays_as_it_was(repository: Repository) -> None:
    repository.write("app.yaml", RELEASE)
    repository.commit("Add app")
    repository.edit("app.yaml", values={"cart": {"replicas": 3, "limits": None}, "tags": ("a", "b")})
    changed = repository.read("app.yaml")
    assert '    image: "app:1.0" # {"$imagepolicy": "flux-system:app"}\n' in changed
    assert changed.startswith("# who owns this\nkind: HelmRepository\nmetadata: {name: charts}\n---\n")
    first, second = yaml.safe_load_all(changed)
    assert second["spec"]["values"] == {"image": "app:1.0", "cart": {"replicas": 3}, "tags": ["a", "b"]}
    assert first == {"kind": "HelmRepository", "metadata": {"name": "charts"}}


def test_a_patch_needs_exactly_one_manifest(repository: Repository) -> None:
    repository.write("app.yaml", RELEASE)
    for options in ({}, {"kind": "Deployment"}, {"name": "nope"}):
        with pytest.raises(UsageError, match="HelmRepository charts, HelmRelease app"):
            repository.patch("app.yaml", {"spec": {"interval": "1m"}}, **options)
    with pytest.raises(UsageError, match="empty"):
        repository.patch("app.yaml", {}, kind="HelmRelease")
    repository.write("bad.yaml", "a: [")
    with pytest.raises(UsageError, match=r"bad\.yaml is no valid YAML"):
        repository.patch("bad.yaml", {"a": 1})


def test_manifests_are_written_as_yaml(repository: Repository) -> None:
    one: JsonObject = {"kind": "A", "metadata": {"name": "a"}}
    two: JsonObject = {"kind": "B", "data": {"n": "1"}}
    repository.write("one.yaml", one)
    repository.write("two.yaml", [one, two])
    assert yaml.safe_load(repository.read("one.yaml")) == one
    assert list(yaml.safe_load_all(repository.read("two.yaml"))) == [one, two]


def test_a_commit_is_taken_back(repository: Repository, bare: Path) -> None:
    repository.write("README.md", "changed")
    mistake = repository.commit("Change it all (#7)")
    repository.write("other", "stays")
    repository.commit("Go on")
    taken_back = repository.revert(mistake)
    assert git(bare, "log", "-1", "--format=%s") == 'Revert "Change it all (#7)"'
    assert git(bare, "show", f"{taken_back}:README.md") == "README.md"
    assert git(bare, "show", f"{taken_back}:other") == "stays"


def test_a_revert_that_conflicts_leaves_nothing_behind(repository: Repository) -> None:
    repository.write("README.md", "changed")
    mistake = repository.commit("Change it")
    repository.write("README.md", "changed again")
    last = repository.commit("Change it again")
    with pytest.raises(CommandError):
        repository.revert(mistake)
    assert repository.head() == last.sha
    assert repository.read("README.md") == "changed again"


def test_branches_are_made_changed_and_merged(repository: Repository, bare: Path) -> None:
    feature = repository.on("feature/x")
    feature.write("x", "x")
    there = feature.commit("Add x")
    assert git(bare, "rev-parse", "feature/x") == there.sha
    assert "x" not in git(bare, "ls-tree", "--name-only", "main").split()
    merged = repository.merge("feature/x")
    assert git(bare, "show", f"{merged}:x") == "x"
    assert there.sha in repository.earlier(merged)
    with pytest.raises(UsageError, match="has nothing that main has not"):
        repository.merge("feature/x")
    assert repository.on("feature/x").head() == there.sha


def test_a_branch_begins_at_a_commit_of_choice_and_is_known_by_its_name(repository: Repository) -> None:
    first = repository.head()
    repository.write("later.txt", "x")
    repository.commit("Later")
    assert not repository.has("x")
    assert repository.on("feature/x", begin=first).head() == first
    assert repository.has("feature/x")
    assert not repository.has("x")
    with pytest.raises(UsageError, match="no name for a branch"):
        repository.has("a b")


def test_a_branch_is_forced_back_and_goes_on_from_there(repository: Repository, bare: Path) -> None:
    before = repository.head()
    repository.write("a", "a")
    lost = repository.commit("Add a")
    assert repository.force_push(before).sha == before
    assert repository.since(lost.sha) == frozenset()
    repository.write("b", "b")
    commit = repository.commit("Add b")
    assert git(bare, "rev-parse", f"{commit}^") == before


def test_tags_point_at_commits_and_are_not_moved(repository: Repository, bare: Path) -> None:
    first = repository.head()
    repository.tag("v1")
    repository.write("a", "a")
    repository.tag("v2", first)
    repository.commit("Add a")
    assert {git(bare, "rev-parse", tag) for tag in ("v1", "v2")} == {first}
    with pytest.raises(CommandError):
        repository.tag("v1")


def test_a_change_begins_at_what_somebody_else_pushed(repository: Repository, mine: Path, bare: Path) -> None:
    repository.write("a", "a")
    repository.commit("Add a")
    git(mine, "pull", "--quiet")
    theirs = change(mine, "theirs", push=True)
    repository.write("b", "b")
    commit = repository.commit("Add b")
    assert git(bare, "rev-parse", f"{commit}^") == theirs


def test_a_push_in_between_is_an_error_and_the_next_change_is_whole(
    repository: Repository, mine: Path, bare: Path
) -> None:
    repository.write("a", "a")
    theirs = change(mine, "theirs", push=True)
    with pytest.raises(CommandError):
        repository.commit("Add a")
    repository.write("b", "b")
    commit = repository.commit("Add b")
    assert git(bare, "rev-parse", f"{commit}^") == theirs
    assert "a" not in git(bare, "ls-tree", "--name-only", commit.sha).split()


def test_the_working_copy_goes_with_the_handle(repository: Repository, lab: Path) -> None:
    repository.write("a", "a")
    assert list((lab / "scratch").iterdir())
    repository.close()
    assert list((lab / "scratch").iterdir()) == []
    repository.write("b", "b")
    assert repository.commit("Add b").sha == repository.head()


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
    repository.write("crlf", b"a\r\n")
    commit = repository.commit("From a hook").sha
    monkeypatch.undo()
    assert git(users, "rev-parse", "HEAD") == before
    assert git(users, "status", "--porcelain") == ""
    assert repository.head() == commit


def test_a_push_that_is_refused_is_an_error(repository: Repository, bare: Path) -> None:
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no entry >&2; exit 1\n")
    hook.chmod(0o700)
    repository.write("a", "a")
    with pytest.raises(CommandError, match="no entry"):
        repository.commit("Refused")


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


@pytest.mark.parametrize("work", [lose_commit, lose_file, lose_stash])
@pytest.mark.parametrize("there", [True, False])
def test_a_clone_with_work_of_an_earlier_lab_is_refused_before_a_lab_is_there(
    lab: Path, template: Path, earlier: Path, work: Callable[[Path], None], there: bool
) -> None:
    if there:
        make(lab, template)
    work(earlier)
    with pytest.raises(UsageError, match="there already"):
        check_target(earlier, folder=LabFolder(lab), repository="fleet")


def test_what_a_clone_may_replace_is_not_refused_and_left_alone_meanwhile(
    repository: Repository, lab: Path, earlier: Path, tmp_path: Path
) -> None:
    own = repository.clone(tmp_path / "own")
    lose_file(own)  # of this very lab: it is kept
    (tmp_path / "empty").mkdir()
    for target in (own, earlier, tmp_path / "empty", tmp_path / "nothing"):
        check_target(target, folder=LabFolder(lab), repository="fleet")
    assert (own / "work").exists()
    assert (earlier / "README.md").exists()


def test_a_clone_that_fails_leaves_nothing(repository: Repository, bare: Path, tmp_path: Path) -> None:
    git(bare, "update-ref", "-d", "refs/heads/main")
    with pytest.raises(CommandError):
        repository.clone(tmp_path / "fleet")
    assert not (tmp_path / "fleet").exists()


def test_clones_are_remembered_while_they_exist(repository: Repository, lab: Path, tmp_path: Path) -> None:
    folder = LabFolder(lab)
    assert known_clones(folder, "fleet") == ()
    clones = [repository.clone(tmp_path / name) for name in ("b", "a\u2028c")]
    assert known_clones(folder, "fleet") == tuple(sorted(map(str, clones)))
    clones[0].rename(tmp_path / "moved")
    assert known_clones(folder, "fleet") == (str(clones[1]),)


def nobody(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """As on a new machine: git does not know who commits, and does not guess."""
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(variable, raising=False)
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)


def test_who_has_not_told_git_their_name_can_commit_in_a_clone(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody(monkeypatch, tmp_path / "home")
    clone = repository.clone(tmp_path / "clone")
    plain = ["git", "-C", str(clone), "commit", "--quiet", "--allow-empty", "--message=Mine"]
    subprocess.run(plain, check=True)
    assert "@" in git(clone, "log", "-1", "--format=%an@%ae")


@pytest.mark.parametrize("email", ["ada@example.org", ""])
def test_whoever_has_told_git_their_name_commits_under_it(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, email: str
) -> None:
    nobody(monkeypatch, tmp_path / "home")
    told = f"email = {email}" if email else "useConfigOnly = true"
    (tmp_path / "home" / ".gitconfig").write_text(f"[user]\nname = Ada\n{told}\n")
    clone = repository.clone(tmp_path / "clone")
    subprocess.run(["git", "-C", str(clone), "commit", "--quiet", "--allow-empty", "--message=Mine"], check=True)
    name, _, address = git(clone, "log", "-1", "--format=%an %ae").partition(" ")
    assert (name, address == email) == ("Ada", bool(email))
