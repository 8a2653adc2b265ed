"""drift: what differs from git, who did it, and what will become of it."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .adopt_output import adopt
from .options import MOMENTS, AllClustersOption, LabOption, find_lab
from .output import say, tell, ticker

if TYPE_CHECKING:
    from fluxlab.drift.records import DriftReport
    from fluxlab.lab import Lab


class Format(StrEnum):
    """How a report on drift is printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    HTML = "html"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(drift)


def drift(
    *,
    lab: LabOption = None,
    cluster: AllClustersOption = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help=f"Edits by hand from then on, also those that were reverted: {MOMENTS}"),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Tell edits by hand as they happen.")] = False,
    as_patch: Annotated[
        bool, typer.Option("--as-patch", help="Push a branch that has git say what the cluster says.")
    ] = False,
    branch: Annotated[
        str | None, typer.Option("--branch", help="The new branch for --as-patch; default: drift/CLUSTER-TIME.")
    ] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TEXT,
) -> None:
    """Tell what differs from git: which field, who did it, will it be reverted. Exit code 1 drift, 2 could not tell.

    Compares every object of every Kustomization and HelmRelease with what git wants of it, and finds what nobody owns
    in the same namespaces. Writes nothing to the cluster.

    With --since or --watch: what people changed by hand, or made beside it, and what became of it. Exit code 1 when
    there is something.

    With --as-patch: adopted by a commit on a branch, to be merged or deleted. Exit code 1 when something was left.

    Example: fluxlab drift --since 10m
    """
    found = find_lab(lab)
    if as_patch or branch:
        _check_adopting(as_patch=as_patch, report=not (since or watch), output=output)
        raise typer.Exit(adopt(found, cluster, branch=branch or "", as_json=output is Format.JSON))
    if since or watch:
        _edits(found, cluster, since=since, watch=watch, output=output)
        return
    with ticker() as tick:
        report = found.drift(cluster, progress=tick)
    _show(report, output, name=f"{found.name}/{cluster}" if cluster else found.name)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _check_adopting(*, as_patch: bool, report: bool, output: Format) -> None:
    from fluxlab.errors import UsageError

    if not as_patch:
        raise UsageError("--branch is for --as-patch")
    if not report:
        raise UsageError("--as-patch adopts what is there now: it goes with neither --since nor --watch")
    if output not in {Format.TEXT, Format.JSON}:
        raise UsageError(f"-o {output} is for a report: what was adopted is told as text or json")


def _show(report: "DriftReport", output: Format, *, name: str) -> None:
    from fluxlab.drift.formats import report_as_html, report_as_json, report_as_junit

    match output:
        case Format.JSON:
            print(report_as_json(report))
        case Format.JUNIT:
            print(report_as_junit(report, name=f"drift of {name}"))
        case Format.HTML:
            print(report_as_html(report, name=name, made=datetime.now(UTC)))
        case Format.TEXT:
            for one in report.drifts:
                tell(str(one))
            for line in report.unknown:
                tell(f"could not tell: {line}")
    if report.ignored:
        say(f"differences in fields that a rule in git leaves to others: {len(report.ignored)}")
    for held in report.held_back:
        say(f"report-only is on in cluster {held}: Flux corrects nothing there until `fluxlab report-only off`")
    for stand_in in report.unreal:
        say(f"not real: {stand_in}")
    differing = len({(one.cluster, one.object) for one in report.drifts})
    say(f"{differing} of {report.examined} objects drifted" if differing else f"{report.examined} objects compared")


def _edits(lab: "Lab", cluster: str | None, *, since: str | None, watch: bool, output: Format) -> None:
    from fluxlab.drift.aspects import DriftClass
    from fluxlab.drift.formats import edits_as_json
    from fluxlab.errors import UsageError
    from fluxlab.timeline.times import parse_moment

    begin = parse_moment(since, now=datetime.now(UTC)) if since else None
    if output not in {Format.TEXT, Format.JSON}:
        raise UsageError(f"-o {output} is for a report: edits by hand are told as text or json")
    if watch:
        if output is Format.JSON:
            raise UsageError("--watch goes on for ever, and JSON needs an end", hint="fluxlab drift --since 5m -o json")
        say("watching for edits by hand; end with Ctrl-C")
        for edit in lab.follow_edits(cluster, since=begin):
            tell(str(edit))
            sys.stdout.flush()
    found = lab.edits(cluster, since=begin)
    if output is Format.JSON:
        print(edits_as_json(found))
    else:
        for edit in found:
            tell(str(edit))
    unknown = sum(edit.class_ is DriftClass.UNKNOWN for edit in found)
    still = sum(edit.ending is None for edit in found) - unknown
    more = f", {unknown} of what is not recorded" if unknown else ""
    say(f"{len(found)} edits by hand, {still} of them as they were made{more}")
    if found:
        raise typer.Exit(1)
