"""What is read of a cluster is what somebody could have made."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, EVENT, NAMESPACE, POD, Resource
from fluxlab.drift.live import read

LEASE = Resource(kind="Lease", plural="leases", group="coordination.k8s.io")
USED = Resource(kind="PodMetrics", plural="pods", group="metrics.k8s.io", version="v1beta1")
CUSTOM, EXTERNAL = (
    Resource(kind=f"{kind}ValueList", plural="requests", group=f"{group}.metrics.k8s.io", version="v1beta1")
    for kind, group in (("MetricValue", "custom"), ("ExternalMetric", "external"))
)


class Api:
    """An API server that has nothing, and knows what it was asked for."""

    def __init__(self) -> None:
        self.asked: set[Resource] = set()

    def list(self, resource: Resource) -> Sequence[KubeObject]:
        self.asked.add(resource)
        return []


def test_what_is_derived_or_measured_is_not_read_and_so_is_no_orphan() -> None:
    api = Api()
    resources = (CONFIG_MAP, POD, NAMESPACE, EVENT, LEASE, USED, CUSTOM, EXTERNAL)
    served = {(one.api_version, one.kind): one for one in resources}
    with ThreadPoolExecutor(1) as threads:
        read(cast("KubeApi", api), served, [], threads)
    assert api.asked == {CONFIG_MAP, POD}
