"""What Flux said of an object: in an event or in a condition, since it was changed, and of that object alone."""

from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.drift.saying import said_in_conditions, said_in_events
from fluxlab.timeline.entries import Entry, ObjectRef, Source

CHANGED = datetime(2026, 11, 22, 14, 0, 0, 500_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CART = ObjectRef(kind="ConfigMap", namespace="shop", name="cart")
DRIFTED = "Cluster state of release shop/cart.v1 has drifted from the desired state:\nConfigMap/shop/cart changed (1)"


def release(message: str, *, at: datetime) -> KubeObject:
    drifted = {
        "type": "Drifted",
        "status": "True",
        "reason": "DriftDetected",
        "message": message,
        "lastTransitionTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
    }
    ready = {"type": "Ready", "status": "True", "reason": "InstallSucceeded", "message": "Helm install succeeded"}
    return KubeObject({"kind": "HelmRelease", "status": {"conditions": [ready, drifted]}})


def event(text: str, *, at: datetime) -> Entry:
    return Entry(time=at, source=Source.EVENT, text=text)


@pytest.mark.parametrize(
    ("message", "at", "said"),
    [
        (DRIFTED, CHANGED + SECOND, True),
        (DRIFTED, CHANGED, True),  # conditions have whole seconds
        (DRIFTED, CHANGED - SECOND, False),
        (DRIFTED.replace("ConfigMap/shop/cart", "ConfigMap/shop/cart-2"), CHANGED + SECOND, False),
        ("timeout waiting for: [ConfigMap/shop/cart status: 'InProgress']", CHANGED + SECOND, True),
    ],
)
def test_a_condition_speaks_of_the_objects_that_it_names_since_it_does(
    message: str, at: datetime, *, said: bool
) -> None:
    told = said_in_conditions(CART, release(message, at=at), since=CHANGED)
    assert told == (f"Drifted=True DriftDetected: {message}" if said else "")


def test_of_several_events_the_newest_that_names_the_object_counts() -> None:
    heard = [
        event("ConfigMap/shop/cart created", at=CHANGED - SECOND),
        event("ConfigMap/shop/cart configured", at=CHANGED),
        event("ConfigMap/shop/other configured", at=CHANGED + SECOND),
    ]
    assert said_in_events(CART, heard, since=CHANGED) == "ConfigMap/shop/cart configured"
    assert said_in_events(CART, heard, since=CHANGED + SECOND) == ""
