"""drift: what differs from git, who did it, and what will become of it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from .options import ClusterOption, LabOption, Output, OutputOption, find_lab
from .output import say, ticker

if TYPE_CHECKING:
    from fluxlab.drift.records import Drift, DriftReport


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(drift)


def drift(lab: LabOption = None, cluster: ClusterOption = None, output: OutputOption = Output.TEXT) -> None:
    """Tell what differs from git: which field, who did it, will it be reverted. Exit code 1 drift, 2 could not tell.

    Compares every object of every Kustomization and HelmRelease with what git wants of it, and finds what nobody owns
    in the same namespaces. Writes nothing to the cluster.
    """
    with ticker() as tick:
        report = find_lab(lab).drift(cluster, progress=tick)
    if output is Output.JSON:
        print(json.dumps(as_json(report), indent=2))
    else:
        _show(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _show(report: "DriftReport") -> None:
    for one in report.drifts:
        print(one)
    for line in report.unknown:
        print(f"could not tell: {line}")
    if report.ignored:
        say(f"{len(report.ignored)} differences are in fields that a rule in git leaves to others")
    differing = len({(one.cluster, one.object) for one in report.drifts})
    say(f"{differing} of {report.examined} objects drifted" if differing else f"{report.examined} objects compared")


def as_json(report: "DriftReport") -> dict[str, object]:
    """A report as JSON: `clean`, `examined`, `unknown`, the `drifts`, and what rules in git have `ignored`."""
    return {
        "clean": report.clean,
        "examined": report.examined,
        "unknown": list(report.unknown),
        "drifts": [_drift_json(one) for one in report.drifts],
        "ignored": [_drift_json(one) for one in report.ignored],
    }


def _drift_json(one: "Drift") -> dict[str, object]:
    raw = asdict(one)
    time = one.actor.time
    return {
        **{key.rstrip("_"): value for key, value in raw.items()},
        "object": str(one.object),
        "actor": {**raw["actor"], "time": time.isoformat() if time else None},
    }
