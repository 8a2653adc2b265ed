"""What a fault was put into may be stopped or go away meanwhile: then nothing is left to be taken out."""

from collections.abc import Sequence
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import ApiError
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.controllers import mid_release
from fluxlab.faults.means import programs


class Api:
    """An API server that has nothing, but for what it is told."""

    def __init__(self, *there: JsonObject) -> None:
        self.there = there

    def find(self, *_: object, **__: object) -> KubeObject | None:
        return KubeObject(self.there[0]) if self.there else None

    def list(self, *_: object, **__: object) -> Sequence[KubeObject]:
        return ()

    def get(self, *_: object, **__: object) -> KubeObject:
        if found := self.find():
            return found
        raise ApiError("GET", status=HTTPStatus.NOT_FOUND, message="not found")

    def merge(self, *_: object, **__: object) -> KubeObject:
        return self.get()


class Control:
    """A supervisor that knows one program, which does not run, and why."""

    def __init__(self, state: str) -> None:
        self.state = state
        self.started: list[str] = []

    def status(self) -> object:
        part = SimpleNamespace(name="c/helm-controller", state=self.state, pid=None)
        cluster = SimpleNamespace(name="c", components=[part])
        return SimpleNamespace(clusters=[cluster], repositories=[])

    def lift_rules(self, _: str) -> None: ...

    def restart(self, name: str) -> None:
        if self.state == "stopped":
            raise UsageError(f"{name} is scaled to 0")
        self.started.append(name)


def ground(control: Control, api: Api) -> Ground:
    unused: Any = None
    repository: Any = SimpleNamespace(saying=lambda *_, **__: (), name="fleet", branch="main")
    return Ground(
        cluster=cast("Cluster", SimpleNamespace(name="c", api=api, find=api.find)),
        folder=unused,
        control=cast("Any", control),
        open_repository=lambda: repository,
        links=False,
    )


def injected(name: str, target: str, **undo: Json) -> Injection[Any]:
    known: dict[str, Json] = {"pid": 2**22 + 1, "since_boot": 1.0, "head": "0" * 40}  # no process has such a number
    return Injection(id=f"{name}-1", target=target, parameters=CATALOGUE[name].parameters(), undo={**known, **undo})


@pytest.fixture
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (programs, mid_release):
        monkeypatch.setattr(module, "running", lambda _: {})


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize("name", ["controller-kill", "controller-pause"])
def test_a_program_that_somebody_has_stopped_meanwhile_stays_so(name: str) -> None:
    fault, control, injection = CATALOGUE[name], Control("stopped"), injected(name, "helm-controller")
    where = ground(control, Api())
    fault.heal(where, injection)
    assert fault.healed(where, injection) == "helm-controller is stopped on purpose"
    control.state = "dead"
    assert not fault.healed(where, injection)
    fault.heal(where, injection)
    assert control.started == ["c/helm-controller"]


@pytest.mark.usefixtures("_nothing_runs")
def test_a_release_that_was_cut_off_needs_no_controller_that_somebody_has_stopped() -> None:
    fault, control = CATALOGUE["controller-killed-mid-release"], Control("stopped")
    release: JsonObject = {
        "kind": "HelmRelease",
        "metadata": {"name": "cart", "namespace": "shop", "generation": 3},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown", "observedGeneration": 2}]},
    }
    where, injection = ground(control, Api(release)), injected(fault.name, "shop/cart")
    fault.heal(where, injection)
    assert fault.healed(where, injection) == "helm-controller is stopped on purpose"
    control.state = "dead"
    assert not fault.healed(where, injection)


GONE = [
    ("git-unavailable", "github.com", {}),
    ("artifact-corrupt", "GitRepository flux-system/shop", {}),
    ("node-not-ready", "node-1", {}),
    ("node-lost", "node-1", {}),
    ("node-drained", "node-1", {}),
    ("controller-killed-mid-release", "shop/cart", {}),
    ("controller-killed-mid-uninstall", "shop/cart", {}),
    ("controller-oom", "helm-controller", {"value": {}, "owners": []}),
    ("controller-scaled-down", "helm-controller", {"value": 1, "owners": []}),
]


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize(("name", "target", "undo"), GONE, ids=[name for name, *_ in GONE])
def test_what_is_not_there_any_more_has_nothing_of_a_fault(name: str, target: str, undo: dict[str, Json]) -> None:
    fault, injection, where = CATALOGUE[name], injected(name, target, **undo), ground(Control("stopped"), Api())
    if name != "artifact-corrupt":  # whose file is looked at first
        fault.heal(where, injection)
    assert "not there any more" in fault.healed(where, injection)
    if name != "controller-scaled-down":  # to which nothing can be as good as to be gone
        assert not fault.injected(where, injection)
