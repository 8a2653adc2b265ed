"""Rules by which git leaves fields to others."""

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.rules import ignoring

CART = KubeObject({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "cart", "namespace": "shop"}})


def owner(kind: str, *rules: Json) -> KubeObject:
    spec: Json = {"ignore": rules} if kind == "Kustomization" else {"driftDetection": {"ignore": rules}}
    return KubeObject({"kind": kind, "metadata": {"name": "o", "namespace": "n"}, "spec": spec})


@pytest.mark.parametrize("kind", ["Kustomization", "HelmRelease"])
@pytest.mark.parametrize(
    ("rule", "ignored"),
    [
        ({"paths": ["/spec/replicas"]}, True),
        ({"paths": ["/spec"]}, True),
        ({"paths": ["/spec/rep"]}, False),
        ({"paths": ["/spec/replicas/x"]}, False),
        ({"paths": ["/data", "/spec/replicas"], "target": {"kind": "Deployment"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"kind": "Deploy"}}, False),  # it matches as a whole
        ({"paths": ["/spec/replicas"], "target": {"kind": "Deploy.*", "name": "c.rt", "namespace": "shop"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"group": "apps", "version": "v1"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"group": "batch"}}, False),
        ({"paths": ["/spec/replicas"], "target": {"name": "["}}, False),
        ({"paths": ["/spec/replicas"], "target": {"labelSelector": "a=b"}}, None),
        ({"paths": ["/spec/replicas"], "target": {"kind": "Job", "labelSelector": "a=b"}}, False),
    ],
)
def test_a_rule_covers_what_lies_below_its_paths_in_what_it_targets(
    kind: str, rule: Json, *, ignored: bool | None
) -> None:
    verdict, why = ignoring(owner(kind, rule), CART, "/spec/replicas")
    assert verdict is ignored
    assert bool(why) is (ignored is not False)


def test_a_rule_that_is_known_to_match_wins_over_one_that_may() -> None:
    may: Json = {"paths": ["/spec"], "target": {"annotationSelector": "a"}}
    does: Json = {"paths": ["/spec/replicas"]}
    assert ignoring(owner("Kustomization", may, does), CART, "/spec/replicas")[0] is True
