"""Faults of the git server: what git sees, and what kubectl shows of the GitRepository."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Observer
from tests.integration.faults.clients import Git, never_injected, ready

from fluxlab.clusters.capabilities import UnsupportedError
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.injecting import NotProvenError
from fluxlab.faults.layers.git import FAULTS
from fluxlab.faults.layers.git.history import History
from fluxlab.faults.layers.git.server import GitUnavailable
from fluxlab.lab import Lab
from fluxlab.moments import Commit


@pytest.fixture
def git(shop: Lab, tmp_path: Path) -> Git:
    return Git(shop, tmp_path)


def push(lab: Lab, value: str) -> Commit:
    """A commit that changes nothing that is applied, so that nothing has to be waited for but the fetch."""
    lab.repository.write("notes.txt", f"{value}\n")
    return lab.repository.commit(f"Note {value}")


def has_fetched(observer: Observer, commit: str) -> bool:
    status = observer.get("gitrepository", "flux-system", "-n", "flux-system")["status"]
    return commit in status["artifact"]["revision"]


@dataclass(frozen=True)
class Failing:
    """A fault after which nobody gets an answer, and what is said then."""

    fault: str
    git_says: str
    flux_says: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.fault, *map(str, self.parameters.values())])


FAILING = [
    Failing("git-unavailable", "error: 502", "502", {"status_code": 502}),
    Failing("git-reset", "", "EOF"),
    Failing("git-auth-revoked", "Authentication failed", "authentication required"),
    Failing("git-wrong-certificate", "certificate", "x509: certificate is valid for", {"problem": "other-name"}),
    Failing("git-wrong-certificate", "certificate", "unknown authority", {"problem": "foreign-authority"}),
]


@pytest.mark.parametrize("failing", FAILING, ids=str)
def test_a_git_server_that_fails(shop: Lab, observer: Observer, git: Git, failing: Failing) -> None:
    def told() -> bool:
        status, reason, message = ready(observer, "gitrepository", "flux-system")
        return (status, reason) == ("False", "GitOperationFailed") and failing.flux_says in message

    before = git.head()
    with shop.fault(failing.fault, for_=120, **failing.parameters):
        code, _, error = git.run("ls-remote", git.url)
        assert code != 0
        assert failing.git_says in error
        lost = push(shop, str(failing))
        shop.wait_until(told, what=f"kubectl shows GitOperationFailed with {failing.flux_says}")
        assert not has_fetched(observer, lost.sha)
    assert git.head() == lost.sha != before
    found = push(shop, f"after {failing}")  # not the back-off but the news ends the pause
    shop.wait_until(lambda: has_fetched(observer, found.sha), what="Flux has fetched")


def test_a_git_server_that_says_nothing_answers_when_it_is_healed(shop: Lab, git: Git) -> None:
    with shop.fault("git-hang", for_=120):
        asking = git.start("ls-remote", git.url)
        with pytest.raises(subprocess.TimeoutExpired):
            asking.communicate(timeout=3)
    out, error = asking.communicate(timeout=30)
    assert asking.returncode == 0, error
    assert "refs/heads/main" in out


def test_a_slow_git_server_is_late_and_right(shop: Lab, git: Git) -> None:
    with shop.fault("git-slow", for_=120, delay_seconds=2):
        began = time.monotonic()
        refs = git.refs()
        assert time.monotonic() - began >= 2
    assert refs == git.refs()


def test_a_lost_history_comes_back_as_it_was(shop: Lab, observer: Observer, git: Git) -> None:
    push(shop, "one")
    push(shop, "two")
    old, refs, tree = git.head(), git.refs(), _tree(git)
    with shop.fault("git-force-push", for_=120, commits=2):
        new = git.head()
        assert new != old
        assert _tree(git) == tree
        assert not git.has(old)
        shop.wait_until(lambda: has_fetched(observer, new), what="Flux has adopted the new head")
    assert git.refs() == refs
    assert git.has(old)
    assert not list((shop.folder.root / "faults").glob("*.bundle*"))
    shop.wait_until(lambda: has_fetched(observer, old), what="Flux is back")


def test_what_is_pushed_upon_a_lost_history_stays(shop: Lab, git: Git) -> None:
    push(shop, "before")
    old = git.head()
    with shop.fault("git-force-push", for_=120):
        pushed = push(shop, "meanwhile")
        tree = _tree(git)
    git.ok("clone", "--quiet", git.url, "healed")
    commits = git.ok("-C", "healed", "rev-list", "HEAD").split()
    assert {old, pushed.sha} <= set(commits)
    assert git.ok("-C", "healed", "rev-parse", "HEAD^{tree}") == tree


def test_a_commit_that_another_branch_holds_cannot_be_lost(shop: Lab, git: Git) -> None:
    before = git.refs()
    shop.repository.tag("release-1")
    with pytest.raises(UsageError, match="would not be lost"):
        shop.faults.inject("git-force-push", cluster=shop.cluster.name)
    assert git.refs() == {**before, "refs/tags/release-1": before["refs/heads/main"]}
    push(shop, "so that the tag holds an older commit")


def test_a_deleted_branch_comes_back(shop: Lab, observer: Observer, git: Git) -> None:
    def told() -> bool:
        status, reason, message = ready(observer, "gitrepository", "flux-system")
        return (status, reason) == ("False", "GitOperationFailed") and "couldn't find remote ref" in message

    before = git.refs()
    with shop.fault("git-branch-deleted", for_=120):
        assert "refs/heads/main" not in git.refs()
        shop.wait_until(told, what="kubectl shows that the branch is not found")
    assert git.refs() == before


def test_a_burst_is_so_many_commits_and_its_end_leaves_the_content_as_it_was(
    shop: Lab, observer: Observer, git: Git
) -> None:
    before, tree = git.head(), _tree(git)
    with shop.fault("git-commit-burst", for_=120, commits=4):
        git.ok("clone", "--quiet", git.url, "burst")
        assert git.ok("-C", "burst", "rev-list", "--count", f"{before}..HEAD") == "4"
        head = git.head()
        shop.wait_until(lambda: has_fetched(observer, head), what="Flux has fetched the last of them")
    assert _tree(git) == tree


def test_the_content_of_the_shop_is_still_applied(shop: Lab, observer: Observer, git: Git) -> None:
    commit = push(shop, "the last")
    shop.converge(commit)
    assert git.head() == commit.sha
    assert ready(observer, "kustomization", "shop")[0] == "True"


def _tree(git: Git) -> str:
    folder = f"tree-{time.monotonic_ns()}"
    git.ok("clone", "--quiet", "--depth=1", git.url, folder)
    return git.ok("-C", folder, "rev-parse", "HEAD^{tree}")


@dataclass(frozen=True)
class Step:
    """The git command, by its first word and how often it has come, at which an injection is cut off."""

    fault: str
    word: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.fault}-{self.word}-{self.number}"


STEPS = [
    Step("git-force-push", "bundle"),
    Step("git-force-push", "push"),
    Step("git-force-push", "gc"),
    Step("git-branch-deleted", "update-ref"),
    Step("git-branch-deleted", "push"),
    Step("git-commit-burst", "push", 3),
]


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_what_is_cut_off_on_its_way_in_leaves_nothing(
    shop: Lab, git: Git, monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    run, seen, tree, refs = History.git, list[str](), _tree(git), git.refs()

    def cut(self: History, *words: str, **options: Any) -> str:
        seen.append(words[0])
        if words[0] == step.word and seen.count(step.word) == step.number:
            raise FluxlabError("cut off here")
        return run(self, *words, **options)

    monkeypatch.setattr(History, "git", cut)
    with pytest.raises(FluxlabError, match="cut off here"):
        shop.faults.inject(step.fault, cluster=shop.cluster.name)
    assert not shop.faults.active()
    assert _tree(git) == tree
    assert git.refs() == refs or step.fault == "git-commit-burst"
    assert not list((shop.folder.root / "faults").glob("*.bundle*"))


def test_a_lab_that_is_killed_while_its_branch_is_gone_is_whole_again(shop: Lab, observer: Observer, git: Git) -> None:
    def uids() -> set[str]:
        return {one["metadata"]["uid"] for one in observer.get("deployments", "-n", "shop")["items"]}

    before, deployments = git.refs(), uids()
    shop.faults.inject("git-branch-deleted", cluster=shop.cluster.name)
    os.kill(shop.status().supervisor_pid or 0, signal.SIGKILL)
    Lab.up(shop.spec, lifeline=True)
    assert not shop.faults.active()
    assert git.refs() == before
    shop.converge(push(shop, "after the kill"))
    assert uids() == deployments, "what Flux runs was pruned"


@pytest.mark.parametrize("name", [kind.name for kind in FAULTS if not kind.impossible])
def test_a_sound_lab_proves_nothing_and_is_healed_already(shop: Lab, git: Git, name: str) -> None:
    fault, before = CATALOGUE[name], git.refs()
    ground, injection = never_injected(shop, fault)
    assert not fault.injected(ground, injection)
    fault.heal(ground, injection)
    assert fault.healed(ground, injection)
    assert git.refs() == before


def test_an_injection_that_does_nothing_is_not_proven(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GitUnavailable, "inject", lambda *_: None)
    monkeypatch.setattr(GitUnavailable, "proof_seconds", 1.0)
    with pytest.raises(NotProvenError), shop.fault("git-unavailable"):
        pytest.fail("the block must not begin")
    assert not shop.faults.active()


def test_a_healing_that_does_nothing_is_caught(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    record = shop.faults.inject("git-unavailable", cluster=shop.cluster.name)
    with monkeypatch.context() as broken:
        broken.setattr(GitUnavailable, "heal", lambda *_: None)
        broken.setattr(GitUnavailable, "proof_seconds", 0.5)
        with pytest.raises(Exception, match="could not be taken out") as caught:
            shop.faults.heal(record.id)
    assert record.id in str(caught.value), "by hand"
    shop.faults.heal(record.id)
    assert not shop.faults.active()


def test_a_host_key_is_refused_with_the_reason(shop: Lab) -> None:
    with pytest.raises(UnsupportedError) as caught:
        shop.faults.inject("git-host-key-changed", cluster=shop.cluster.name)
    assert "SSH" in str(caught.value)
