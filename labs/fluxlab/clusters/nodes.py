"""The simulated nodes of a local cluster: objects that KWOK keeps Ready."""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from fluxlab.documents import JsonObject
from fluxlab.toolchain import Platform

from .api import ApiError, KubeApi
from .resources import NODE


def create_nodes(api: KubeApi, cluster: str, *, count: int, kubelet_port: int) -> None:
    """Create the nodes, or tell those of a resumed cluster where their kubelet now is. Raises ApiError."""
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda number: _create(api, f"{cluster}-node-{number}", kubelet_port), range(count)):
            pass


def _create(api: KubeApi, name: str, kubelet_port: int) -> None:
    try:
        api.create(NODE, _manifest(name))
    except ApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        status: JsonObject = {"daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}}}
        api.merge(NODE, name, {"status": status}, subresource="status")


def _manifest(name: str) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "fluxlab.dev/simulated": "kwok"},
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": Platform.native().architecture,
                "type": "kwok",
            },
        },
    }
