"""Faults of controllers: what a test sees of the process itself."""

import psutil
from tests.integration.conftest import Observer

from fluxlab.documents import JsonObject
from fluxlab.lab import Lab


def _process(lab: Lab, name: str) -> psutil.Process:
    pids = {part.name.rpartition("/")[2]: part.pid for cluster in lab.status().clusters for part in cluster.components}
    return psutil.Process(pids[name])


def test_a_paused_controller_does_nothing_and_catches_up(shop: Lab, observer: Observer) -> None:
    def applied() -> bool:
        return bool(observer.kubectl("get", "configmap", "paused", "-n", "shop", "-o", "name", "--ignore-not-found"))

    process = _process(shop, "kustomize-controller")
    with shop.fault("controller-pause", target="kustomize-controller", for_=60) as fault:
        assert process.status() == psutil.STATUS_STOPPED
        assert str(process.pid) in fault.proof
        manifest: JsonObject = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "paused", "namespace": "shop"},
        }
        shop.repository.write("clusters/flux-playground/paused.yaml", manifest)
        shop.repository.commit("Add a ConfigMap while nobody applies it")
        shop.never(applied, what="a stopped process applies", for_seconds=2)
    assert process.status() != psutil.STATUS_STOPPED
    shop.wait_until(applied, what="it catches up")
