"""An entry of the timeline as one line for people."""

from .entries import Entry, Source


def line_of(entry: Entry, *, several: bool = False) -> str:
    """Time, source, what happened to which object, by whom and for which commit; `several` clusters are told apart."""
    local = entry.time.astimezone()
    cluster = f"[{entry.cluster}]" if several and entry.cluster else ""
    sink = f"to {entry.part}:" if entry.source is Source.ALERT else ""
    place = " ".join(filter(None, [cluster, sink, str(entry.object or entry.part)]))
    who = f" by {entry.actor}" if entry.actor else ""
    own = entry.source in {Source.PUSH, Source.COMMIT}
    commit = f" for {entry.commit[:10]}" if entry.commit and not own else ""
    name = f"{entry.commit[:10]} " if entry.source is Source.COMMIT else ""
    issues = f" ({', '.join(entry.issues)})" if entry.issues else ""
    said = " ".join(filter(None, [place, f"{name}{' '.join(entry.text.splitlines())}"]))
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03}  {entry.source.value:8}  {said}{who}{commit}{issues}"
