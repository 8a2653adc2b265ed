"""How Flux is asked to look at something again."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import KUSTOMIZATION
from fluxlab.faults.base import Ground
from fluxlab.faults.layers.humans.owners import Owner

ASKED_AT = "reconcile.fluxcd.io/requestedAt"


class Flux:
    """A Kustomization, and a controller that heeds a request when it is another one than the last."""

    def __init__(self, **annotations: str) -> None:
        self.annotations = annotations
        self.handled = ""
        self.looks = 0

    def find(self, *_: object, **__: object) -> KubeObject:
        return KubeObject(
            {
                "kind": KUSTOMIZATION.kind,
                "metadata": {"name": "shop", "namespace": "flux-system", "annotations": {**self.annotations}},
                "status": {"lastHandledReconcileAt": self.handled},
            }
        )

    def merge(self, _: object, __: str, patch: Any, **___: object) -> None:
        for key, value in patch["metadata"]["annotations"].items():
            self.annotations.pop(key, None)
            self.annotations |= {key: value} if value is not None else {}
        asked = self.annotations.get(ASKED_AT, "")
        if asked not in {"", self.handled}:
            self.handled, self.looks = asked, self.looks + 1


def ground(flux: Flux) -> Ground:
    unused: Any = None
    cluster = cast("Cluster", SimpleNamespace(api=flux))
    return Ground(cluster=cluster, folder=unused, control=unused, open_repository=lambda: unused, links=False)


OWNER = Owner.at(KUSTOMIZATION.kind, "flux-system", "shop")


def test_flux_looks_each_time_it_is_asked() -> None:
    flux = Flux()
    for times in (1, 2, 3):
        OWNER.reconcile(ground(flux), "human-edit-1")
        assert flux.looks == times
    assert flux.annotations == {}


@pytest.mark.parametrize(
    ("there", "kept"), [("human-edit-1", {}), ("human-edit-1-0a1b", {}), ("2026", {ASKED_AT: "2026"})]
)
def test_nothing_of_a_request_is_left_also_of_one_that_was_cut_off(there: str, kept: dict[str, str]) -> None:
    flux = Flux(**{ASKED_AT: there})
    OWNER.reconcile(ground(flux), "human-edit-1")
    assert flux.annotations == kept
