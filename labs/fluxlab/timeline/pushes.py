"""Which push brought a commit, as the supervisor's journal has it: a push, and then the commits that came with it."""

from .entries import Detail, Source
from .folder import SUPERVISOR, TimelineFolder
from .journal import read_journal


def before_push_of(commit: str, folder: TimelineFolder, *, branch: str) -> str:
    """What a branch was at before the push that brought a commit; empty where no push is known that did."""
    before = ""
    for entry in read_journal(folder.journal(SUPERVISOR)):
        if entry.source is Source.PUSH:
            on_branch = entry.details.get(Detail.REF) == f"refs/heads/{branch}"
            before = entry.details.get(Detail.OLD, "") if on_branch else ""
        if entry.source in {Source.PUSH, Source.COMMIT} and entry.commit == commit and before:
            return before
    return ""
