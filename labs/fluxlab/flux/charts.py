"""Where a HelmRelease has its chart from, and whether it runs what is there."""

from collections.abc import Iterable, Mapping, Sequence

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import EXTERNAL_ARTIFACT, HELM_CHART, OCI_REPOSITORY

from .pending import Pending, waiting

Reference = tuple[str, str, str]
"""Kind, namespace and name."""
_CHART_SOURCES = (HELM_CHART, OCI_REPOSITORY, EXTERNAL_ARTIFACT)


def chart_reference(release: KubeObject) -> Reference:
    """What a release has its chart from: what its spec names, else the HelmChart that its controller made."""
    if follows_a_chart(release):
        named = dig(release.raw, "spec", "chartRef")
        return text_at(named, "kind"), text_at(named, "namespace") or release.namespace, text_at(named, "name")
    namespace, _, name = text_at(release.raw, "status", "helmChart").partition("/")
    return HELM_CHART.kind, namespace, name


def follows_a_chart(release: KubeObject) -> bool:
    """Whether its chart is an object of its own, which changes without a word of the release."""
    return dig(release.raw, "spec", "chartRef") is not None


def charts_of(releases: Iterable[KubeObject], *, api: KubeApi) -> Mapping[Reference, KubeObject]:
    """What there is of the kinds that releases have their charts from."""
    kinds = {kind for kind, _, _ in map(chart_reference, releases)}
    resources = [resource for resource in _CHART_SOURCES if resource.kind in kinds]
    return {
        (resource.kind, found.namespace, found.name): found for resource in resources for found in api.list(resource)
    }


def chart_not_in_use(release: KubeObject, chart: KubeObject) -> Pending | None:
    """Of an artifact that has a digest the release notes the digest, with or without the tag; else the version."""
    there = text_at(chart.raw, "status", "artifact", "revision")
    field = "lastAttemptedRevisionDigest" if ":" in there else "lastAttemptedRevision"
    attempted = text_at(release.raw, "status", field)
    if attempted.rpartition("@")[2] == there.rpartition("@")[2]:
        return None
    return waiting(release, f"has chart {short_revision(attempted)}, {chart} is at {short_revision(there)}")


def asked_for(release: KubeObject, chart: KubeObject | None) -> KubeObject | None:
    """What a release has its chart from: `chart`, which it names, or the HelmChart that its controller would make."""
    if follows_a_chart(release):
        return chart
    template = dig(release.raw, "spec", "chart", "spec")
    return KubeObject({"kind": HELM_CHART.kind, "metadata": {"namespace": release.namespace}, "spec": template})


def packaged_from(chart: KubeObject) -> Sequence[str]:
    """The paths of a HelmChart in its GitRepository: of the chart, and of files with values."""
    values = (one for one in items_at(chart.raw, "spec", "valuesFiles") if isinstance(one, str))
    return [text_at(chart.raw, "spec", "chart"), *values]


def wanted_chart(chart: KubeObject) -> str:
    """Which chart it looks for, and where: the controller's own message does not say."""
    spec = chart.raw["spec"]
    if chart.kind != HELM_CHART.kind:
        return text_at(spec, "url") or chart.kind
    source = f"{text_at(spec, 'sourceRef', 'kind')} {text_at(spec, 'sourceRef', 'name')}"
    return f"{text_at(spec, 'chart')} {text_at(spec, 'version') or '*'} from {source}"


def short_revision(revision: str) -> str:
    """A revision with the beginning of its digest, as people write it."""
    head, separator, sha = revision.rpartition(":")
    return f"{head}{separator}{sha[:10]}" if separator else revision
