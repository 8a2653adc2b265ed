"""report-only on, off, status: hold Flux back from correcting drift, so that a person can look first."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from .options import AllClustersOption, LabOption, Output, OutputOption, find_lab
from .output import say, table, ticker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxlab.drift.report_only import Holding
    from fluxlab.lab import Lab

app = typer.Typer(help="Keep Flux from correcting drift, so that a person can look first.", no_args_is_help=True)


@app.command()
def on(lab: LabOption = None, cluster: AllClustersOption = None) -> None:
    """Hold Flux back: suspend Kustomizations, and have HelmReleases that correct drift only warn of it."""
    from fluxlab.drift.report_only import HOLD_SECONDS, Standing, hold

    chosen = find_lab(lab)
    with ticker() as tick:
        for one in chosen.chosen(cluster):
            hold(one, progress=tick, timeout_seconds=chosen.patience(HOLD_SECONDS))
    held = [one for one in _holdings(chosen, cluster) if one.standing is Standing.HELD]
    say(f"report-only is on: {len(held)} Kustomizations and HelmReleases are held back")
    say("next: fluxlab drift; then fluxlab report-only off, and Flux corrects at once")


@app.command()
def off(lab: LabOption = None, cluster: AllClustersOption = None) -> None:
    """Let Flux go: all that report-only changed is as before, and Flux corrects at once."""
    from fluxlab.drift.report_only import HOLD_SECONDS, release

    chosen = find_lab(lab)
    with ticker() as tick:
        patience = chosen.patience(HOLD_SECONDS)
        left = [
            line for one in chosen.chosen(cluster) for line in release(one, progress=tick, timeout_seconds=patience)
        ]
    for line in left:
        say(line)
    say("report-only is off: Flux corrects again")


@app.command()
def status(lab: LabOption = None, cluster: AllClustersOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show which Kustomizations and HelmReleases are held back, which do not correct anyway, and which correct."""
    found = _holdings(find_lab(lab), cluster)
    if output is Output.JSON:
        print(json.dumps([{**asdict(one), "object": str(one.object)} for one in found], indent=2))
        return
    rows = [[one.cluster, str(one.object), one.standing, one.why] for one in found]
    table(["CLUSTER", "OBJECT", "STANDING", "WHY"], rows)


def _holdings(lab: "Lab", cluster: str | None) -> "Sequence[Holding]":
    from fluxlab.drift.report_only import holdings

    return [holding for one in lab.chosen(cluster) for holding in holdings(one)]
