"""What the supervisor tells the timeline: nothing is left out in silence, whatever becomes of the disk."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.secret_keeper import SecretKeeper

from fluxlab.alerts import Wanted
from fluxlab.clusters import masking
from fluxlab.processes import ManagedProcess
from fluxlab.redaction import MASK
from fluxlab.servers.git_repositories import GitRepositories, GitRepository
from fluxlab.servers.pushes import NO_COMMIT, Push, RefChange
from fluxlab.servers.sinks import Alert
from fluxlab.state import LabFolder
from fluxlab.supervisor import chronicle as module
from fluxlab.supervisor.chronicle import Chronicle
from fluxlab.timeline.entries import Detail, Entry, Level, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.journal import read_journal
from fluxlab.timeline.learned import Learned
from fluxlab.timeline.pushes import before_push_of

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


# -- what others said ------------------------------------------------------------------------------------------------

CANARY = "canary-of-the-first-day"


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[SecretKeeper]:
    """The lab's cluster, in which there is a Secret."""
    with SecretKeeper.of(LabFolder(tmp_path)) as found:
        found.values = [CANARY]
        yield found


def quoting(value: str) -> Alert:
    return Alert(time=NOON, sink="slack", host="hooks.slack.com", severity="error", message=f"no: {value}")


def died(tmp_path: Path, words: str) -> ManagedProcess:
    """A process that ended by itself, with these last words."""
    process = ManagedProcess("c/kustomize-controller", ["sh", "-c", 'echo "$0"; exit 3', words], log=tmp_path / "log")
    process._watcher.join()
    return process


def test_an_alert_that_quotes_a_secret_is_told_without_it(
    chronicle: Chronicle, journal: Path, keeper: SecretKeeper, eventually: Callable[..., None]
) -> None:
    assert keeper.asked == 0
    chronicle.alerted(quoting(CANARY))
    eventually(lambda: told(journal))
    assert told(journal) == [f"no: {MASK}"]
    keeper.values = ["canary-of-the-second-day"]
    chronicle.alerted(quoting(f"canary-of-the-second-day instead of {CANARY}"))
    eventually(lambda: len(told(journal)) == 2)
    assert told(journal)[1] == f"no: {MASK} instead of {MASK}"
    assert CANARY not in "".join(file.read_text() for file in journal.iterdir())


def test_the_last_words_of_a_process_are_told_without_the_secrets_in_them(
    chronicle: Chronicle, journal: Path, keeper: SecretKeeper, eventually: Callable[..., None], tmp_path: Path
) -> None:
    chronicle.process(died(tmp_path, f"panic: {CANARY}"))
    eventually(lambda: told(journal))
    assert told(journal) == [f"died: exit code 3 (panic: {MASK})"]
    assert keeper.asked == 1
    assert chronicle.mask(f"its log says {CANARY}") == f"its log says {MASK}"


@pytest.mark.parametrize("how", ["gone", "hangs"])
def test_while_a_cluster_does_not_answer_what_is_known_from_before_is_masked_all_the_same(
    chronicle: Chronicle,
    journal: Path,
    keeper: SecretKeeper,
    *,
    eventually: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """An alert does not say from which cluster it comes: one that is broken on purpose must hold back no other's."""
    monkeypatch.setattr(masking, "ANSWER_SECONDS", 0.2)
    keeper.gone = how == "gone"
    if how == "hangs":
        keeper.answering.clear()
    learned = Learned(TimelineFolder(LabFolder(tmp_path)).learned)  # as the recorder does
    learned.add(CANARY)
    learned.save()
    chronicle.alerted(quoting(CANARY))
    chronicle.process(died(tmp_path, CANARY))
    eventually(lambda: len(told(journal)) == 2)
    assert told(journal) == [f"no: {MASK}", f"died: exit code 3 ({MASK})"]


def test_nobody_who_tells_of_an_alert_waits_for_a_cluster(
    chronicle: Chronicle, journal: Path, keeper: SecretKeeper, eventually: Callable[..., None]
) -> None:
    keeper.answering.clear()
    for number in range(20):
        chronicle.alerted(quoting(f"{number} {CANARY}"))
    chronicle.add(*entries(1))
    assert told(journal) == ["1"]
    keeper.answering.set()
    eventually(lambda: len(told(journal)) == 21)
    assert told(journal)[1:] == [f"no: {number} {MASK}" for number in range(20)]
    assert keeper.asked < 20, "many alerts cost few questions"


def test_what_the_recorder_has_learned_is_masked_in_all_that_is_told(
    chronicle: Chronicle, journal: Path, tmp_path: Path
) -> None:
    learned = Learned(TimelineFolder(LabFolder(tmp_path)).learned)
    learned.add(CANARY)
    learned.save()
    chronicle.add(Entry(time=NOON, source=Source.COMMIT, text=f"Set it to {CANARY}"))
    assert told(journal) == [f"Set it to {MASK}"]


def test_an_alert_is_still_known_by_its_sink_when_a_secret_holds_the_name_of_it(
    chronicle: Chronicle, journal: Path, keeper: SecretKeeper, eventually: Callable[..., None]
) -> None:
    alert = replace(quoting(CANARY), sink="github", host="github.com", reason=f"because of {CANARY}")
    keeper.values = [alert.sink, CANARY]
    chronicle.alerted(alert)
    eventually(lambda: told(journal))
    [found] = read_journal(journal)
    assert found.text == f"no: {MASK}"
    assert found.details[Detail.REASON] == f"because of {MASK}"
    assert Wanted(provider=alert.sink).fits(found)
    assert Wanted(provider=alert.host).fits(found)


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


def test_a_push_to_a_branch_whose_name_a_secret_holds_is_still_known_as_one_to_it(
    chronicle: Chronicle, repository: GitRepository, tmp_path: Path
) -> None:
    made, folder = history(repository, 3), TimelineFolder(LabFolder(tmp_path))
    learned = Learned(folder.learned)
    for value in ("production", made[0]):
        learned.add(value)
    learned.save()
    asyncio.run(chronicle.pushed(push(repository, old=made[0], new=made[2], refs=("refs/heads/production",))))
    assert before_push_of(made[2], folder, branch="production") == made[0]


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
