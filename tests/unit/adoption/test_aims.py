"""What holds is what was wanted, and nothing else changes."""

import pytest

from fluxlab.adoption.aims import Aim, Built, Owner, not_held
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json
from fluxlab.timeline.entries import ObjectRef

CART, OTHER = (ObjectRef(kind="ConfigMap", namespace="shop", name=name) for name in ("cart", "other"))
APPS, MORE = (
    Owner(cluster="staging", object=ObjectRef(kind="Kustomization", namespace="flux-system", name=name))
    for name in ("apps", "more")
)


def config_map(name: str, **data: Json) -> KubeObject:
    metadata: Json = {"name": name, "namespace": "shop"}
    return KubeObject({"kind": "ConfigMap", "metadata": metadata, "data": data})


def built(cart: KubeObject | None = None, other: KubeObject | None = None) -> Built:
    return {ref: found for ref, found in ((CART, cart), (OTHER, other)) if found}


RED, BLUE = config_map("cart", colour="red", size="1"), config_map("cart", colour="blue", size="1")
TO_BLUE = Aim(owner=APPS, subject=CART, fields={".data.colour": "blue"})
GONE = Aim(owner=APPS, subject=CART)
THERE = Aim(owner=APPS, subject=CART, manifest=config_map("cart", colour="blue"))


@pytest.mark.parametrize(
    ("aim", "before", "after"),
    [
        (TO_BLUE, built(RED), built(BLUE)),
        (
            Aim(owner=APPS, subject=CART, fields={".data.size": None}),
            built(RED),
            built(config_map("cart", colour="red")),
        ),
        (
            Aim(owner=APPS, subject=CART, fields={".data.a.b": "c"}),
            built(RED),
            built(config_map("cart", colour="red", size="1", a={"b": "c"})),
        ),
        (GONE, built(RED), built()),
        (THERE, built(), built(BLUE)),
    ],
)
def test_an_aim_that_is_reached_holds(aim: Aim, before: Built, after: Built) -> None:
    assert list(not_held([aim], {APPS: before}, {APPS: after})) == []
    assert aim.missed(before)


@pytest.mark.parametrize(
    ("aim", "after", "why"),
    [
        (TO_BLUE, built(RED), "something else at .data.colour"),
        (TO_BLUE, built(), "does not build it"),
        (TO_BLUE, built(config_map("cart", colour="blue", size="2")), "another ConfigMap shop/cart, too"),
        (TO_BLUE, built(BLUE, config_map("other")), "another ConfigMap shop/other, too"),
        (GONE, built(RED), "all the same"),
        (THERE, built(RED), "as it is there"),
    ],
)
def test_what_is_missed_or_changes_beside_it_does_not_hold(aim: Aim, after: Built, why: str) -> None:
    assert any(why in told for told in not_held([aim], {APPS: built(RED)}, {APPS: after}))


def test_what_another_owner_would_build_otherwise_does_not_hold() -> None:
    before, after = {APPS: built(RED), MORE: built(RED)}, {APPS: built(BLUE), MORE: built(BLUE)}
    [why] = not_held([TO_BLUE], before, after)
    assert why == "Kustomization flux-system/more of staging would build another ConfigMap shop/cart, too"
    both = [TO_BLUE, Aim(owner=MORE, subject=CART, fields=TO_BLUE.fields)]
    assert list(not_held(both, before, after)) == []
