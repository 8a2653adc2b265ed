"""The hosts of a lab's chart repositories: what they serve as a client sees it, and what they really hold."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from urllib.parse import urlsplit

import yaml

from fluxlab.faults.base import Ground
from fluxlab.faults.means.hosts import Site
from fluxlab.servers.chart_metadata import archive_name
from fluxlab.servers.charts import ChartRepository
from fluxlab.state import LabFolder
from fluxlab.supervisor.charts import chart_folder, chart_urls

INDEX = "index.yaml"


def urls_by_host(ground: Ground) -> Mapping[str, Sequence[str]]:
    """The chart repositories that hold at least one chart."""
    urls = [url for url in chart_urls(ground.folder) if repository(ground.folder, url).charts()]
    return {host: list(found) for host, found in groupby(urls, key=lambda url: urlsplit(url).netloc)}


def repository(folder: LabFolder, url: str) -> ChartRepository:
    """What a chart repository really holds."""
    return ChartRepository(chart_folder(folder, url))


def chart_site(ground: Ground, url: str) -> Site:
    """The host of a chart repository, whose index a controller asks for."""
    return Site(host=urlsplit(url).netloc, url=f"{url}/{INDEX}", folder=ground.folder)


def held(site: Site) -> ChartRepository:
    """What the chart repository of a site really holds."""
    return repository(site.folder, site.url.removesuffix(f"/{INDEX}"))


def first_archive(site: Site) -> tuple[str, str]:
    """The URL and the digest of an archive of the site."""
    chart = held(site).charts()[0]
    return site.url.removesuffix(INDEX) + chart.file_name, chart.digest


def served(site: Site, name: str, version: str) -> str:
    """The digest that the site's index has for a version, and its archive, too; empty when that is not so."""
    index = site.visit()
    entries = (yaml.load(index.content, Loader=yaml.CSafeLoader) or {}).get("entries", {}) if index.good else {}
    digest = next((str(one["digest"]) for one in entries.get(name, []) if one["version"] == version), "")
    archive = site.visit(site.url.removesuffix(INDEX) + archive_name(name, version))
    return digest if archive.good and archive.digest == digest else ""
