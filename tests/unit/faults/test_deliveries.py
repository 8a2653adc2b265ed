"""A commit that should not have been is taken back, by fluxlab or by a person."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.faults.base import Ground, Injection, NoParameters
from fluxlab.faults.means.deliveries import deliver, delivered, revert_by_hand, take_back, taken_back
from fluxlab.repository import Repository
from fluxlab.spec import RepositorySpec
from fluxlab.state import LabFolder

FILE, TITLE = "apps/cart.yaml", "Update the image"
BEGIN = "image: one\n" + "b: 1\n" * 9


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A clone of the lab's repository, whose branch has one file."""
    bare, clone = tmp_path / "labs/one/git/fleet.git", tmp_path / "clone"
    bare.mkdir(parents=True)
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main")
    (bare.parent / "fleet.token").write_text("t0ken")
    git(tmp_path, "clone", "--quiet", str(bare), str(clone))
    push(clone, f"{BEGIN}a: 1\n")
    return clone


def push(clone: Path, text: str) -> str:
    """A person writes the file; returns the commit."""
    (clone / FILE).parent.mkdir(exist_ok=True)
    (clone / FILE).write_text(text)
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message=Say something else")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return git(clone, "rev-parse", "HEAD")


@pytest.fixture
def ground(person: Path, tmp_path: Path) -> Ground:
    del person
    folder = LabFolder(tmp_path / "labs" / "one")
    spec = RepositorySpec(url="https://git.example.com/fleet.git", branch="main")
    bare = str(folder.repositories / f"{spec.name}.git")
    repository = Repository(folder=folder, spec=spec, clone_url=lambda: bare)
    unused: Any = None
    return Ground(
        cluster=cast("Cluster", SimpleNamespace(name="c")),
        folder=folder,
        control=unused,
        open_repository=lambda: repository,
        links=False,
    )


@pytest.fixture
def injection(ground: Ground) -> Injection[NoParameters]:
    """A fault whose commit has been pushed."""
    undo = {"head": ground.repository.head()}
    made = Injection(id="manifest-bad-image-1", target="shop", parameters=NoParameters(), undo=undo)
    deliver(ground, made, TITLE, lambda repository: repository.write(FILE, f"{BEGIN}a: 1\n".replace("one", "missing")))
    return made


def commits(ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
    return ground.repository.saying("", after=injection.text("head"))


def test_what_was_delivered_is_taken_back_once(ground: Ground, injection: Injection[NoParameters]) -> None:
    assert delivered(ground, injection)
    assert not taken_back(ground, injection)
    for _ in range(2):
        take_back(ground, injection, TITLE)
        assert taken_back(ground, injection) == ground.repository.head()
    assert len(commits(ground, injection)) == 2
    assert ground.repository.read(FILE) == f"{BEGIN}a: 1\n"


@pytest.mark.parametrize("more", ["", f"{BEGIN}a: 2\n"])
def test_what_a_person_has_reverted_is_taken_back_by_a_commit_that_says_so(
    ground: Ground, injection: Injection[NoParameters], person: Path, more: str
) -> None:
    git(person, "pull", "--quiet")
    assert any("git revert" in line for line in revert_by_hand(ground, injection))
    git(person, "revert", "--no-edit", delivered(ground, injection))
    git(person, "push", "--quiet", "origin", "HEAD:main")
    if more:
        push(person, more)
    for _ in range(2):
        take_back(ground, injection, TITLE)
        assert taken_back(ground, injection) == ground.repository.head()
    assert len(commits(ground, injection)) == (4 if more else 3)
    assert ground.repository.read(FILE) == (more or f"{BEGIN}a: 1\n"), "what the person has written stays"
