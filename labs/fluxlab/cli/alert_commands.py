"""alerts: what Flux told the world, and what it dropped."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .options import MOMENTS, LabOption, Output, OutputOption, find_lab
from .output import say, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxlab.alerts import Dropped, Duplicates
    from fluxlab.timeline.entries import Entry

LONGEST_CELL = 100


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(alerts)


def alerts(
    *,
    lab: LabOption = None,
    object_: Annotated[
        str, typer.Option("--object", help="Only of this: shop, flux-system/shop or kustomization/flux-system/shop.")
    ] = "",
    commit: Annotated[str, typer.Option("--commit", help="Only of this commit: its name, or how it begins.")] = "",
    provider: Annotated[str, typer.Option("--provider", help="slack, generic, generic-hmac, github, or a host.")] = "",
    severity: Annotated[str, typer.Option("--severity", help="info or error.")] = "",
    since: Annotated[str | None, typer.Option("--since", help=f"From when: {MOMENTS}")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the alerts that reached the lab's sinks, and what was dropped, and why.

    Of what was dropped neither provider nor commit is known: --object and --since alone narrow it.
    """
    from datetime import UTC, datetime

    from fluxlab.alerts import Wanted
    from fluxlab.timeline.journal import masked
    from fluxlab.timeline.times import parse_moment

    from .masks import Masks

    chosen = find_lab(lab)
    found, masks = chosen.alerts, Masks(chosen.folder)
    began = parse_moment(since, now=datetime.now(UTC)) if since else datetime.fromtimestamp(0, UTC)
    came = found.all(Wanted(object=object_, commit=commit, provider=provider, severity=severity), since=began)
    dropped = [one for one in found.dropped(since=began, masks=masks) if not object_ or one.is_about(object_)]
    redactor = masks.often()
    came = [masked(one, redactor) for one in came]  # by now more may be known than when they were written
    if output is Output.JSON:
        _print_json(came, dropped, found.duplicates())
        return
    _show(came, dropped)
    for one in found.duplicates():
        say(str(one))


def _print_json(came: "Sequence[Entry]", dropped: "Sequence[Dropped]", duplicates: "Sequence[Duplicates]") -> None:
    from dataclasses import asdict

    from fluxlab.timeline.entries import as_json, format_time

    lost = [{**asdict(one), "time": format_time(one.time)} for one in dropped]
    counted = [{**asdict(one), "since": one.since and format_time(one.since)} for one in duplicates]
    told = {"alerts": [as_json(one) for one in came], "dropped": lost, "duplicates": counted}
    print(json.dumps(told, indent=2, ensure_ascii=False))


def _show(came: "Sequence[Entry]", dropped: "Sequence[Dropped]") -> None:
    from fluxlab.alerts import severity_of

    rows = [
        [
            f"{one.time.astimezone():%H:%M:%S}",
            one.part.partition(" ")[0],
            severity_of(one),
            str(one.object or ""),
            one.commit[:10],
            _short(one.text),
        ]
        for one in came
    ]
    table(["TIME", "PROVIDER", "SEVERITY", "OBJECT", "COMMIT", "MESSAGE"], rows)
    if dropped:
        print()
        table(
            ["TIME", "DROPPED", "WHY", "LOG"],
            [[f"{one.time.astimezone():%H:%M:%S}", one.object, one.why, _short(one.message)] for one in dropped],
        )


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= LONGEST_CELL else f"{line[:LONGEST_CELL]}…"
