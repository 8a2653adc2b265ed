"""The resources of the API that fluxlab reads and writes: their group, version and plural name."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of the API and the path at which it is served."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As manifests write it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, *, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL path of a collection or of one object."""
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{namespace}")
        parts.append(self.plural)
        parts.extend(part for part in (name, subresource) if part)
        return "/".join(parts)


NAMESPACE = Resource(kind="Namespace", plural="namespaces", namespaced=False)
NODE = Resource(kind="Node", plural="nodes", namespaced=False)
POD = Resource(kind="Pod", plural="pods")
SECRET = Resource(kind="Secret", plural="secrets")
CONFIG_MAP = Resource(kind="ConfigMap", plural="configmaps")
SERVICE = Resource(kind="Service", plural="services")
SERVICE_ACCOUNT = Resource(kind="ServiceAccount", plural="serviceaccounts")
EVENT = Resource(kind="Event", plural="events")
DEPLOYMENT = Resource(kind="Deployment", plural="deployments", group="apps")
STATEFUL_SET = Resource(kind="StatefulSet", plural="statefulsets", group="apps")
DAEMON_SET = Resource(kind="DaemonSet", plural="daemonsets", group="apps")
JOB = Resource(kind="Job", plural="jobs", group="batch")

GIT_REPOSITORY = Resource(kind="GitRepository", plural="gitrepositories", group="source.toolkit.fluxcd.io")
OCI_REPOSITORY = Resource(kind="OCIRepository", plural="ocirepositories", group="source.toolkit.fluxcd.io")
BUCKET = Resource(kind="Bucket", plural="buckets", group="source.toolkit.fluxcd.io")
HELM_REPOSITORY = Resource(kind="HelmRepository", plural="helmrepositories", group="source.toolkit.fluxcd.io")
HELM_CHART = Resource(kind="HelmChart", plural="helmcharts", group="source.toolkit.fluxcd.io")
EXTERNAL_ARTIFACT = Resource(kind="ExternalArtifact", plural="externalartifacts", group="source.toolkit.fluxcd.io")
KUSTOMIZATION = Resource(kind="Kustomization", plural="kustomizations", group="kustomize.toolkit.fluxcd.io")
HELM_RELEASE = Resource(kind="HelmRelease", plural="helmreleases", group="helm.toolkit.fluxcd.io", version="v2")
RECEIVER = Resource(kind="Receiver", plural="receivers", group="notification.toolkit.fluxcd.io")
PROVIDER = Resource(kind="Provider", plural="providers", group="notification.toolkit.fluxcd.io", version="v1beta3")
ALERT = Resource(kind="Alert", plural="alerts", group="notification.toolkit.fluxcd.io", version="v1beta3")

SOURCES = (GIT_REPOSITORY, OCI_REPOSITORY, BUCKET, HELM_REPOSITORY, HELM_CHART, EXTERNAL_ARTIFACT)
FLUX_RESOURCES = (*SOURCES, KUSTOMIZATION, HELM_RELEASE, RECEIVER, PROVIDER, ALERT)
WORKLOADS = (DEPLOYMENT, STATEFUL_SET, DAEMON_SET)
_FLUX_GROUPS = ".toolkit.fluxcd.io"
_METRICS_GROUPS = "metrics.k8s.io"
DERIVED = frozenset({"controllerrevisions", "endpoints", "endpointslices", "leases"})
"""Plural names of what controllers derive from other objects, and what changes without anybody having changed it."""
UNRECORDED = frozenset(
    {
        "apiservices",
        "componentstatuses",
        "csinodes",
        "csistoragecapacities",
        "customresourcedefinitions",
        "flowschemas",
        "ipaddresses",
        "podtemplates",
        "prioritylevelconfigurations",
        "replicationcontrollers",
        "runtimeclasses",
        "servicecidrs",
        "volumeattachments",
    }
)
"""Plural names of what says nothing of a lab, or is too large to be read by a person (definitions)."""
UNRECORDED_GROUPS = frozenset({"events.k8s.io", "resource.k8s.io", "storagemigration.k8s.io"})
"""Likewise; Events come once, in their older version."""
HELM_STORAGE = "helm.sh/release.v1"
"""The type of the Secrets in which Helm keeps its releases."""


def is_flux(api_version: str) -> bool:
    """Whether an apiVersion is one of Flux's."""
    return api_version.partition("/")[0].endswith(_FLUX_GROUPS)


def is_derived(resource: Resource) -> bool:
    """Whether nobody makes such objects: controllers derive them, or they are measurements, some of them of pods."""
    return resource.plural in DERIVED or resource.group.endswith(_METRICS_GROUPS)
