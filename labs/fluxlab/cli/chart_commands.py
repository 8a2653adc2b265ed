"""charts list, add, yank: the chart repositories that the lab serves at public URLs."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import LabOption, Output, OutputOption, find_lab
from .output import passed_through, say, table

if TYPE_CHECKING:
    from fluxlab.repository import Repository

app = typer.Typer(help="Charts that the lab serves at public URLs.", no_args_is_help=True)
HostOption = Annotated[
    str, typer.Option("--host", help="The public host, such as open-telemetry.github.io, or an oci:// URL.")
]
PrefixOption = Annotated[
    str | None,
    typer.Option("--prefix", help="The path of the repository; default: that of the only one known at this host."),
]


def _url(lab: str | None, host: str, prefix: str | None, *, new: bool = False) -> str:
    """The URL of a chart repository at a host: of one that is served or, for a `new` one, that manifests name."""
    from fluxlab.errors import UsageError
    from fluxlab.spec import HOST_PATTERN, host_of

    if host.startswith("oci://"):
        return f"{host.rstrip('/')}/{(prefix or '').strip('/')}".rstrip("/")
    if not re.fullmatch(HOST_PATTERN, host):
        raise UsageError(f"{host!r} is no host name", hint="such as open-telemetry.github.io, or an oci:// URL")
    if prefix is not None:
        return f"https://{host}/{prefix.strip('/')}".rstrip("/")
    chosen = find_lab(lab)
    known = {chart.repository for chart in chosen.status().charts}
    matching = {url for url in known if host_of(url) == host}
    if new and not matching:
        named = _named_in_git(chosen.repository, host) or _of_scenarios()
        matching = {url for url in named if host_of(url) == host}
    if len(matching) != 1:
        facts = [f"repositories of this lab: {', '.join(sorted(known)) or 'none'}"]
        if matching:
            facts = [f"at {host} there may be {' and '.join(sorted(matching))}"]
        raise UsageError(f"which repository at {host}?", facts=facts, hint="add --prefix, such as /helm-charts")
    return matching.pop()


def _named_in_git(repository: "Repository", host: str) -> set[str]:
    """The URLs of the HelmRepositories that the head of the branch has at a host."""
    from fluxlab.clusters.objects import text_at
    from fluxlab.clusters.resources import HELM_REPOSITORY
    from fluxlab.flux.overlays import documents, parts_of

    said = parts_of(repository.text(repository.head(), ""))
    likely = documents(part for part in said if HELM_REPOSITORY.kind in part and host in part)
    found = (one for one in likely if text_at(one, "kind") == HELM_REPOSITORY.kind)
    return {url.rstrip("/") for one in found if (url := text_at(one, "spec", "url")).startswith("https://")}


def _of_scenarios() -> set[str]:
    """The chart repositories of the scenarios that come with fluxlab."""
    from fluxlab.scenarios import load_scenario, scenario_names

    charts = (chart for name in scenario_names() for chart in load_scenario(name).content.charts)
    return {chart.repository for chart in charts if chart.repository.startswith("https://")}


@app.command("list")
def list_charts(lab: LabOption = None, output: OutputOption = Output.TEXT) -> None:
    """List the charts and versions that are served."""
    status = find_lab(lab).status()
    charts = status.charts
    if output is Output.JSON:
        print(json.dumps([chart.model_dump() for chart in charts], indent=2))
        return
    rows = [[c.name, c.version, "yes" if c.stand_in else "no", c.repository] for c in charts]
    table(["NAME", "VERSION", "STAND-IN", "REPOSITORY"], rows)
    if status.allowed:
        say(passed_through(status.allowed))


@app.command()
def add(
    source: Annotated[
        Path, typer.Argument(metavar="CHART", help="A chart archive (.tgz) or a chart's folder.", exists=True)
    ],
    host: HostOption,
    prefix: PrefixOption = None,
    lab: LabOption = None,
    *,
    replace: Annotated[bool, typer.Option(help="Replace another archive of the same version.")] = False,
) -> None:
    """Serve a chart at a public URL.

    Example: fluxlab charts add ./my-app --host charts.example.org --prefix /stable
    """
    url = _url(lab, host, prefix, new=True)
    chart = find_lab(lab).add_chart(source, url=url, replace=replace)
    say(f"{chart.name} {chart.version} is served at {url}")


@app.command()
def yank(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The chart's name.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version to remove.")],
    host: HostOption,
    prefix: PrefixOption = None,
    lab: LabOption = None,
) -> None:
    """Stop serving one version of a chart."""
    from fluxlab.errors import UsageError

    url = _url(lab, host, prefix)
    if url.startswith("oci://"):
        raise UsageError(f"{url} is an OCI registry: what was pushed there stays", hint="push another version")
    find_lab(lab).charts(url).yank(name, version)
    say(f"{name} {version} is no longer served at {url}")
