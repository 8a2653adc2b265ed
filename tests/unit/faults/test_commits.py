"""Which commit of a fault still stands, from git's log."""

from fluxlab.faults.commits import standing

ID = "etcd-restore-123abc"
FIRST, SECOND, THIRD = ("1" * 40, "2" * 40, "3" * 40)


def _commit(sha: str, message: str) -> str:
    return f"commit {sha}\nAuthor: fluxlab <a@b>\nDate:   2026-11-26\n\n    {message}\n\n a.yaml | 2 ++\n\n"


def test_a_commit_stands_until_it_is_reverted_and_again_once_that_is() -> None:
    log = _commit(FIRST, f"Add a file (fault {ID})")
    assert standing(log, ID) == FIRST
    log = _commit(SECOND, f'Revert "Add a file (fault {ID})"') + _commit("9" * 40, "Another") + log
    assert standing(log, ID) == ""
    log = _commit(THIRD, f'Revert "Revert "Add a file (fault {ID})""') + log
    assert standing(log, ID) == THIRD


def test_nothing_stands_of_what_was_never_pushed() -> None:
    assert standing("", ID) == ""
    assert standing(_commit(FIRST, "Add a file (fault etcd-restore-999fff)"), ID) == ""
    assert standing(_commit(FIRST, "Tell of commit 1"), ID) == ""
