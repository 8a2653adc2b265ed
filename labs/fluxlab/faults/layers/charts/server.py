"""Faults of chart repositories: they do not answer, answer wrongly, or have lost something."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from fluxlab.faults.base import Ground, Injection, Layer, NoParameters, P, Parameters
from fluxlab.faults.means.hosts import BadCertificate, Hanging, HostFault, Site, Unavailable
from fluxlab.host_rules import Alter, Effect, Pad, Reply, Truncate

from .sites import INDEX, chart_site, first_archive, held, repository, urls_by_host

INDEXES = f"*/{INDEX}"
ARCHIVES = "*.tgz"
MEGABYTE = 1024 * 1024
A_DAY_SECONDS = 24 * 60 * 60


class ChartFault(HostFault[P]):
    """A fault of the host of chart repositories that hold at least one chart."""

    layer = Layer.CHARTS

    def sites(self, ground: Ground) -> Sequence[Site]:
        return [chart_site(ground, urls[0]) for urls in urls_by_host(ground).values()]


class ChartsUnavailable(ChartFault[Any], Unavailable):
    """The repository is there and cannot serve."""

    name = "charts-unavailable"
    summary = "the chart repository answers every request with an error of its own (5xx)"
    expect = (
        "HelmRepository Failed `failed to fetch Helm repository index` at its interval; charts and releases stay "
        "Ready, and upgrades with new values still work"
    )


class ChartsHang(ChartFault[NoParameters], Hanging):
    """The repository accepts, and says nothing."""

    name = "charts-hang"
    summary = "the chart repository accepts connections and never answers"
    expect = "no signal until the HelmRepository's timeout (60 s by default), then Failed; releases stay Ready"


class ChartsWrongCertificate(ChartFault[Any], BadCertificate):
    """The repository cannot prove who it is."""

    name = "charts-wrong-certificate"
    summary = "the chart repository shows a TLS certificate for another name, or of a foreign authority"
    expect = "HelmRepository Failed with an x509 error at its interval; releases stay Ready"


class RateParameters(Parameters):
    """For how long it says so."""

    retry_after_seconds: int = Field(60, ge=1, le=3600, description="what Retry-After says")


class ChartsRateLimited(ChartFault[RateParameters]):
    """The repository has been asked too often."""

    name = "charts-rate-limited"
    summary = "the chart repository answers every request with 429 Too Many Requests and Retry-After"
    expect = "HelmRepository Failed with `429 Too Many Requests` at its interval; Retry-After is not heeded"
    parameters = RateParameters

    def effects(self, ground: Ground, injection: Injection[RateParameters]) -> Mapping[str, Effect]:
        del ground
        after = {"Retry-After": str(injection.parameters.retry_after_seconds)}
        return {"*": Reply(status=HTTPStatus.TOO_MANY_REQUESTS, text="Too Many Requests", headers=after)}

    def seen(self, site: Site, parameters: RateParameters) -> str:
        found = site.visit()
        after = found.headers.get("retry-after")
        limited = found.status == HTTPStatus.TOO_MANY_REQUESTS and after == str(parameters.retry_after_seconds)
        return f"{found.url} answers with 429, Retry-After {after}" if limited else ""


class ChartsUnauthorized(ChartFault[NoParameters]):
    """The repository wants to know who asks."""

    name = "charts-unauthorized"
    summary = "the chart repository wants credentials, which nobody has (401)"
    expect = "HelmRepository Failed with `401 Unauthorized` at its interval; releases stay Ready"
    effect = Reply(
        status=HTTPStatus.UNAUTHORIZED,
        text="authentication required",
        headers={"WWW-Authenticate": 'Basic realm="charts"'},
    )

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        found = site.visit()
        return f"{found.url} answers with 401" if found.status == HTTPStatus.UNAUTHORIZED else ""


class TruncatedParameters(Parameters):
    """How much is left."""

    keep_percent: int = Field(50, ge=0, le=99, description="how much of each index and archive is left")


class ChartsTruncated(ChartFault[TruncatedParameters]):
    """What the repository sends has no end."""

    name = "charts-truncated"
    summary = "indexes and archives of the chart repository are cut short, as from a broken cache"
    expect = (
        "HelmRepository Failed when the rest of the index is no YAML; else it stays Ready, and charts are missing "
        "(InvalidChartReference); releases stay as they are"
    )
    parameters = TruncatedParameters

    def effects(self, ground: Ground, injection: Injection[TruncatedParameters]) -> Mapping[str, Effect]:
        del ground
        short = Truncate(keep_percent=injection.parameters.keep_percent)
        return {INDEXES: short, ARCHIVES: short}

    def seen(self, site: Site, parameters: TruncatedParameters) -> str:
        del parameters
        index, (url, digest) = site.visit(), first_archive(site)
        whole = len(held(site).index().content)
        archive = site.visit(url)
        short = index.good and index.size < whole and archive.good and archive.digest != digest
        return f"{index.url} ends after {index.size} of {whole} bytes" if short else ""


class ChartsAltered(ChartFault[NoParameters]):
    """What the repository sends is not what was published."""

    name = "charts-altered"
    summary = "one bit of every archive of the chart repository is another one, so that its digest does not fit"
    expect = (
        "no signal of its own: Flux does not compare digests, so a version that it fetches meanwhile is used as it "
        "came if it can be unpacked at all, and is kept after healing; what is there already stays"
    )
    effect, paths = Alter(), ARCHIVES

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        url, digest = first_archive(site)
        archive = site.visit(url)
        other = archive.good and archive.digest != digest
        return f"{url} has digest {archive.digest[:12]}, the index says {digest[:12]}" if other else ""


class ChartsStaleIndex(ChartFault[NoParameters]):
    """The repository does not know what was published since."""

    name = "charts-stale-index"
    summary = "the index of the chart repository comes from a cache: what is published from now on is not in it"
    expect = "no signal: new versions are not found, a release that wants one by name fails with InvalidChartReference"

    def effects(self, ground: Ground, injection: Injection[NoParameters]) -> Mapping[str, Effect]:
        return {
            f"{urlsplit(url).path}/{INDEX}": Reply(
                status=200,
                text=repository(ground.folder, url).index().content.decode(),
                headers={"Age": str(A_DAY_SECONDS), "X-Cache": "HIT"},
                content_type="application/yaml",
            )
            for url in urls_by_host(ground)[injection.target]
        }

    def seen(self, site: Site, parameters: NoParameters) -> str:
        del parameters
        found = site.visit()
        age = found.headers.get("age")
        return f"{found.url} comes from a cache and is {age} s old" if found.good and age else ""


class HugeParameters(Parameters):
    """How large."""

    index_megabytes: int = Field(60, ge=1, le=500, description="what the index is padded to")


class ChartsHugeIndex(ChartFault[HugeParameters]):
    """The repository's index has grown beyond what anybody wants to read."""

    name = "charts-huge-index"
    summary = "the index of the chart repository is padded to many megabytes"
    expect = "above 50 MB HelmRepository Failed, the index exceeds the maximum size"
    parameters = HugeParameters

    def effects(self, ground: Ground, injection: Injection[HugeParameters]) -> Mapping[str, Effect]:
        del ground
        return {INDEXES: Pad(megabytes=injection.parameters.index_megabytes)}

    def seen(self, site: Site, parameters: HugeParameters) -> str:
        found = site.visit()
        huge = found.good and found.size >= parameters.index_megabytes * MEGABYTE
        return f"{found.url} has {found.size} bytes" if huge else ""
