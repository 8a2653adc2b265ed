"""A version of a chart disappears: its archive is set aside, where it is not served, and given back as it was."""

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from fluxlab.clusters.capabilities import Capability
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, Plan
from fluxlab.servers.chart_archives import digest
from fluxlab.servers.chart_metadata import archive_name
from fluxlab.servers.charts import ChartVersion
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
        return sorted(f"{url}/{chart.name}" for url, chart in _newest(ground))

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        del parameters, random
        found = [(url, chart) for url, chart in _newest(ground) if f"{url}/{chart.name}" == target]
        if not found:
            raise UsageError(f"{target} is not there any more")
        ((url, chart),) = found
        undo = {"url": url, "name": chart.name, "version": chart.version, "digest": chart.digest}
        return Plan(touches=frozenset({f"host:{urlsplit(url).netloc}"}), undo=undo)

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        archive, aside = _places(ground, injection)
        if digest(archive) != injection.text("digest"):
            _displaced(ground, injection).touch(mode=0o600)  # nothing is in the way of what was published
            raise FluxlabError(f"{injection.target}: somebody has published another archive of that version just now")
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
        if not archive.exists():
            aside.rename(archive)
        elif digest(archive) == injection.text("digest"):  # somebody has published it again meanwhile: that stays
            aside.unlink()
        else:
            aside.replace(_displaced(ground, injection))

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        site, name = chart_site(ground, injection.text("url")), injection.text("name")
        now = served(site, name, injection.text("version"))
        told = f"{site.url} lists {name} {injection.text('version')} with digest {now[:12]}"
        if now == injection.text("digest"):
            return told
        return f"{told}: somebody has published it since" if now and _displaced(ground, injection).exists() else ""

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        archive, aside = _places(ground, injection)
        return [shlex.join(["mv", str(aside), str(archive)])]


def _newest(ground: Ground) -> Iterator[tuple[str, ChartVersion]]:
    """The newest version of each chart, with the URL of its repository."""
    for urls in urls_by_host(ground).values():
        for url in urls:
            charts = repository(ground.folder, url).charts()
            yield from ((url, next(versions)) for _, versions in groupby(charts, key=lambda chart: chart.name))


def _displaced(ground: Ground, injection: Injection[NoParameters]) -> Path:
    """Where the archive stays when somebody has published another one as its version: what proves that later.

    It is empty where that was before the fault was in.
    """
    return ground.folder.scratch / f"{injection.text('digest')}.tgz"


def _places(ground: Ground, injection: Injection[NoParameters]) -> tuple[Path, Path]:
    """Where the archive is served from, and where it is set aside: in one folder, so that moving it is one step."""
    folder = chart_folder(ground.folder, injection.text("url"))
    archive = folder / archive_name(injection.text("name"), injection.text("version"))
    return archive, folder / f".{injection.id}"
