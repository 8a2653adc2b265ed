"""A version of a chart disappears: its archive is set aside, where it is not served, and given back as it was."""

import shlex
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from random import Random

from fluxlab.clusters.capabilities import Capability
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.servers.chart_metadata import archive_name
from fluxlab.supervisor.charts import chart_folder

from .sites import chart_site, repository, served, urls_by_host


class ChartYanked(Fault[NoParameters]):
    """The newest version of a chart is not there any more."""

    name = "chart-yanked"
    layer = Layer.CHARTS
    summary = "the newest version of a chart disappears from its repository, index and archive"
    expect = (
        "HelmChart Stalled `InvalidChartReference` when no other version fits; the release stays, and so does what runs"
    )
    needs = frozenset({Capability.MAPPED_HOSTS})

    def candidates(self, ground: Ground) -> Sequence[str]:
        return sorted(urls_by_host(ground))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters
        url, chart = random.choice(
            [
                (url, next(versions))  # the newest comes first
                for url in urls_by_host(ground)[target]
                for _, versions in groupby(repository(ground.folder, url).charts(), key=lambda chart: chart.name)
            ]
        )
        undo = {"url": url, "name": chart.name, "version": chart.version}
        return Plan(touches=frozenset({f"host:{target}"}), undo=undo)

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        archive, aside = _places(ground, injection)
        archive.rename(aside)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        site, name = chart_site(ground, injection.text("url")), injection.text("name")
        version = injection.text("version")
        if not site.visit().good or served(site, name, version):
            return ""
        return f"{site.url} does not list {name} {version}"

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        archive, aside = _places(ground, injection)
        if not aside.exists():
            return
        if archive.exists():  # somebody has published it again meanwhile: that stays
            aside.unlink()
        else:
            aside.rename(archive)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        site, name = chart_site(ground, injection.text("url")), injection.text("name")
        digest = served(site, name, injection.text("version"))
        return f"{site.url} lists {name} {injection.text('version')} with digest {digest[:12]}" if digest else ""

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        archive, aside = _places(ground, injection)
        return [shlex.join(["mv", str(aside), str(archive)])]


def _places(ground: Ground, injection: Injection[NoParameters]) -> tuple[Path, Path]:
    """Where the archive is served from, and where it is set aside: in one folder, so that moving it is one step."""
    folder = chart_folder(ground.folder, injection.text("url"))
    archive = folder / archive_name(injection.text("name"), injection.text("version"))
    return archive, folder / f".{injection.id}"
