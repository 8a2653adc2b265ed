"""Who looks for signals waits through troubles, and looks for nothing that can never be."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.rehearsals.test_cycle import Flux, made

from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import KUSTOMIZATION, NODE, POD
from fluxlab.errors import UnknownError, UsageError, WaitTimeoutError
from fluxlab.lab import Lab
from fluxlab.metrics import Sample
from fluxlab.moments import Moment
from fluxlab.recorder.watching import Listed
from fluxlab.rehearsals import lookout as lookouts
from fluxlab.rehearsals import sensing
from fluxlab.rehearsals.history import History
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.signals import SignalSpec
from fluxlab.rehearsals.spec import Rehearsal
from fluxlab.state import LabFolder

READY = {"kind": "Kustomization", "place": "flux-system/shop"}
LATE = {"pending": {"object": "Kustomization flux-system/shop", "for_seconds": 0}}


class Looks:
    """A lab that answers as it is told, the last answer again and again."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def __call__(self) -> list[Any]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [SimpleNamespace(pending=answer)]


def lookout(
    forbidden: Mapping[str, object], *answers: object, control: bool = False, timeout_factor: float = 1.0
) -> Lookout:
    rehearsal = Rehearsal.model_validate(
        {
            "title": "a pause",
            "hypothesis": [{"what": "it is there", "workloads": "shop"}],
            "steps": [{"fault": {"fault": "controller-pause"}}, {"wait": LATE}],
            "expect": [
                {"what": "it is logged", "log": {"component": "etcd", "pattern": "late"}, "within_seconds": 0.1}
            ],
            "forbid": [{"what": "it is said", **forbidden}],
            "truth": {"cause": "a pause"},
        }
    )
    cluster = SimpleNamespace(name="one", api=SimpleNamespace(resources=lambda: (NODE,)), pid_of=lambda _: 1)
    lab = SimpleNamespace(
        cluster=cluster,
        look=Looks(*answers),
        drift=lambda: SimpleNamespace(drifts=(), unknown=()),
        alerts=SimpleNamespace(all=lambda *_, **__: []),
        patience=lambda seconds: seconds * timeout_factor,
        moment=Moment,
        folder=LabFolder(Path("nowhere")),
        status=lambda: SimpleNamespace(clusters=[cluster]),
    )
    return Lookout(rehearsal, cast("Lab", lab), History(cast("Cluster", cluster)), control=control)


def kinds(way: str, **changes: str) -> Iterator[object]:
    return lookout({way: {**READY, **changes}}).kinds()


@pytest.mark.parametrize("way", ["condition", "event"])
def test_what_nothing_is_called_is_refused_and_no_silence(way: str) -> None:
    assert list(kinds(way))
    assert list(kinds(way, kind="node", place="one"))
    for wrong, told in (
        ({"kind": "kustomizations"}, "objects say 'Kustomization'"),
        ({"kind": "Kustomisation"}, "serves no kind"),
        ({"place": "shop"}, "it is NAMESPACE/NAME"),
        ({"place": "flux-system/"}, "it is NAMESPACE/NAME"),
        ({"kind": "Node", "place": "shop/one"}, "in no namespace"),
    ):
        with pytest.raises(UsageError) as caught:
            list(kinds(way, **wrong))
        assert told in str(caught.value)


def test_a_wait_goes_on_while_nobody_can_look() -> None:
    late = SimpleNamespace(object="Kustomization flux-system/shop", why="it has applied nothing")
    looking = lookout({"condition": READY}, [], UnknownError("the API is gone"), [late])
    looking.mark("controller-pause", fault=True)
    assert "applied nothing" in looking.await_one(SignalSpec.model_validate(LATE), 30)


def test_a_wait_that_ends_tells_why_nobody_could_look() -> None:
    looking = lookout({"condition": READY}, [], UnknownError("the API is gone"))
    looking.mark("controller-pause", fault=True)
    with pytest.raises(WaitTimeoutError) as caught:
        looking.await_one(SignalSpec.model_validate(LATE), 0.1)
    assert "the API is gone" in str(caught.value)


