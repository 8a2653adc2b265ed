"""Controllers that are killed in the middle of something: at which moment, and what healing does about it."""

import signal
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from fluxlab import manifests
from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import CONFIG_MAP, HELM_RELEASE, SECRET, Resource
from fluxlab.clusters.root import Root
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Ground, Injection
from fluxlab.faults.catalogue import CATALOGUE
from fluxlab.faults.layers.controllers import mid_prune, mid_release
from fluxlab.faults.means import programs

UNINSTALL, PRUNE = CATALOGUE["controller-killed-mid-uninstall"], CATALOGUE["controller-killed-mid-prune"]
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec: {targetNamespace: shop}
"""


class World:
    """A cluster and its repository: what is there, and what was done to them, in order."""

    def __init__(self) -> None:
        self.commits = {"Fluxlab-fault": "c1"}
        self.records: dict[str, Mapping[str, str]] = {}
        """The labels of Helm's Secrets."""
        self.message = ""
        """What the HelmRelease says."""
        self.counts: list[int] = []
        """How many ConfigMaps are found, one time after the other."""
        self.done: list[str] = []

    def saying(self, words: str, **_: object) -> Sequence[str]:
        return [commit for footer, commit in self.commits.items() if words.startswith(footer)]

    def find(self, resource: Resource, name: str, **_: object) -> KubeObject | None:
        if resource != HELM_RELEASE:
            return None
        ready = {"type": "Ready", "status": "False" if self.message else "True", "reason": "x", "message": self.message}
        found = {"kind": "HelmRelease", "metadata": {"name": name}, "status": {"conditions": [ready]}}
        return KubeObject(cast("JsonObject", found))

    def list(self, resource: Resource, *, namespace: str, query: Mapping[str, str]) -> Sequence[KubeObject]:
        wanted = dict(word.split("=") for word in query["labelSelector"].split(","))
        if resource == CONFIG_MAP:
            count = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
            return [KubeObject({"kind": "ConfigMap", "metadata": {"name": str(number)}}) for number in range(count)]
        assert resource == SECRET
        return [
            KubeObject({"kind": "Secret", "metadata": {"name": name, "namespace": namespace}})
            for name, labels in self.records.items()
            if wanted.items() <= labels.items()
        ]

    def delete(self, resource: Resource, name: str, *, namespace: str) -> None:
        assert resource == SECRET
        del self.records[name]
        self.done.append(f"delete {namespace}/{name}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    acts = {
        "take_back": lambda *_, **__: found.done.append("revert"),
        "start": lambda _, program: found.done.append(f"start {program}"),
        "send": lambda _, number: found.done.append(signal.Signals(number).name),
        "end": lambda _: found.done.append("kill"),
        "have_answered": lambda *_: found.done.append("look again"),
        "deliver": lambda *_: found.done.append("commit"),
        "stopped": lambda *_: "",
        "find_process": lambda *_: None,
        "serving": lambda _: "it listens",
    }
    for module in (mid_release, mid_prune, programs):
        for name, act in acts.items():
            monkeypatch.setattr(module, name, act, raising=False)
    return found


@pytest.fixture
def ground(world: World) -> Ground:
    unused: Any = None
    root = KubeObject({"kind": "Kustomization", "metadata": {"name": "flux-system", "namespace": "flux-system"}})
    cluster = SimpleNamespace(name="c", api=world, root=Root(), kustomization=lambda: root)
    control = SimpleNamespace(status=lambda: SimpleNamespace(clusters=[SimpleNamespace(name="c", path="clusters/c")]))
    return Ground(
        cluster=cast("Cluster", cluster),
        folder=unused,
        control=cast("Any", control),
        open_repository=lambda: cast("Any", world),
        links=False,
    )


def injection(fault: Any, target: str, **parameters: object) -> Injection[Any]:
    undo: dict[str, Json] = {
        "head": "c0",
        "file": "cart.yaml",
        "storage": "shop",
        "release": "cart",
        "pid": 2**22 + 1,
        "since_boot": 1.0,
    }
    return Injection(id="killed-1", target=target, parameters=fault.parameters(**parameters), undo=undo)


