"""timeline and logs: what happened, by whom, for which commit."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fluxlab.timeline.entries import Level, Source

from .options import MOMENTS, AllClustersOption, LabOption, Output, OutputOption, find_lab
from .output import say, table

if TYPE_CHECKING:
    from fluxlab.timeline.entries import Entry
    from fluxlab.timeline.query import Query

T = TypeVar("T")
Since = Annotated[str | None, typer.Option("--since", help=f"From when: {MOMENTS}")]
Until = Annotated[str | None, typer.Option("--until", help="Until when, in the same ways.")]
Object = Annotated[str | None, typer.Option("--object", help="cart, otel-demo/cart or deployment/otel-demo/cart.")]
Commit = Annotated[str | None, typer.Option("--commit", help="What a commit brought: its name, or how it begins.")]
Issue = Annotated[str | None, typer.Option("--issue", help="What commits brought that refer to an issue: 42, OPS-7.")]
Sources = Annotated[list[Source] | None, typer.Option("--source", help="Only these sources; repeat for several.")]
Tail = Annotated[
    int | None,
    typer.Option("--tail", "-n", help="The newest so many; -1: all. Default: all as JSON, else 100.", min=-1),
]
USUAL_TAIL = 100
LevelOption = Annotated[Level | None, typer.Option("--level", help="This level and above.")]
_COLOURS = {"warning": "yellow", "error": "red", "debug": "bright_black"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (timeline, logs):
        app.command()(command)


def timeline(
    *,
    lab: LabOption = None,
    cluster: AllClustersOption = None,
    since: Since = None,
    until: Until = None,
    object_: Object = None,
    commit: Commit = None,
    issue: Issue = None,
    source: Sources = None,
    level: LevelOption = None,
    tail: Tail = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on telling what happens.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Tell what happened: pushes, changes with who and for which commit, events, processes; all sources in order.

    Without options: what happened at all. Requests to the API and the gateway, and what programs logged, come with
    --source or --level.

    Example: fluxlab timeline --issue 42 --since 10m
    """
    from fluxlab.errors import UsageError
    from fluxlab.timeline.folder import TimelineFolder
    from fluxlab.timeline.query import ask, news

    from .masks import Masks

    if follow and (until or output is Output.JSON):
        raise UsageError(f"--follow goes on for ever, and {'--until is' if until else 'JSON needs'} an end")
    found = find_lab(lab)
    if cluster:
        found.spec.cluster(cluster)  # of another one nothing would be told, as if nothing had happened
    query = _query(
        since=since,
        until=until,
        subject=object_,
        commit=commit,
        issue=issue,
        sources=source,
        level=level,
        cluster=cluster,
    )
    several, folder, masks = len(found.spec.clusters) > 1, TimelineFolder(found.folder), Masks(found.folder)
    if follow:
        for entries in news(folder, query, begin_with=_lines(tail, output), masks=masks):
            _show(entries, output, several=several)
            sys.stdout.flush()
    else:
        entries = ask(folder, query, masks=masks)
        _show(_newest(entries, tail, output), output, several=several)


def logs(
    component: Annotated[
        str | None,
        typer.Argument(
            metavar="COMPONENT", help="As `status` names it; also: supervisor, recorder, gateway, registry."
        ),
    ] = None,
    *,
    lab: LabOption = None,
    since: Since = None,
    until: Until = None,
    object_: Object = None,
    commit: Commit = None,
    level: LevelOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    tail: Tail = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the log of one component, or list the logs there are; with filters, the lines of all logs that match."""
    from fluxlab.errors import UsageError
    from fluxlab.logs import log_files, read_log
    from fluxlab.timeline.folder import TimelineFolder
    from fluxlab.timeline.query import ask_logs
    from fluxlab.timeline.text import visible

    from .masks import Masks

    folder = find_lab(lab).folder
    files, masks = log_files(folder), Masks(folder)
    filters = (since, until, object_, commit, level)
    if output is Output.JSON or any(given is not None for given in filters):
        if follow:
            raise UsageError("--follow shows one log as it is written: it goes with no filter")
        query = _query(since=since, until=until, subject=object_, commit=commit, level=level)
        found = _newest(ask_logs(TimelineFolder(folder), query, component=component, masks=masks), tail, output)
        if output is Output.JSON:
            _show([line.entry for line in found], output)
        else:
            for line in found:
                print(visible(line.raw if component else f"{line.entry.part}  {line.raw}"))
    elif component is None:
        table(["COMPONENT", "FILE"], [[known, str(path)] for known, path in files.items()])
    else:
        lines = read_log(files, component, lines=_lines(tail, output), follow=follow)
        for text in lines if follow else ["".join(lines)]:
            redactor = masks.often()
            sys.stdout.write(visible(redactor.redact(text)))
            sys.stdout.flush()


def _query(
    *,
    since: str | None,
    until: str | None,
    subject: str | None,
    commit: str | None,
    level: Level | None,
    issue: str | None = None,
    sources: Sequence[Source] | None = None,
    cluster: str | None = None,
) -> "Query":
    from fluxlab.errors import UsageError
    from fluxlab.timeline.query import Query
    from fluxlab.timeline.times import parse_moment

    now = datetime.now(UTC)
    begin, end = (parse_moment(given, now=now) if given else None for given in (since, until))
    if begin and end and begin > end:
        raise UsageError(f"--since is later than --until: {begin.isoformat()} and {end.isoformat()}")
    return Query(
        since=begin,
        until=end,
        subject=subject or "",
        commit=commit or "",
        issue=issue or "",
        sources=frozenset(sources or ()),
        level=level,
        cluster=cluster or "",
    )


def _lines(tail: int | None, output: Output) -> int:
    """How many are asked for; -1: all, as kubectl has it."""
    return tail if tail is not None else -1 if output is Output.JSON else USUAL_TAIL


def _newest(found: Sequence[T], tail: int | None, output: Output) -> Sequence[T]:
    """What is to be shown; that there is more is told."""
    from fluxlab.timeline.query import newest

    lines = _lines(tail, output)
    if 0 <= lines < len(found):
        say(f"{len(found) - lines} earlier ones are left out; --tail -1 shows all")
    return newest(found, lines)


def _show(entries: Iterable["Entry"], output: Output, *, several: bool = False) -> None:
    """Print entries; `several` clusters are told apart."""
    from fluxlab.timeline.entries import as_json
    from fluxlab.timeline.text import line_of

    if output is Output.JSON:
        print(json.dumps([as_json(entry) for entry in entries], indent=2, ensure_ascii=False))
        return
    day = None
    for entry in entries:
        date = entry.time.astimezone().date()
        if date != day:
            day = date
            typer.secho(f"-- {day}", fg="bright_black")
        typer.secho(line_of(entry, several=several), fg=_COLOURS.get(entry.level.value))