def test_a_step_may_wait_before_any_other_has_a_name() -> None:
    late = SimpleNamespace(object="Kustomization flux-system/shop", why="it has applied nothing")
    looking = lookout({"condition": READY}, [], [late])
    looking.begin()
    assert "applied nothing" in looking.await_one(SignalSpec.model_validate(LATE), 30)


def unknown(looking: Lookout) -> str:
    """Why nobody could have seen the forbidden signal, after one more look."""
    looking.look()
    return looking.results[1].unknown


def forbidding(signal: Mapping[str, object], *, control: bool = False) -> Lookout:
    looking = lookout(signal, [], control=control)
    looking.mark("controller-pause", fault=True)
    return looking


def unmet(
    signal: Mapping[str, object],
    name: str,
    *,
    kind: str = "Kustomization",
    namespace: str = "flux-system",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Why silence proves nothing, where one object is there and was before; without what the signal says in full."""
    looking = forbidding(signal)
    there = KubeObject({"kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": dict(labels)}})
    resource, now = {"Pod": POD, "Kustomization": KUSTOMIZATION}[kind], datetime.now(UTC)
    looking._history._news.put(Listed(cluster="one", resource=resource, objects=(there,), version="", time=now))
    return unknown(looking).partition(" object")[0]


@pytest.mark.parametrize("way", ["condition", "event"])
def test_silence_of_what_was_never_there_is_no_pass(way: str) -> None:
    looking = forbidding({way: READY})
    assert f"never there: {way} kind Kustomization, place flux-system/shop" in unknown(looking)
    shop = KubeObject({"kind": "Kustomization", "metadata": {"namespace": "flux-system", "name": "shop"}})
    now = datetime.now(UTC)
    looking._history._news.put(Listed(cluster="one", resource=KUSTOMIZATION, objects=(shop,), version="", time=now))
    assert unknown(looking) == ""


@pytest.mark.parametrize(
    "signal",
    [
        {"alert": {"object": "Kustomization flux-system/shop", "severity": "error"}},
        {"pending": {"object": "Kustomization flux-system/shop"}},
        {"drift": {"object": "Kustomization flux-system/shop"}},
    ],
)
def test_silence_about_a_mistyped_object_is_no_pass(signal: Mapping[str, Mapping[str, str]]) -> None:
    (way,) = signal
    assert not unmet(signal, "shop")
    assert unmet(signal, "ship") == f"what it would speak of was never there: {way}"


@pytest.mark.parametrize(
    "signal",
    [
        {"alert": {"severity": "error"}},
        {"pending": {"object": "the cluster"}},
        {"drift": {"object": "Kustomization flux-system/*"}},
        {"drift": {"object": "Secret flux-system/token"}},
    ],
)
def test_silence_about_no_object_that_could_be_looked_up_says_what_it_says(signal: Mapping[str, object]) -> None:
    assert not unmet(signal, "ship")


def test_silence_of_pods_that_nobody_has_seen_is_no_pass() -> None:
    signal = {"pods": {"namespace": "shop", "labels": {"app": "web"}, "waiting": "CrashLoopBackOff"}}
    assert not unmet(signal, "web-1", kind="Pod", namespace="shop", labels={"app": "web"})
    assert unmet(signal, "web-1", kind="Pod", namespace="shop", labels={"app": "wep"})
    assert unmet(signal, "web-1", kind="Pod", namespace="ship", labels={"app": "web"})


@pytest.mark.parametrize("way", ["alert", "drift", "pending"])
def test_what_is_said_of_an_object_is_looked_for_in_its_history(way: str) -> None:
    looking = lookout({way: {"object": "HelmRelease flux-system/shop"}})
    assert [one.kind for one in looking.kinds()] == ["HelmRelease", "Kustomization"], "what a step waits for, too"


def test_silence_about_a_kind_that_nothing_is_called_is_no_pass() -> None:
    mistyped = {"drift": {"object": "Kustomisation flux-system/shop"}}
    assert [one.kind for one in lookout(mistyped).kinds()] == ["Kustomization"], "a step may bring its kind"
    assert unmet(mistyped, "shop") == "what it would speak of was never there: drift"


def test_silence_of_a_number_that_nobody_tells_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    told: Sequence[Sample] = [Sample(name="other_total", value=9, line="other_total 9")]
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: told)
    spec = {"component": "source-controller", "name": "errors_total", "labels": {"kind": "a"}, "above": 3}
    looking = forbidding({"metric": spec})
    assert "never there: metric component source-controller, name errors_total" in unknown(looking)
    told = [Sample(name="errors_total", value=1, line="errors_total 1")]  # of others: of these there is none yet
    assert unknown(looking) == ""
    told = []
    assert unknown(looking) == "", "it was there once"


def test_what_could_not_be_asked_for_once_may_have_been_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Sequence[Sample]:
        raise UnknownError("it tells no numbers")

    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [Sample(name="depth", value=1, line="depth 1")])
    looking = forbidding({"metric": {"component": "source-controller", "name": "depth", "above": 3}})
    assert unknown(looking) == ""
    monkeypatch.setattr(sensing, "samples_of", fail)
    assert "it tells no numbers" in unknown(looking)
    monkeypatch.setattr(sensing, "samples_of", lambda *_, **__: [Sample(name="depth", value=1, line="depth 1")])
    assert "it tells no numbers" in unknown(looking)


def test_in_a_control_run_what_only_the_faults_make_may_be_missing() -> None:
    assert unknown(forbidding({"condition": READY}, control=True)) == ""


def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flux: Flux, signal: Mapping[str, object]) -> Lookout:
    """Who looks in a control run of a lab that has this Flux in it."""
    monkeypatch.setattr(lookouts, "SETTLING_SECONDS", 0.1)
    monkeypatch.setattr(lookouts, "CYCLE_SECONDS", 1.0)
    looking = lookout(signal, [], control=True)
    looking._lab.folder = LabFolder(tmp_path)
    monkeypatch.setattr(looking._lab.cluster, "api", flux)
    looking.mark("controller-pause", fault=True)
    return looking


def test_what_comes_whenever_flux_reconciles_comes_in_a_control_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However seldom that is, and however short the time is that the signal has."""
    flux = Flux(made("GitRepository a/fleet"), made("Kustomization a/apps"))
    looking = quiet(monkeypatch, tmp_path, flux, LATE)
    late = SimpleNamespace(object="Kustomization flux-system/shop", why="it reconciles")
    monkeypatch.setattr(looking._lab, "look", lambda: [SimpleNamespace(pending=[late] if flux.done else [])])
    assert looking._rehearsal.expect[0].within_seconds < 0.2
    looking.await_quiet()
    assert flux.done == {"GitRepository a/fleet", "Kustomization a/apps"}
    assert looking.results[1].words


def test_where_flux_does_not_reconcile_nobody_knows_what_would_come(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flux = Flux(made("GitRepository a/fleet"), made("Kustomization a/apps"), idle={"Kustomization a/apps"})
    looking = quiet(monkeypatch, tmp_path, flux, LATE)
    with pytest.raises(WaitTimeoutError, match=r"not yet: Kustomization a/apps$"):
        looking.await_quiet()


def test_who_waits_for_signals_waits_no_longer_when_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class SetBack(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # an ordinary one
            return datetime.now(tz) - timedelta(hours=1)

    looking = forbidding({"condition": READY})
    looking._lab.folder = LabFolder(tmp_path)
    monkeypatch.setattr(lookouts, "datetime", SetBack)
    looking.await_expected()
    assert looking.results[0].seen is None


def test_a_signal_is_told_with_the_time_that_it_has_on_this_machine() -> None:
    """On a slow one all that is waited for has more."""
    looking = lookout({"condition": READY}, [], timeout_factor=4.0)
    looking.mark("controller-pause", fault=True)
    looking.look()
    written = looking._rehearsal.expect[0].within_seconds
    expected, forbidden = looking.results[0], looking.results[1]
    assert expected.within_seconds == looking._lab.patience(written) == pytest.approx(4 * written)
    assert forbidden.within_seconds is None
