"""Signals are bound to the object and to what came after: nothing stale and nothing of a namesake is one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import EVENT, KUSTOMIZATION, POD
from fluxlab.drift.aspects import DriftClass
from fluxlab.drift.records import Unknown
from fluxlab.errors import UnknownError
from fluxlab.lab import Lab
from fluxlab.metrics import Sample
from fluxlab.moments import Moment
from fluxlab.recorder.watching import Listed, WatchEvent
from fluxlab.redaction import MASK
from fluxlab.rehearsals import sensing
from fluxlab.rehearsals.history import History
from fluxlab.rehearsals.outset import Outset
from fluxlab.rehearsals.sensing import Senses
from fluxlab.rehearsals.signals import (
    AlertSpec,
    ConditionSpec,
    DriftSpec,
    EventSpec,
    ForbiddenSignal,
    MetricSpec,
    PendingSpec,
    PodsSpec,
    SignalSpec,
)
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Entry, ObjectRef, Source
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.timeline.learned import Learned

BEGAN = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
AFTER = Outset(Moment(time=BEGAN, versions={"one": 100}))


class Cluster1:
    """A cluster that is heard, not asked."""

    def __init__(self, root: Path) -> None:
        cluster = cast("Cluster", SimpleNamespace(name="one"))
        self.history = History(cluster)
        self.drifts: list[Any] = []
        self.untold: list[Unknown] = []
        self.pending: list[Any] = []
        self.samples: list[Sample] = []
        self.alerts: list[Entry] = []
        self.commits: dict[str, str] = {}
        status = SimpleNamespace(clusters=[SimpleNamespace(name="one", pid_of=lambda _: 1)])
        self.lab = SimpleNamespace(
            cluster=cluster,
            folder=LabFolder(root),
            drift=lambda: SimpleNamespace(drifts=self.drifts, unknown=self.untold),
            look=lambda: [SimpleNamespace(pending=self.pending)],
            status=lambda: status,
            alerts=SimpleNamespace(all=self._alerts),
        )
        self.senses = Senses(cast("Lab", self.lab), self.history, self.commits)

    def _alerts(self, wanted: Any, *, since: datetime) -> list[Entry]:
        return [one for one in self.alerts if one.time >= since and wanted.fits(one)]

    def outset(self, *signals: SignalSpec) -> Outset:
        """The moment, and what of signals is there now."""
        found = Outset(AFTER.moment)
        for signal in signals:
            self.senses.note_before(signal, found)
        return found

    def list_anew(self, resource: Any, *objects: dict[str, Any], seconds: float) -> None:
        """As when a watch could not go on from where it was."""
        found = tuple(map(KubeObject, objects))
        time = BEGAN + timedelta(seconds=seconds)
        self.history._news.put(Listed(cluster="one", resource=resource, objects=found, version="", time=time))

    def hear(
        self, resource: Any, raw: dict[str, Any], *, version: int, seconds: float = 1.0, kind: str = "MODIFIED"
    ) -> None:
        raw.setdefault("metadata", {})["resourceVersion"] = str(version)
        self.history._news.put(
            WatchEvent(
                cluster="one",
                resource=resource,
                kind=kind,
                subject=KubeObject(raw),
                time=BEGAN + timedelta(seconds=seconds),
            )
        )

    def kustomization(
        self,
        *,
        version: int,
        status: str,
        kind: str = "MODIFIED",
        uid: str = "u1",
        observed: int = 2,
        message: str = "m",
    ) -> None:
        found = kustomization(version, status, uid=uid, observed=observed, message=message)
        self.hear(KUSTOMIZATION, found, version=version, kind=kind)

    def pod(self, *, version: int, uid: str = "p1", reason: str = "CrashLoopBackOff", kind: str = "MODIFIED") -> None:
        state = {"waiting": {"reason": reason, "message": "back-off"}} if reason else {"running": {}}
        raw = {
            "kind": "Pod",
            "metadata": {"namespace": "shop", "name": "cart-1", "uid": uid},
            "status": {"containerStatuses": [{"name": "main", "state": state}]},
        }
        self.hear(POD, raw, version=version, kind=kind)

    def event(self, *, version: int, uid: str = "u1", seconds: float = 1.0, message: str = "no") -> None:
        about = {"kind": "Kustomization", "namespace": "flux-system", "name": "shop", "uid": uid}
        self.hear(
            EVENT,
            {"kind": "Event", "involvedObject": about, "type": "Warning", "reason": "BuildFailed", "message": message},
            version=version,
            seconds=seconds,
        )


def kustomization(
    version: int, status: str, *, uid: str = "u1", observed: int = 2, message: str = "m", since: str = "12:00:00"
) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": status,
        "reason": "BuildFailed",
        "message": message,
        "observedGeneration": observed,
        "lastTransitionTime": f"2026-11-01T{since}Z",
    }
    metadata = {"namespace": "flux-system", "name": "shop", "uid": uid, "generation": 2}
    return {
        "kind": "Kustomization",
        "metadata": {**metadata, "resourceVersion": str(version)},
        "status": {"conditions": [condition]},
    }


NOT_READY = SignalSpec(condition=ConditionSpec(kind="Kustomization", place="flux-system/shop", status="False"))
FAILED = SignalSpec(event=EventSpec(kind="Kustomization", place="flux-system/shop", reason="BuildFailed"))


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster1:
    return Cluster1(tmp_path)


def test_a_condition_counts_that_changed_after_the_moment(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None
    cluster.kustomization(version=101, status="False", message="broken")
    seen = cluster.senses.find(NOT_READY, after=AFTER)
    assert seen
    assert "broken" in seen.words


def test_a_condition_that_was_so_before_does_not_count_when_it_is_told_again(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="False")
    cluster.kustomization(version=101, status="False")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None


@pytest.mark.parametrize("between", [{"status": "True"}, {"status": "False", "kind": "DELETED"}])
def test_a_condition_that_comes_back_counts(cluster: Cluster1, between: dict[str, Any]) -> None:
    cluster.kustomization(version=90, status="False")
    cluster.kustomization(version=101, **between)
    assert cluster.senses.find(NOT_READY, after=AFTER) is None
    cluster.kustomization(version=102, status="False")
    assert cluster.senses.find(NOT_READY, after=AFTER)


def test_a_condition_of_an_older_generation_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=101, status="False", observed=1)
    assert cluster.senses.find(NOT_READY, after=AFTER) is None


def test_an_event_of_before_the_moment_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True")
    cluster.event(version=99)
    assert cluster.senses.find(FAILED, after=AFTER) is None
    cluster.event(version=102)
    assert cluster.senses.find(FAILED, after=AFTER)


def test_an_event_about_a_namesake_of_before_does_not_count(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True", uid="u2")
    cluster.event(version=102, uid="u1")
    assert cluster.senses.find(FAILED, after=AFTER) is None


def forbidden(signal: SignalSpec) -> ForbiddenSignal:
    return ForbiddenSignal.model_validate({"what": "it is said", **signal.model_dump(exclude_none=True, by_alias=True)})


def test_what_is_said_of_an_object_that_takes_the_place_of_another_is_not_said_of_that(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True", uid="u1")
    cluster.kustomization(version=101, status="True", uid="u1", kind="DELETED")
    cluster.kustomization(version=102, status="False", uid="u2")
    cluster.event(version=103, uid="u2")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None
    assert cluster.senses.find(FAILED, after=AFTER) is None
    cluster.event(version=104, uid="u1")
    assert cluster.senses.find(FAILED, after=AFTER), "it may be told late of what has gone"


def test_what_must_not_be_said_of_a_place_must_not_be_said_of_any_object_that_comes_there(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True", uid="u1")
    cluster.kustomization(version=101, status="True", uid="u1", kind="DELETED")
    cluster.kustomization(version=102, status="False", uid="u2")
    assert cluster.senses.find(forbidden(NOT_READY), after=AFTER)
    assert cluster.senses.find(forbidden(FAILED), after=AFTER) is None
    cluster.event(version=103, uid="u2")
    assert cluster.senses.find(forbidden(FAILED), after=AFTER)


@pytest.mark.parametrize("gone", [True, False], ids=["gone before", "never there"])
def test_where_no_object_was_the_first_that_comes_counts_and_no_later_one(cluster: Cluster1, gone: bool) -> None:
    if gone:
        cluster.kustomization(version=89, status="True", uid="u0")
        cluster.kustomization(version=90, status="True", uid="u0", kind="DELETED")
    cluster.kustomization(version=101, status="True", uid="u1")
    cluster.kustomization(version=102, status="True", uid="u1", kind="DELETED")
    cluster.kustomization(version=103, status="False", uid="u2")
    cluster.event(version=104, uid="u2")
    cluster.event(version=105, uid="u0")
    assert cluster.senses.find(NOT_READY, after=AFTER) is None
    assert cluster.senses.find(FAILED, after=AFTER) is None
    cluster.event(version=106, uid="u1")
    assert cluster.senses.find(FAILED, after=AFTER)


@pytest.mark.parametrize("bind", [SignalSpec.model_copy, forbidden], ids=["expected", "forbidden"])
def test_an_event_about_a_namesake_that_had_gone_before_does_not_count(cluster: Cluster1, bind: Any) -> None:
    cluster.kustomization(version=80, status="True", uid="u0")
    cluster.kustomization(version=81, status="True", uid="u0", kind="DELETED")
    cluster.kustomization(version=90, status="True", uid="u1")
    cluster.event(version=102, uid="u0")
    assert cluster.senses.find(bind(FAILED), after=AFTER) is None


def test_an_event_about_an_object_that_was_never_there_does_not_count(cluster: Cluster1) -> None:
    cluster.event(version=102)
    assert cluster.senses.find(FAILED, after=AFTER) is None


def test_a_pod_tells_what_it_waits_for(cluster: Cluster1) -> None:
    waiting = SignalSpec(pods=PodsSpec(namespace="shop", labels={"app": "cart"}, waiting="BackOff"))
    state = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "shop", "name": "cart-1", "labels": {"app": "frontend"}},
        "status": {"containerStatuses": [{"state": state}]},
    }
    cluster.hear(POD, pod, version=101)
    assert cluster.senses.find(waiting, after=AFTER) is None
    cluster.hear(POD, {**pod, "metadata": {**pod["metadata"], "labels": {"app": "cart"}}}, version=102)  # type: ignore[dict-item] # a mapping
    seen = cluster.senses.find(waiting, after=AFTER)
    assert seen
    assert "no such image" in seen.words


# -- only what is new counts -----------------------------------------------------------------------------------------

CRASHING = SignalSpec(pods=PodsSpec(namespace="shop", waiting="CrashLoop"))
DRIFTED = SignalSpec(drift=DriftSpec(object="Deployment shop/*"))
LATE = SignalSpec(pending=PendingSpec(object="Kustomization flux-system/shop", why="applied", for_seconds=0))
FULL = SignalSpec(metric=MetricSpec(component="source-controller", name="depth", above=3))
FAILURES = SignalSpec(metric=MetricSpec(component="source-controller", name="errors_total", above=3))
TOLD = SignalSpec(alert=AlertSpec(object="Kustomization flux-system/shop"))


def drift(name: str) -> Any:
    return SimpleNamespace(
        object=ObjectRef.parse(f"Deployment shop/{name}"), class_=DriftClass.MODIFIED, headline=f"{name} differs"
    )


def untold(about: str = "", *, owner: str = "Kustomization flux-system/apps") -> Unknown:
    named = ObjectRef.parse(about) if about else None
    return Unknown(cluster="one", object=named, owner=owner, why=f"{about or 'something'} could not be compared")


def sample(name: str, value: float) -> Sample:
    return Sample(name=name, value=value, line=f"{name} {value}")


def late(why: str) -> Any:
    return SimpleNamespace(object="Kustomization flux-system/shop", why=why)


def alert(seconds: float, *, commit: str = "", text: str = "no") -> Entry:
    about = ObjectRef.parse("Kustomization flux-system/shop")
    time = BEGAN + timedelta(seconds=seconds)
    return Entry(time=time, source=Source.ALERT, text=text, object=about, commit=commit)


def test_a_pod_that_waited_before_does_not_count_when_it_is_told_again(cluster: Cluster1) -> None:
    cluster.pod(version=90)
    cluster.pod(version=101)
    assert cluster.senses.find(CRASHING, after=AFTER) is None
    cluster.pod(version=102, uid="p2")
    assert cluster.senses.find(CRASHING, after=AFTER)


def test_a_pod_that_is_deleted_waits_for_nothing(cluster: Cluster1) -> None:
    cluster.pod(version=101, kind="DELETED")
    assert cluster.senses.find(CRASHING, after=AFTER) is None


def test_drift_that_was_there_counts_only_when_it_comes_back(cluster: Cluster1) -> None:
    cluster.drifts = [drift("cart")]
    after = cluster.outset(DRIFTED)
    assert cluster.senses.find(DRIFTED, after=after) is None
    cluster.drifts = [drift("cart"), drift("frontend")]
    seen = cluster.senses.find(DRIFTED, after=after)
    assert seen
    assert "frontend" in seen.words
    cluster.drifts = []
    assert cluster.senses.find(DRIFTED, after=after) is None
    cluster.drifts = [drift("cart")]
    assert cluster.senses.find(DRIFTED, after=after)


HIDING = [
    untold("Deployment shop/cart"),
    untold("Kustomization flux-system/apps"),  # whatever it wants
    untold(),
]


@pytest.mark.parametrize("hiding", HIDING)
def test_drift_that_may_be_there_is_not_known(cluster: Cluster1, hiding: Unknown) -> None:
    after = cluster.outset(DRIFTED)
    cluster.untold = [hiding]
    with pytest.raises(UnknownError, match="could not be compared"):
        cluster.senses.find(DRIFTED, after=after)
    cluster.drifts = [drift("frontend")]
    assert cluster.senses.find(DRIFTED, after=after), "what is seen is seen"


@pytest.mark.parametrize("hiding", HIDING)
def test_where_drift_may_have_been_there_none_is_new(cluster: Cluster1, hiding: Unknown) -> None:
    cluster.untold = [hiding]
    after = cluster.outset(DRIFTED)
    cluster.drifts, cluster.untold = [drift("cart")], []
    with pytest.raises(UnknownError, match="could not be compared"):
        cluster.senses.find(DRIFTED, after=after)


def test_what_could_not_be_compared_elsewhere_hides_no_drift(cluster: Cluster1) -> None:
    cluster.untold = [untold("ConfigMap shop/settings")]
    after = cluster.outset(DRIFTED)
    assert cluster.senses.find(DRIFTED, after=after) is None
    cluster.drifts = [drift("cart")]
    assert cluster.senses.find(DRIFTED, after=after)


def test_drift_of_before_that_could_not_be_compared_for_a_while_is_not_new(cluster: Cluster1) -> None:
    cluster.drifts = [drift("cart")]
    after = cluster.outset(DRIFTED)
    cluster.drifts, cluster.untold = [], HIDING[:1]
    with pytest.raises(UnknownError):
        cluster.senses.find(DRIFTED, after=after)
    cluster.drifts, cluster.untold = [drift("cart")], []
    assert cluster.senses.find(DRIFTED, after=after) is None


def test_a_look_is_compared_with_what_was_known_when_it_began(cluster: Cluster1) -> None:
    """Another thread looks later and is done earlier: what it saw go was there all the time for the first."""
    cluster.drifts = [drift("cart")]
    after = cluster.outset(DRIFTED)
    quick = cluster.lab.drift

    def slow() -> Any:
        cluster.lab.drift, seen = quick, quick()
        cluster.drifts = []
        assert cluster.senses.find(DRIFTED, after=after) is None
        return seen

    cluster.lab.drift = slow
    assert cluster.senses.find(DRIFTED, after=after) is None
    cluster.drifts = [drift("cart")]
    assert cluster.senses.find(DRIFTED, after=after), "it was gone, as the other thread knows"


def test_a_counter_of_before_its_program_began_anew_has_not_risen_since(
    cluster: Cluster1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [sample("errors_total", 100)])
    after = cluster.outset(FAILURES)

    def slow(*_: object, **__: object) -> list[Sample]:
        monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [sample("errors_total", 2)])
        assert cluster.senses.find(FAILURES, after=after) is None
        return [sample("errors_total", 103)]

    monkeypatch.setattr(sensing, "samples_of", slow)
    assert cluster.senses.find(FAILURES, after=after) is None
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [sample("errors_total", 4)])
    assert cluster.senses.find(FAILURES, after=after)


def test_what_was_late_before_counts_only_when_it_is_late_anew(cluster: Cluster1) -> None:
    cluster.pending = [late("has applied a")]
    after = cluster.outset(LATE)
    cluster.pending = [late("has applied b")]  # it is late all the time, in other words
    assert cluster.senses.find(LATE, after=after) is None
    cluster.pending = []
    assert cluster.senses.find(LATE, after=after) is None
    cluster.pending = [late("has applied b")]
    assert cluster.senses.find(LATE, after=after)


def test_a_number_that_was_above_its_limit_counts_once_it_was_below(
    cluster: Cluster1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: cluster.samples)
    cluster.samples = [sample("depth", 5)]
    after = cluster.outset(FULL)
    found = []
    for value in (6, 3, 4):
        cluster.samples = [sample("depth", value)]
        found.append(bool(cluster.senses.find(FULL, after=after)))
    assert found == [False, False, True]


def test_a_counter_has_to_rise_by_its_limit_also_when_it_begins_anew(
    cluster: Cluster1, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: cluster.samples)
    cluster.samples = [sample("errors_total", 100)]
    after = cluster.outset(FAILURES)
    found = []
    for value in (103, 104, 2, 4):
        cluster.samples = [sample("errors_total", value)]
        found.append(bool(cluster.senses.find(FAILURES, after=after)))
    assert found == [False, True, False, True]


def test_without_knowing_what_was_there_nothing_is_new(cluster: Cluster1, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[Sample]:
        raise UnknownError("it tells no numbers")

    monkeypatch.setattr(sensing, "samples_of", fail)
    after = cluster.outset(FULL)
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [sample("depth", 9)])
    with pytest.raises(UnknownError, match="it tells no numbers"):
        cluster.senses.find(FULL, after=after)


def test_an_alert_that_comes_late_is_not_about_what_was_broken_since(cluster: Cluster1) -> None:
    cluster.kustomization(version=90, status="True")
    cluster.event(version=99)
    cluster.alerts = [alert(1)]
    assert cluster.senses.find(TOLD, after=AFTER) is None
    cluster.alerts.append(alert(2, text="something else"))
    seen = cluster.senses.find(TOLD, after=AFTER)
    assert seen
    assert "something else" in seen.words


@pytest.mark.parametrize("known", ["to the lab", "to the rehearsal"])
def test_an_alert_that_comes_late_is_known_also_where_it_was_told_without_secrets(
    cluster: Cluster1, tmp_path: Path, known: str
) -> None:
    secret = "canary-in-a-secret"
    if known == "to the lab":
        learned = Learned(TimelineFolder(LabFolder(tmp_path)).learned)
        learned.add(secret)
        learned.save()
    else:
        cluster.history.redactor.add(secret)
    cluster.event(version=99, message=f"it quotes {secret}")
    cluster.alerts = [alert(1, text=f"it quotes {MASK}")]
    assert cluster.senses.find(TOLD, after=AFTER) is None
    cluster.alerts.append(alert(2, text=f"another quotes {MASK}"))
    assert cluster.senses.find(TOLD, after=AFTER)


def test_an_alert_of_an_event_that_came_again_counts(cluster: Cluster1) -> None:
    cluster.event(version=99)
    cluster.event(version=102)
    cluster.alerts = [alert(1)]
    assert cluster.senses.find(TOLD, after=AFTER)


def test_an_alert_that_is_bound_to_no_commit_may_be_about_any_or_none(cluster: Cluster1) -> None:
    """Also when a step without a name has pushed one."""
    cluster.commits[""] = "aaaa"
    for commit in ("", "bbbb"):
        cluster.alerts = [alert(1, commit=commit)]
        assert cluster.senses.find(TOLD, after=AFTER)


def test_an_alert_can_be_bound_to_a_commit_of_the_rehearsal(cluster: Cluster1) -> None:
    bound = SignalSpec(alert=AlertSpec(object="Kustomization flux-system/shop", commit="bad"))
    cluster.alerts = [alert(1, commit="aaaa"), alert(2)]
    assert cluster.senses.find(bound, after=AFTER) is None
    cluster.commits["bad"] = "bbbb"
    assert cluster.senses.find(bound, after=AFTER) is None
    cluster.alerts.append(alert(3, commit="bbbb"))
    assert cluster.senses.find(bound, after=AFTER)


# -- what nobody watched is not known --------------------------------------------------------------------------------


def test_what_a_condition_was_while_nobody_watched_is_not_known(cluster: Cluster1) -> None:
    cluster.list_anew(KUSTOMIZATION, kustomization(90, "True"), seconds=-9)
    cluster.list_anew(KUSTOMIZATION, kustomization(105, "True", since="12:00:03"), seconds=5)
    with pytest.raises(UnknownError, match="Kustomization flux-system/shop changed while nobody watched it"):
        cluster.senses.find(NOT_READY, after=AFTER)
    cluster.kustomization(version=106, status="False")
    assert cluster.senses.find(NOT_READY, after=AFTER), "what comes later counts all the same"


@pytest.mark.parametrize(
    ("later", "known"),
    [
        (kustomization(90, "True"), True),  # it is as it was
        (kustomization(105, "True"), True),  # something else of it changed: Ready has been True since before
        (kustomization(105, "True", since="12:00:03"), False),
        (None, False),
    ],
)
def test_a_condition_that_went_on_all_the_time_leaves_no_doubt(
    cluster: Cluster1, later: dict[str, Any] | None, known: bool
) -> None:
    cluster.list_anew(KUSTOMIZATION, kustomization(90, "True"), seconds=-9)
    cluster.list_anew(KUSTOMIZATION, *([later] if later else []), seconds=5)
    if known:
        assert cluster.senses.find(NOT_READY, after=AFTER) is None
    else:
        with pytest.raises(UnknownError):
            cluster.senses.find(NOT_READY, after=AFTER)


def test_what_went_unwatched_before_the_moment_is_of_no_interest(cluster: Cluster1) -> None:
    cluster.list_anew(KUSTOMIZATION, kustomization(80, "True"), seconds=-9)
    cluster.list_anew(KUSTOMIZATION, kustomization(90, "True", since="11:59:55"), seconds=-1)
    assert cluster.senses.find(NOT_READY, after=AFTER) is None


def test_a_pod_may_have_waited_while_nobody_watched(cluster: Cluster1) -> None:
    metadata = {"namespace": "shop", "name": "cart-1", "labels": {"app": "cart"}}
    for version, seconds in ((90, -9), (105, 5)):
        pod = {"kind": "Pod", "metadata": {**metadata, "resourceVersion": str(version)}}
        cluster.list_anew(POD, pod, seconds=seconds)
    with pytest.raises(UnknownError, match="Pod shop/cart-1"):
        cluster.senses.find(CRASHING, after=AFTER)
    others = SignalSpec(pods=PodsSpec(namespace="shop", labels={"app": "frontend"}, waiting="CrashLoop"))
    assert cluster.senses.find(others, after=AFTER) is None
