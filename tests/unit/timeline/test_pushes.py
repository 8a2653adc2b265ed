"""What a branch was at before a push, by the journal of pushes and of the commits that came with them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, Source
from fluxlab.timeline.folder import SUPERVISOR, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.timeline.pushes import before_push_of

NOW = datetime(2026, 11, 28, 22, tzinfo=UTC)


def push(old: str, *commits: str, branch: str = "main") -> list[Entry]:
    details = {Detail.REF: f"refs/heads/{branch}", **({Detail.OLD: old} if old else {})}
    moved = Entry(time=NOW, source=Source.PUSH, text="moved", commit=commits[-1], details=details)
    return [moved, *(Entry(time=NOW, source=Source.COMMIT, text="said", commit=one) for one in commits)]


@pytest.fixture
def folder(tmp_path: Path) -> TimelineFolder:
    found = TimelineFolder(LabFolder(tmp_path / "lab"))
    told = [*push("", "a"), *push("a", "b", "c"), *push("a", "x", branch="other"), *push("c", "d")]
    Journal(found.journal(SUPERVISOR), redactor=Redactor()).append(told)
    return found


@pytest.mark.parametrize(
    ("commit", "before"), [("a", ""), ("b", "a"), ("c", "a"), ("d", "c"), ("x", ""), ("unknown", "")]
)
def test_all_commits_of_a_push_follow_what_was_there_before_it(
    folder: TimelineFolder, commit: str, before: str
) -> None:
    assert before_push_of(commit, folder, branch="main") == before


def test_without_a_journal_nothing_is_known(tmp_path: Path) -> None:
    assert before_push_of("a", TimelineFolder(LabFolder(tmp_path / "lab")), branch="main") == ""
