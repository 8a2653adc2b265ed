"""Paths of the API, as the Kubernetes documentation writes them."""

import pytest

from fluxlab.clusters import resources
from fluxlab.clusters.flux_components import _path
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT, HELM_RELEASE, NODE, PROVIDER, SECRET, Resource


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SECRET.path(), "/api/v1/secrets"),
        (SECRET.path(namespace="demo"), "/api/v1/namespaces/demo/secrets"),
        (SECRET.path(namespace="demo", name="s"), "/api/v1/namespaces/demo/secrets/s"),
        (NODE.path(name="n"), "/api/v1/nodes/n"),
        (NODE.path(namespace="demo", name="n", subresource="status"), "/api/v1/nodes/n/status"),
        (
            DEPLOYMENT.path(namespace="demo", name="d", subresource="scale"),
            "/apis/apps/v1/namespaces/demo/deployments/d/scale",
        ),
        (HELM_RELEASE.path(), "/apis/helm.toolkit.fluxcd.io/v2/helmreleases"),
        (PROVIDER.path(), "/apis/notification.toolkit.fluxcd.io/v1beta3/providers"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


def test_the_version_as_manifests_write_it() -> None:
    assert (SECRET.api_version, DEPLOYMENT.api_version) == ("v1", "apps/v1")
    assert HELM_RELEASE.api_version == "helm.toolkit.fluxcd.io/v2"


def test_each_resource_is_there_once() -> None:
    known = [value for value in vars(resources).values() if isinstance(value, Resource)]
    assert len({resource.path() for resource in known}) == len(known) >= 21
    assert all(resource.plural == resource.plural.lower() for resource in known)
    assert set(resources.FLUX_RESOURCES) <= set(known)


@pytest.mark.parametrize(
    ("api_version", "kind", "namespace", "expected"),
    [
        ("v1", "Namespace", None, "/api/v1/namespaces/x"),
        ("v1", "Service", "flux-system", "/api/v1/namespaces/flux-system/services/x"),
        ("apps/v1", "Deployment", "flux-system", "/apis/apps/v1/namespaces/flux-system/deployments/x"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", None, "/apis/rbac.authorization.k8s.io/v1/clusterroles/x"),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "flux-system",
            "/apis/networking.k8s.io/v1/namespaces/flux-system/networkpolicies/x",
        ),
    ],
)
def test_the_place_of_a_manifest_of_flux(api_version: str, kind: str, namespace: str | None, expected: str) -> None:
    metadata = {"name": "x", **({"namespace": namespace} if namespace else {})}
    assert _path(KubeObject({"apiVersion": api_version, "kind": kind, "metadata": metadata})) == expected