CART = injection(UNINSTALL, "flux-system/cart")
ROOT = injection(PRUNE, "flux-system/flux-system", objects=20)
LEFT = {"owner": "helm", "name": "cart", "status": "uninstalling"}

# -- uninstall -------------------------------------------------------------------------------------------------------


def test_a_release_gets_another_name() -> None:
    git = SimpleNamespace(text=RELEASE)

    def patch(path: str, change: JsonObject, **names: str) -> None:
        git.text = manifests.merge(git.text, change, path=path, **names)

    cast("Any", UNINSTALL).change(SimpleNamespace(patch=patch), CART, "cart")
    spec = yaml.safe_load(git.text)["spec"]
    assert spec == {"releaseName": "killed-1", "targetNamespace": "shop"}


def test_an_uninstallation_shows_when_helm_does_not_know_the_release_any_more(world: World, ground: Ground) -> None:
    assert not UNINSTALL.injected(ground, CART)
    world.records["v2"] = LEFT
    assert not UNINSTALL.injected(ground, CART), "it may come to its end"
    world.message = '"cart" has no deployed releases'
    assert "has no deployed releases" in UNINSTALL.injected(ground, CART)
    world.records["v2"] = LEFT | {"status": "failed"}
    assert not UNINSTALL.injected(ground, CART)


def test_the_record_goes_and_helm_controller_looks_again(world: World, ground: Ground) -> None:
    others = {"v1": LEFT | {"status": "deployed"}, "other": LEFT | {"name": "other"}}
    world.records = {"v2": LEFT, **others}
    UNINSTALL.heal(ground, CART)
    assert world.done == ["delete shop/v2", "SIGCONT", "revert", "start helm-controller", "look again"]
    assert world.records == others


def test_the_record_of_somebody_elses_uninstallation_stays(world: World, ground: Ground) -> None:
    world.records, world.commits = {"v2": LEFT}, {}
    UNINSTALL.heal(ground, CART)
    assert world.records == {"v2": LEFT}


# -- prune -----------------------------------------------------------------------------------------------------------


def test_kustomize_controller_is_killed_while_it_stands_still_with_some_gone(world: World, ground: Ground) -> None:
    world.counts = [0, 7, 20, 20, 13]  # applied one after the other, then pruned
    PRUNE.inject(ground, ROOT)
    assert world.done == ["commit", "revert", "SIGSTOP", "SIGCONT", "SIGSTOP", "kill"]


def test_a_prune_that_was_over_at_once_is_no_fault(world: World, ground: Ground) -> None:
    world.counts = [20, 20, 0]
    with pytest.raises(FluxlabError, match="has pruned all 20 at once"):
        PRUNE.inject(ground, ROOT)
    assert "kill" not in world.done


def test_a_prune_is_finished_when_nothing_is_left(world: World, ground: Ground) -> None:
    world.counts = [0]
    assert not PRUNE.healed(ground, ROOT), "git has them still"
    world.commits["Fluxlab-healed"] = "c2"
    assert PRUNE.healed(ground, ROOT)
    world.counts = [13]
    assert not PRUNE.healed(ground, ROOT)


def test_a_prune_is_out_of_git_although_somebody_has_stopped_who_would_finish_it(
    world: World, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.counts, world.commits["Fluxlab-healed"] = [13], "c2"
    monkeypatch.setattr(mid_prune, "stopped", lambda *_: "kustomize-controller is stopped on purpose")
    assert PRUNE.healed(ground, ROOT) == "kustomize-controller is stopped on purpose"


@pytest.mark.parametrize(
    ("count", "killed", "shows"), [(20, True, False), (0, True, False), (9, False, False), (9, True, True)]
)
def test_a_prune_is_cut_off_when_some_are_left_and_nobody_works(
    world: World, ground: Ground, monkeypatch: pytest.MonkeyPatch, *, count: int, killed: bool, shows: bool
) -> None:
    world.counts, world.commits["Fluxlab-healed"] = [count], "c2"
    monkeypatch.setattr(mid_prune, "dead", lambda *_: "it has ended" if killed else "")
    assert bool(PRUNE.injected(ground, ROOT)) is shows
