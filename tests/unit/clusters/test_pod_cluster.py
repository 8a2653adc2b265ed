"""A controller in a pod is started anew by deleting the pod: it may have gone already, but may not be kept."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.pod_cluster import PodCluster
from fluxlab.clusters.resources import Resource
from fluxlab.clusters.root import Root


class Pods:
    """The pods of one Deployment: each that is asked to go is answered with a status, and replaced all the same."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._number = 1

    def list(self, resource: Resource, *, namespace: str, query: Mapping[str, str]) -> Sequence[KubeObject]:
        assert (resource.kind, namespace, query) == ("Pod", "flux-system", {"labelSelector": "app=source-controller"})
        ready: Any = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [KubeObject({"kind": "Pod", "metadata": {"name": f"pod-{self._number}"}, "status": ready})]

    def delete(self, resource: Resource, name: str, *, namespace: str) -> None:
        self._number += 1
        raise ApiError(f"DELETE {resource.kind} {namespace}/{name}", status=self._status, message="no")


class MainThread:
    """Has nothing else to do."""

    def call(self, act: Callable[[], object]) -> object:
        return act()

    def meanwhile(self) -> None:
        pass


class Cluster(PodCluster):
    def __init__(self, folder: Path, pods: Pods) -> None:
        unused: Any = None
        super().__init__("real", folder=folder, toolchain=unused, gateway_port=0, main_thread=MainThread())
        self._api = cast("KubeApi", pods)
        self._root = Root(footing=Footing.KIND, simulated=False)


def test_a_pod_that_has_gone_meanwhile_was_what_was_wanted(tmp_path: Path) -> None:
    Cluster(tmp_path, Pods(404)).restart("source-controller")


def test_a_pod_that_may_not_be_deleted_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="DELETE Pod flux-system/pod-1"):
        Cluster(tmp_path, Pods(403)).restart("source-controller")
