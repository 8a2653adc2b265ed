"""What Flux said of an object: in an event or in a condition, since it was changed, and of that object alone."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.clusters.objects import KubeObject
from fluxlab.drift.aspects import Voice
from fluxlab.drift.saying import Heard, said_in_conditions, said_in_events
from fluxlab.timeline.entries import Detail, Entry, ObjectRef, Source

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


@pytest.mark.parametrize("kind", ["Namespace", "ClusterRole", "CustomResourceDefinition"])
def test_what_is_in_no_namespace_is_heard_as_flux_writes_it(kind: str) -> None:
    text = f"{kind}/shop configured\n{kind}/shop-2 created"
    assert said_in_events(ObjectRef(kind=kind, name="shop"), [event(text, at=CHANGED)], since=CHANGED) == text
    assert said_in_events(ObjectRef(kind=kind, name="other"), [event(text, at=CHANGED)], since=CHANGED) == ""


def test_of_several_events_the_newest_that_names_the_object_counts() -> None:
    heard = [
        event("ConfigMap/shop/cart created", at=CHANGED - SECOND),
        event("ConfigMap/shop/cart configured", at=CHANGED),
        event("ConfigMap/shop/other configured", at=CHANGED + SECOND),
    ]
    assert said_in_events(CART, heard, since=CHANGED) == "ConfigMap/shop/cart configured"
    assert said_in_events(CART, heard, since=CHANGED + SECOND) == ""


APPS = ObjectRef(kind="Kustomization", namespace="flux-system", name="apps")
CONFIGURED = "ConfigMap/shop/cart configured"


def heard(source: Source, *, after: timedelta = SECOND, cluster: str = "", text: str = CONFIGURED) -> Entry:
    return Entry(time=CHANGED + after, source=source, text=text, cluster=cluster, object=APPS)


def alert(*, after: timedelta = 2 * SECOND, text: str = CONFIGURED) -> Entry:
    return heard(Source.ALERT, after=after, text=text)


HERE, THERE = (heard(Source.EVENT, cluster=cluster, text=f"Progressing: {CONFIGURED}") for cluster in ("here", "there"))
QUIET = heard(Source.EVENT, cluster="there", text="Progressing: something else")
REFUSED = replace(alert(), details={Detail.REFUSED: "no such hook"})
GITHUB = replace(alert(), object=replace(APPS, namespace=""))


@pytest.mark.parametrize(
    ("entries", "voice", "alerted"),
    [
        ([], Voice.SILENT, False),
        ([HERE], Voice.EVENT, False),
        ([HERE, alert()], Voice.EVENT, True),
        ([HERE, GITHUB], Voice.EVENT, True),
        ([HERE, REFUSED], Voice.EVENT, False),
        ([HERE, alert(text="ConfigMap/shop/other configured")], Voice.EVENT, False),
        ([HERE, alert(after=-SECOND)], Voice.EVENT, False),
        ([HERE, alert(after=SECOND / 2)], Voice.EVENT, True),  # the recorder hears of the event a moment later
        ([alert()], Voice.ALERT, True),  # its event was lost
        ([QUIET, alert()], Voice.SILENT, False),  # of which of two clusters nobody knows
        ([THERE, alert()], Voice.SILENT, False),
        ([HERE, THERE, alert()], Voice.EVENT, False),
    ],
)
def test_an_alert_counts_that_is_from_this_cluster_for_sure(
    entries: Sequence[Entry], voice: Voice, *, alerted: bool
) -> None:
    said = Heard(entries).said(CART, APPS, cluster="here", since=CHANGED)
    assert said.voice is voice
    assert bool(said.text) is (voice is not Voice.SILENT)
    assert (said.alerted is not None) is alerted
    assert ("alerted at" in str(said)) is alerted
    if alerted:
        assert said.alerted == next(entry.time for entry in entries if entry.source is Source.ALERT)


def test_of_several_alerts_the_first_tells_when() -> None:
    said = Heard([HERE, alert(after=5 * SECOND), alert()]).said(CART, APPS, cluster="here", since=CHANGED)
    assert said.alerted == CHANGED + 2 * SECOND
