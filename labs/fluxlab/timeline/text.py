"""An entry of the timeline as one line for people; and what others wrote as a terminal may be told it."""

import re

from .entries import Detail, Entry, Source
from .issues import issue_references

LONGEST_SUBJECT = 50
"""Of a commit's message, beside what it changed."""

# What steers terminals, turns the direction of what follows, or cannot be written at all; not tabulators and line ends.
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""A text in which what would steer a terminal is written out, such as `\x1b`: commits and logs are anybody's."""
    return _STEERING.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def line_of(entry: Entry, *, several: bool = False) -> str:
    """Time, source, what happened to which object, by whom and for which commit; `several` clusters are told apart.

    The entry is masked: a part of it is cut off, and of a part of a secret nobody would know that it is one.
    """
    local = entry.time.astimezone()
    cluster = f"[{entry.cluster}]" if several and entry.cluster else ""
    sink = f"to {entry.part}:" if entry.source is Source.ALERT else ""
    place = " ".join(filter(None, [cluster, sink, str(entry.object or entry.part)]))
    who = f" by {entry.actor}" if entry.actor else ""
    own = entry.source in {Source.PUSH, Source.COMMIT}
    subject = "" if own else _subject(entry)
    said = f' "{subject}"' if subject else ""
    commit = f" for {entry.commit[:10]}{said}" if entry.commit and not own else ""
    name = f"{entry.commit[:10]} " if entry.source is Source.COMMIT else ""
    unsaid = [issue for issue in entry.issues if issue not in issue_references(subject)]
    issues = f" ({', '.join(unsaid)})" if unsaid else ""
    what = " ".join(filter(None, [place, f"{name}{' '.join(entry.text.splitlines())}"]))
    time = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return visible(f"{time}  {entry.source.value:8}  {what}{who}{commit}{issues}")


def _subject(entry: Entry) -> str:
    """The first line of the message of an entry's commit, short."""
    subject = entry.details.get(Detail.SUBJECT, "")
    return subject if len(subject) <= LONGEST_SUBJECT else f"{subject[:LONGEST_SUBJECT].rstrip()}..."
