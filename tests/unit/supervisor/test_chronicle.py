"""What the supervisor tells the timeline: nothing is left out in silence, whatever becomes of the disk."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxlab.servers.git_repositories import GitRepositories, GitRepository
from fluxlab.servers.pushes import NO_COMMIT, Push, RefChange
from fluxlab.state import LabFolder
from fluxlab.supervisor import chronicle as module
from fluxlab.supervisor.chronicle import Chronicle
from fluxlab.timeline.entries import Entry, Level, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.journal import read_journal

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the supervisor's journal is."""
    return TimelineFolder(LabFolder(tmp_path)).journal(SUPERVISOR)


@pytest.fixture
def chronicle(tmp_path: Path) -> Chronicle:
    return Chronicle(TimelineFolder(LabFolder(tmp_path)))


@pytest.fixture
def mend(journal: Path) -> Callable[[], None]:
    """The journal cannot be written, since there is something else in its place, until this is called."""
    journal.parent.mkdir(parents=True)
    journal.write_text("no folder")

    def put_right() -> None:
        journal.unlink()
        journal.mkdir()

    return put_right


def entries(*numbers: int) -> list[Entry]:
    return [Entry(time=NOON, source=Source.PROCESS, text=str(number)) for number in numbers]


def told(journal: Path) -> list[str]:
    return [entry.text for entry in read_journal(journal)]


def test_what_the_disk_does_not_take_waits_and_comes_in_order(
    chronicle: Chronicle, journal: Path, mend: Callable[[], None]
) -> None:
    chronicle.add(*entries(1, 2))
    assert str(journal) in chronicle.trouble
    chronicle.add(*entries(3))
    chronicle.retry()
    mend()
    chronicle.retry()
    chronicle.add(*entries(4))
    assert told(journal) == ["1", "2", "3", "4"]
    assert chronicle.trouble == ""


def test_what_cannot_wait_any_longer_is_lost_and_counted(
    chronicle: Chronicle, journal: Path, mend: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_ENTRIES", 3)
    for number in range(7):
        chronicle.add(*entries(number))
    reason = chronicle.trouble
    mend()
    chronicle.retry()
    gap, *rest = read_journal(journal)
    assert (gap.source, gap.level, gap.part) == (Source.RECORDER, Level.ERROR, SUPERVISOR)
    assert gap.text == f"4 entries were lost while the timeline could not be written: {reason}"
    assert [entry.text for entry in rest] == ["4", "5", "6"]
    chronicle.add(*entries(7))
    assert told(journal)[-2:] == ["6", "7"]


def test_however_much_comes_at_once_nothing_is_lost_while_the_disk_takes_it(
    chronicle: Chronicle, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_ENTRIES", 3)
    chronicle.add(*entries(*range(10)))
    assert told(journal) == [str(number) for number in range(10)]


# -- git -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepositories(tmp_path / "git").create("fleet", url="https://x/y")


def commit(repository: GitRepository, message: str, *, parent: str = "") -> str:
    settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    parents = ("-p", parent) if parent else ()
    return repository.git(*settings, "commit-tree", EMPTY_TREE, *parents, "-m", message).strip()


def history(repository: GitRepository, count: int) -> list[str]:
    """Commits one after the other, the newest on main."""
    made: list[str] = []
    for number in range(count):
        made.append(commit(repository, f"Step {number} (#{number})", parent=made[-1] if made else ""))
    repository.git("update-ref", "refs/heads/main", made[-1])
    return made


def push(repository: GitRepository, *, old: str, new: str, refs: tuple[str, ...] = ("refs/heads/main",)) -> Push:
    changes = tuple(RefChange(ref=ref, old=old, new=new) for ref in refs)
    return Push(repository=repository, changes=changes, who="ada", time=NOON)


def test_a_push_is_told_with_each_of_its_commits(
    chronicle: Chronicle, journal: Path, repository: GitRepository
) -> None:
    made = history(repository, 3)
    asyncio.run(chronicle.pushed(push(repository, old=made[0], new=made[2])))
    pushed, *brought = read_journal(journal)
    assert pushed.text == f"fleet main: {made[0][:10]} -> {made[2][:10]}, 2 commits"
    assert (pushed.actor, pushed.commit, pushed.issues) == ("ada", made[2], ("#1", "#2"))
    assert [(one.text, one.commit) for one in brought] == [("Step 1 (#1)", made[1]), ("Step 2 (#2)", made[2])]
    assert {one.actor for one in brought} == {"Ada <ada@example.org>"}


@pytest.mark.parametrize("others", [(), ("refs/tags/v1",), ("refs/heads/side",)])
def test_the_commits_of_new_refs_are_told_once(
    chronicle: Chronicle, journal: Path, repository: GitRepository, others: tuple[str, ...]
) -> None:
    made = history(repository, 2)
    for ref in others:
        repository.git("update-ref", ref, made[-1])
    refs = ("refs/heads/main", *others)
    asyncio.run(chronicle.pushed(push(repository, old=NO_COMMIT, new=made[-1], refs=refs)))
    assert [one.commit for one in read_journal(journal) if one.source is Source.COMMIT] == made
    first, *more = [one.text for one in read_journal(journal) if one.source is Source.PUSH]
    assert first.endswith("2 commits")
    assert all(text.endswith("0 commits") for text in more)


def test_of_a_new_branch_only_that_is_told_which_no_other_has(
    chronicle: Chronicle, journal: Path, repository: GitRepository
) -> None:
    old = history(repository, 2)[-1]
    new = commit(repository, "Aside", parent=old)
    repository.git("update-ref", "refs/heads/side", new)
    asyncio.run(chronicle.pushed(push(repository, old=NO_COMMIT, new=new, refs=("refs/heads/side",))))
    assert [one.commit for one in read_journal(journal) if one.source is Source.COMMIT] == [new]


@pytest.mark.parametrize(("count", "left_out"), [(3, False), (4, True)])
def test_of_more_commits_than_are_told_the_newest_are_told_and_that_there_are_more(
    chronicle: Chronicle,
    journal: Path,
    repository: GitRepository,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    *,
    left_out: bool,
) -> None:
    monkeypatch.setattr(module, "COMMITS_PER_PUSH", 3)
    made = history(repository, count)
    asyncio.run(chronicle.pushed(push(repository, old=NO_COMMIT, new=made[-1])))
    pushed, *brought = read_journal(journal)
    assert pushed.text.endswith("more than 3 commits" if left_out else ", 3 commits")
    notes = [one for one in brought if not one.commit]
    assert [(note.level, note.text) for note in notes] == (
        [(Level.WARNING, "commits before the 3 that follow are left out")] if left_out else []
    )
    assert [one.commit for one in brought if one.commit] == made[-3:]
    assert brought[: len(notes)] == notes
