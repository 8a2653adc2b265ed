"""A history is rewritten and given back: what others push meanwhile is never lost."""

from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.commands import CommandError, run
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.git.history import History
from fluxlab.repository import Repository

FAULTS = ("git-force-push", "git-branch-deleted")


class Host:
    """A folder with a repository that somebody else pushes to, by git alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clone = folder / "git" / "fleet.git", folder / "clone"
        run(["git", "init", "--quiet", "--bare", "--initial-branch=main", self.folder])
        run(["git", "init", "--quiet", "--initial-branch=main", self.clone])
        (folder / "git" / "fleet.token").write_text("none")
        (folder / "scratch").mkdir()
        (folder / "faults").mkdir()
        for key, value in (("user.name", "alice"), ("user.email", "alice@example.com")):
            self.git("config", key, value)

    def git(self, *words: str) -> str:
        return run(["git", *words], cwd=self.clone).stdout.strip()

    def push(self, text: str) -> str:
        """Somebody's commit, on whatever the branch has now; returns its name."""
        if run(["git", "ls-remote", self.folder, "main"]).stdout:
            self.git("fetch", "--quiet", str(self.folder), "main")
            self.git("reset", "--quiet", "--hard", "FETCH_HEAD")
        (self.clone / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "--quiet", "--message", f"Say {text}")
        self.git("push", "--quiet", str(self.folder), "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def commits(self) -> list[str]:
        return run(["git", f"--git-dir={self.folder}", "rev-list", "main"]).stdout.split()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = Host(tmp_path)
    for text in ("one", "two", "three"):
        found.push(text)
    return found


@pytest.fixture
def ground(host: Host, tmp_path: Path) -> Ground:
    address = str(host.folder)

    def head() -> str:
        return host.commits()[0]

    repository = SimpleNamespace(branch="main", clone_url=address, url=address, name="fleet", head=head)
    folder: Any = SimpleNamespace(scratch=tmp_path / "scratch", repositories=tmp_path / "git", root=tmp_path)
    unused: Any = None
    nothing = SimpleNamespace(find=lambda *_, **__: None, list=lambda *_: [])
    root = Root(footing=Footing.LOCAL, namespace="flux-system", name="flux-system")
    cluster: Any = SimpleNamespace(api=nothing, root=root, lacks=root.lacks)
    return Ground(
        cluster=cluster,
        folder=folder,
        control=unused,
        open_repository=lambda: cast("Repository", repository),
        links=False,
    )


def planned(ground: Ground, name: str) -> Injection[Any]:
    fault = CATALOGUE[name]
    plan = fault.plan(ground, "", fault.parameters(), Random(1))  # noqa: S311
    return Injection(id=f"{name}-1", target="", parameters=fault.parameters(), undo=plan.undo)


def test_what_a_step_leaves_that_is_cut_off_is_known_by_its_fault(
    ground: Ground, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    git = History.git

    def watched(history: History, *words: str | Path, **options: Path | None) -> str:
        seen.extend(one.name for one in ground.folder.scratch.iterdir())
        return git(history, *words, **options)

    monkeypatch.setattr(History, "git", watched)
    History(replace(ground, fault="git-x-1")).changed_tree(host.commits()[0], "file", "four")
    assert {name.partition(".")[0] for name in seen} == {"git-x-1"}


@pytest.mark.parametrize("name", FAULTS)
def test_it_comes_back_as_it_was(host: Host, ground: Ground, name: str) -> None:
    fault, injection, before = CATALOGUE[name], planned(ground, name), host.commits()
    fault.inject(ground, injection)
    assert fault.injected(ground, injection)
    fault.heal(ground, injection)
    assert host.commits() == before


@pytest.mark.parametrize("name", FAULTS)
def test_what_somebody_pushes_just_before_it_is_put_in_stays(host: Host, ground: Ground, name: str) -> None:
    fault, injection = CATALOGUE[name], planned(ground, name)
    pushed = host.push("in time")
    with pytest.raises(CommandError, match="stale info"):
        fault.inject(ground, injection)
    assert host.commits()[0] == pushed
    fault.heal(ground, injection)
    assert host.commits()[0] == pushed


@pytest.mark.parametrize("name", FAULTS)
def test_what_somebody_pushes_just_before_it_is_taken_out_stays(
    host: Host, ground: Ground, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fault, injection, before = CATALOGUE[name], planned(ground, name), set(host.commits())
    fault.inject(ground, injection)
    replace, pushed = History.replace, list[str]()

    def just_before(history: History, old: str, new: str) -> None:
        if not pushed:
            pushed.append(host.push("in time"))
        replace(history, old, new)

    monkeypatch.setattr(History, "replace", just_before)
    with pytest.raises(CommandError, match="stale info"):
        fault.heal(ground, injection)
    assert host.commits()[0] == pushed[0]
    fault.heal(ground, injection)  # as a healing that failed is tried again
    assert before | set(pushed) <= set(host.commits())


def test_what_was_pushed_and_reverted_upon_a_rewritten_history_stays(host: Host, ground: Ground) -> None:
    fault, injection, before = CATALOGUE["git-force-push"], planned(ground, "git-force-push"), host.commits()
    fault.inject(ground, injection)
    pushed = {host.push("a try"), host.push("three")}  # the content is what it was
    fault.heal(ground, injection)
    assert {*before, *pushed} <= set(host.commits())
