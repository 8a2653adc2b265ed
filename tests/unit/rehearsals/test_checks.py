"""What is asked of a lab is answered as it is now: nothing stale holds, and nothing that is not there."""

from types import SimpleNamespace
from typing import cast

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import JsonObject
from fluxlab.lab import Lab
from fluxlab.rehearsals.checks import Answer, ask
from fluxlab.rehearsals.signals import ConditionSpec
from fluxlab.rehearsals.spec import Check, FieldSpec


def asked(check: Check, found: JsonObject) -> Answer:
    """Of a lab in which everything is this object."""
    cluster = SimpleNamespace(get=lambda *_: KubeObject(found))
    return ask(check, cast("Lab", SimpleNamespace(cluster=cluster)))


@pytest.mark.parametrize(
    ("of_condition", "of_status", "holds"), [(2, 0, True), (1, 0, False), (0, 1, False), (0, 2, True), (0, 0, True)]
)
def test_a_condition_of_an_older_generation_does_not_hold(of_condition: int, of_status: int, holds: bool) -> None:
    condition: JsonObject = {"type": "Ready", "status": "True", "reason": "Done", "observedGeneration": of_condition}
    found: JsonObject = {
        "kind": "Kustomization",
        "metadata": {"namespace": "flux-system", "name": "shop", "generation": 2},
        "status": {"conditions": [condition], "observedGeneration": of_status},
    }
    answer = asked(Check(condition=ConditionSpec(kind="Kustomization", place="flux-system/shop")), found)
    assert answer.holds is holds
    assert ("of an older generation" in answer.words) == (not holds)


@pytest.mark.parametrize(
    ("path", "equals", "holds"),
    [
        ("spec.replicas", "3", True),
        ("spec.suspend", "true", True),
        ("spec.suspend", "True", False),
        ("spec.ports", "[80, 443]", True),
        ("spec.labels", '{"app": "cart"}', True),
        ("spec.name", "cart", True),
        ("spec.name", '"cart"', False),
        ("spec.paused", "None", False),
        ("spec.paused", "null", False),
        ("spec.name.first", "None", False),
    ],
)
def test_a_field_is_compared_as_json_unless_it_is_a_text_and_has_to_be_there(
    path: str, equals: str, holds: bool
) -> None:
    spec: JsonObject = {"replicas": 3, "suspend": True, "ports": [80, 443], "labels": {"app": "cart"}, "name": "cart"}
    check = Check(field=FieldSpec(kind="Deployment", place="shop/cart", path=path, equals=equals))
    assert asked(check, {"kind": "Deployment", "spec": spec}).holds is holds
