"""What was dropped, as the controllers' logs have it: about which object, and without the address of a webhook."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.secret_keeper import SecretKeeper

from fluxlab.alerts import Alerts, Duplicates, Wanted
from fluxlab.errors import UsageError
from fluxlab.logs import bound_logs
from fluxlab.moments import Moment
from fluxlab.redaction import MASK
from fluxlab.spec import SinkSpec
from fluxlab.state import LabFolder
from fluxlab.status import ClusterState, ComponentState
from fluxlab.timeline import loglines
from fluxlab.timeline.entries import Entry, ObjectRef, Source
from fluxlab.timeline.folder import TimelineFolder

ABOUT = {"kind": "Kustomization", "namespace": "flux-system", "name": "shop.v1.2"}
SHOP = "Kustomization flux-system/shop.v1.2"
FAILED = 'failed to execute request: Post "https://hooks.slack.com/services/canary?canary": refused'


def alerts(root: Path, component: str, line: Mapping[str, object]) -> Alerts:
    folder = LabFolder(root)
    folder.sinks.mkdir()
    (folder.sinks / "hooks.slack.com").write_text(SinkSpec(kind="slack", host="hooks.slack.com").model_dump_json())
    (folder.sinks / ".ghe.example.org.17.18").touch()  # what a killed supervisor has left
    logs = folder.cluster("c") / "logs"
    logs.mkdir(parents=True)
    told = {"level": "error", "ts": "2026-11-01T12:00:00.000Z", **line}
    (logs / f"{component}.log").write_text(f"{json.dumps(told)}\n")
    part = ComponentState(name="c/notification-controller", state="dead", detail="killed")
    cluster = ClusterState(
        name="c", backend="local", nodes=1, path="clusters/c", kubeconfig="", components=(part,), footing="local"
    )
    return Alerts(TimelineFolder(folder), clusters=lambda: [cluster])


@pytest.mark.parametrize(
    ("component", "line"),
    [
        # As notification-controller 1.9.2 and kustomize-controller 1.9.3 write them.
        (
            "notification-controller",
            {"msg": "failed to send notification", "eventInvolvedObject": ABOUT, "error": FAILED},
        ),
        (
            "kustomize-controller",
            {
                "msg": "unable to record event",
                "name": ABOUT["name"],
                "namespace": ABOUT["namespace"],
                "reconciler kind": ABOUT["kind"],
                "error": FAILED,
            },
        ),
    ],
)
def test_what_was_dropped_names_its_object_and_no_address(
    tmp_path: Path, component: str, line: Mapping[str, object]
) -> None:
    (dropped,) = alerts(tmp_path, component, line).dropped()
    assert dropped.object == SHOP
    assert dropped.is_about("kustomization/flux-system/shop.v1.2")
    assert not dropped.is_about("flux-system/shop")
    assert "https://hooks.slack.com/[redacted]" in dropped.message
    assert "canary" not in dropped.message


def test_what_was_dropped_is_told_without_the_secrets_that_its_line_quotes(tmp_path: Path) -> None:
    line = {"msg": "failed to send notification", "error": "no: canary-in-a-secret", "eventInvolvedObject": ABOUT}
    found = alerts(tmp_path, "notification-controller", line)
    with SecretKeeper.of(LabFolder(tmp_path)) as keeper:
        keeper.values = ["canary-in-a-secret"]
        [dropped] = found.dropped()
    assert dropped.message == f"failed to send notification: no: {MASK}"


def test_what_was_dropped_is_found_by_its_object_also_when_a_secret_holds_the_name_of_it(tmp_path: Path) -> None:
    line = {"msg": "failed to send notification", "error": f"no: {ABOUT['name']}", "eventInvolvedObject": ABOUT}
    found = alerts(tmp_path, "notification-controller", line)
    with SecretKeeper.of(LabFolder(tmp_path)) as keeper:
        keeper.values = [ABOUT["name"]]
        [dropped] = found.dropped()
    assert dropped.is_about(SHOP)
    assert dropped.message == f"failed to send notification: no: {MASK}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        # As notification-controller 1.9.2 writes them (internal/server/event_handlers.go).
        ("discarding event, no alerts found for the involved object", "no Alert wants this event"),
        ("event dropped for commit status providers due to missing commit metadata key", "this event names none"),
        ("event dropped for change request providers due to missing change request metadata key", "names none"),
    ],
)
def test_why_an_event_became_no_alert_is_told_as_far_as_its_line_says(tmp_path: Path, line: str, why: str) -> None:
    told = {"level": "info", "msg": line, "eventInvolvedObject": ABOUT, "alerts": ["flux-system/shop"]}
    (dropped,) = alerts(tmp_path, "notification-controller", told).dropped()
    assert (dropped.object, why in dropped.why) == (SHOP, True)


def test_what_was_dropped_is_told_also_when_the_log_would_move_aside_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = alerts(
        tmp_path, "notification-controller", {"msg": "failed to send notification", "eventInvolvedObject": ABOUT}
    )
    log = LabFolder(tmp_path).cluster("c") / "logs" / "notification-controller.log"
    log.with_name(f"{log.name}.1").write_text(log.read_text())
    plain = loglines._entry

    def seen(*line: object, **of: object) -> object:
        bound_logs(LabFolder(tmp_path), maximum_bytes=log.stat().st_size - 1)
        return plain(*line, **of)  # type: ignore[arg-type]

    monkeypatch.setattr(loglines, "_entry", seen)
    assert [dropped.object for dropped in found.dropped()] == [SHOP, SHOP]


ABOUT_SHOP = (
    "shop",
    "flux-system/shop",
    "kustomization/shop",
    "kustomizations/flux-system/shop",
    "Kustomization flux-system/shop",
)


@pytest.mark.parametrize("namespace", ["flux-system", ""])  # GitHub is told of an object without its namespace
def test_an_alert_is_found_by_any_name_of_its_object(namespace: str) -> None:
    shop = ObjectRef(kind="Kustomization", namespace=namespace, name="shop")
    alert = Entry(time=datetime(2026, 11, 1, tzinfo=UTC), source=Source.ALERT, text="Applied", object=shop)
    assert [name for name in ABOUT_SHOP if not Wanted(object=name).fits(alert)] == []
    others = ("cart", "HelmRelease flux-system/shop", "a/b/c/shop", "flux-system/")
    assert [name for name in others if Wanted(object=name).fits(alert)] == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(severity="warning"), "no alert has severity 'warning'"),
        (Wanted(provider="slak"), "no alert of this lab ends at 'slak'"),
        (Wanted(provider="github"), "no alert of this lab ends at 'github'"),
    ],
)
def test_what_no_alert_of_this_lab_can_be_is_refused(tmp_path: Path, wanted: Wanted, told: str) -> None:
    found = alerts(tmp_path, "notification-controller", {})
    with pytest.raises(UsageError, match=told) as caught:
        found.all(wanted)
    assert caught.value.facts in {("there are: info, error",), ("there are: hooks.slack.com, slack",)}
    assert found.all(Wanted(provider="slack")) == found.all(Wanted(provider="hooks.slack.com")) == []


CART = ("HelmRelease flux-system/cart", "helmrelease/cart", "helmreleases/flux-system/cart", "HelmChart a/b")
"""Flux tells of them the version of a chart."""


@pytest.mark.parametrize("name", CART)
@pytest.mark.parametrize("provider", ["", "slack", "hooks.slack.com"])
def test_an_alert_that_names_no_commit_is_not_waited_for_by_its_commit(
    tmp_path: Path, name: str, provider: str
) -> None:
    found = alerts(tmp_path, "notification-controller", {})
    wanted = Wanted(object=name, commit="4b9b8d", provider=provider)
    with pytest.raises(UsageError, match="name no commit") as caught:
        found.expect(wanted, after=Moment(), within_seconds=60)
    assert "the version of a chart" in str(caught.value)
    assert "leave the commit out" in str(caught.value)
    with pytest.raises(UsageError, match="name no commit"):
        found.forbid(wanted, after=Moment(), for_seconds=60)


def test_what_may_name_a_commit_is_asked_for_by_it(tmp_path: Path) -> None:
    found = alerts(tmp_path, "notification-controller", {})
    (LabFolder(tmp_path).sinks / "api.github.com").write_text(
        SinkSpec(kind="github", host="api.github.com", secret="a/b").model_dump_json()
    )
    for wanted in (
        Wanted(object=CART[0]),
        Wanted(object=CART[0], commit="4b9b8d"),  # a status may come
        Wanted(object="helmrelease", commit="4b9b8d"),  # as some object may be called
        Wanted(object="Kustomization flux-system/shop", commit="4b9b8d"),
        # A status is of a commit, whatever object it is about (event.toolkit.fluxcd.io/commit).
        Wanted(object=CART[0], commit="4b9b8d", provider="github"),
        Wanted(object=CART[0], commit="4b9b8d", provider="api.github.com"),
    ):
        assert found.all(wanted) == []


def test_who_asks_another_sink_for_a_commit_is_told_of_that_for_statuses(tmp_path: Path) -> None:
    found = alerts(tmp_path, "notification-controller", {})
    wanted = Wanted(object=CART[0], commit="4b9b8d", provider="slack")
    with pytest.raises(UsageError, match="name no commit") as caught:
        found.all(wanted)
    assert "github" not in str(caught.value), "this lab has no such sink"
    (LabFolder(tmp_path).sinks / "api.github.com").write_text(
        SinkSpec(kind="github", host="api.github.com", secret="a/b").model_dump_json()
    )
    with pytest.raises(UsageError, match="name no commit") as caught:
        found.all(wanted)
    assert 'provider="github"' in caught.value.hint


def test_duplicates_that_nobody_counts_are_not_none(tmp_path: Path) -> None:
    (found,) = alerts(tmp_path, "notification-controller", {}).duplicates()
    assert found.count is None
    assert "is not known: notification-controller serves no metrics, or does not run" in str(found)


def test_a_count_of_duplicates_says_from_when_on() -> None:
    since = datetime(2026, 11, 1, 12, tzinfo=UTC)
    told = str(Duplicates(cluster="c", count=3, since=since))
    assert told.startswith("c: 3 events were dropped")
    assert f"was started at {since.astimezone():%H:%M:%S}; what it counted before is not known" in told
