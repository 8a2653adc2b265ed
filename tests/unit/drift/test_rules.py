"""Rules by which git leaves fields to others."""

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.drift.rules import ignoring

CART = KubeObject(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cart", "namespace": "shop", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    }
)


def owner(kind: str, *rules: Json) -> KubeObject:
    spec: Json = {"ignore": rules} if kind == "Kustomization" else {"driftDetection": {"ignore": rules}}
    return KubeObject({"kind": kind, "metadata": {"name": "o", "namespace": "n"}, "spec": spec})


@pytest.mark.parametrize("kind", ["Kustomization", "HelmRelease"])
@pytest.mark.parametrize(
    ("rule", "ignored"),
    [
        ({"paths": ["/spec/replicas"]}, True),
        ({"paths": ["/spec"]}, True),
        ({"paths": [""]}, True),
        ({"paths": ["", "/data"], "target": {"kind": "Job"}}, False),
        ({"paths": ["/spec/rep"]}, False),
        ({"paths": ["/spec/replicas/x"]}, False),
        ({"paths": ["/data", "/spec/replicas"], "target": {"kind": "Deployment"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"kind": "Deploy"}}, False),  # it matches as a whole
        ({"paths": ["/spec/replicas"], "target": {"kind": "Deploy.*", "name": "c.rt", "namespace": "shop"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"group": "apps", "version": "v1"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"group": "batch"}}, False),
        ({"paths": ["/spec/replicas"], "target": {"name": "["}}, False),
        ({"paths": ["/spec/replicas"], "target": {"labelSelector": "a=b"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"labelSelector": "c=d"}}, False),
        ({"paths": ["/spec/replicas"], "target": {"annotationSelector": "c in (d, e)"}}, True),
        ({"paths": ["/spec/replicas"], "target": {"labelSelector": "a=b,"}}, False),
        ({"paths": ["/spec/replicas"], "target": {"kind": "Job", "labelSelector": "a=b"}}, False),
    ],
)
def test_a_rule_covers_what_lies_below_its_paths_in_what_it_targets(kind: str, rule: Json, *, ignored: bool) -> None:
    told = ignoring(owner(kind, rule), CART, "/spec/replicas")
    assert bool(told) is ignored
    covered = ("/spec", "/spec/replicas", "the whole object")
    assert told in {"", *(f"a rule of {kind} n/o has it ignore {what}" for what in covered)}
