"""A control run has one whole cycle of Flux in it: each object is asked, and leaves no trace of that."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import DEPLOYMENT, GIT_REPOSITORY, Resource
from fluxlab.documents import Json
from fluxlab.rehearsals.cycle import one_cycle

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"


class Flux:
    """What a cluster holds; its controllers have done at the second look what they are asked for, but for the idle."""

    def __init__(self, *objects: KubeObject, idle: Collection[str] = ()) -> None:
        self.objects = {str(one): one for one in objects}
        self.asked: dict[str, str] = {}
        self.done: set[str] = set()
        self._idle = idle
        self._looked: set[str] = set()

    def resources(self) -> Sequence[Resource]:
        return ()

    def list(self, resource: Resource, *, query: object = None) -> Sequence[KubeObject]:
        assert query is None or resource == DEPLOYMENT
        return [one for one in self.objects.values() if one.kind == resource.kind]

    def find(self, resource: Resource, name: str, *, namespace: str) -> KubeObject | None:
        about = f"{resource.kind} {namespace}/{name}"
        if about in self._looked and about not in self._idle:
            self.done.add(about)
        self._looked.add(about)
        handled = self.asked.get(about, "") if about in self.done else "an earlier one"
        found = self.objects.get(about)
        return found and KubeObject({**found.raw, "status": {"lastHandledReconcileAt": handled}})

    def merge(self, resource: Resource, name: str, patch: Any, *, namespace: str) -> None:
        about = f"{resource.kind} {namespace}/{name}"
        metadata = cast("dict[str, Any]", self.objects[about].raw["metadata"])
        given: Mapping[str, str | None] = patch["metadata"]["annotations"]
        assert set(given) == {REQUESTED_AT}, "nothing is forced, and no count of failures reset"
        kept = {key: value for key, value in {**metadata["annotations"], **given}.items() if value}
        self.objects[about] = KubeObject({**self.objects[about].raw, "metadata": {**metadata, "annotations": kept}})
        if given[REQUESTED_AT]:
            self.asked.setdefault(about, str(given[REQUESTED_AT]))


def made(about: str, **spec: Json) -> KubeObject:
    kind, _, place = about.partition(" ")
    namespace, _, name = place.partition("/")
    metadata: Json = {"namespace": namespace, "name": name, "annotations": {"of": "somebody"}}
    return KubeObject({"kind": kind, "metadata": metadata, "spec": spec})


def test_everything_that_is_reconciled_is_asked_and_nothing_is_left_of_it() -> None:
    sources = ["GitRepository a/fleet", "OCIRepository a/image", "Bucket a/b", "HelmRepository a/r", "HelmChart a/c"]
    wanted = [*sources, "Kustomization a/apps", "HelmRelease b/cart"]
    others = [
        made("Kustomization a/held", suspend=True),
        made("HelmRepository a/address", type="oci"),
        made("Deployment a/web"),
    ]
    flux = Flux(*map(made, wanted), *others)
    with one_cycle(cast("KubeApi", flux)) as undone:
        assert sorted(flux.asked) == sorted(wanted)
        assert list(undone()) == wanted
        assert list(undone()) == []
    assert all(text_at(one.raw, "metadata", "annotations", REQUESTED_AT) == "" for one in flux.objects.values())
    assert all(text_at(one.raw, "metadata", "annotations", "of") == "somebody" for one in flux.objects.values())


def test_an_earlier_request_is_not_made_once_more() -> None:
    """It is another one than the last, so that Flux would answer it again; and it would have another author."""
    fleet = made("GitRepository a/fleet")
    fleet = KubeObject({**fleet.raw, "metadata": {**fleet.raw["metadata"], "annotations": {REQUESTED_AT: "by a hook"}}})  # type: ignore[dict-item] # a mapping
    flux = Flux(fleet)
    with one_cycle(cast("KubeApi", flux)):
        pass
    assert flux.objects["GitRepository a/fleet"].raw["metadata"]["annotations"] == {}  # type: ignore[call-overload, index] # a mapping


@pytest.mark.parametrize("whose", ["ours", "theirs"])
def test_where_somebody_asks_meanwhile_the_answer_to_either_request_will_do(whose: str) -> None:
    """As the hook of a push does: the controller may hear of the newest request only."""
    flux = Flux(made("GitRepository a/fleet"))
    hook = {"metadata": {"annotations": {REQUESTED_AT: "by a hook"}}}
    with one_cycle(cast("KubeApi", flux)) as undone:
        ours = flux.asked.pop("GitRepository a/fleet")
        answered = ours if whose == "ours" else "by a hook"
        flux.merge(GIT_REPOSITORY, "fleet", hook, namespace="a")
        assert list(undone()) == ["GitRepository a/fleet"]
        flux.asked["GitRepository a/fleet"] = answered
        assert list(undone()) == []
        assert ours


def test_nobody_waits_for_the_answer_to_a_request_that_was_taken_away() -> None:
    flux = Flux(made("GitRepository a/fleet"), idle={"GitRepository a/fleet"})
    with one_cycle(cast("KubeApi", flux)) as undone:
        assert list(undone()) == ["GitRepository a/fleet"]
        flux.merge(GIT_REPOSITORY, "fleet", {"metadata": {"annotations": {REQUESTED_AT: None}}}, namespace="a")
        assert list(undone()) == []


@pytest.mark.parametrize(
    ("stopped", "asked"),
    [
        ("source-controller", ["HelmRelease b/cart", "Kustomization a/apps"]),
        ("kustomize-controller", ["GitRepository a/fleet", "HelmChart a/c", "HelmRelease b/cart"]),
        ("helm-controller", ["GitRepository a/fleet", "HelmChart a/c", "Kustomization a/apps"]),
    ],
)
def test_what_a_controller_reconciles_that_is_scaled_to_0_is_not_asked(stopped: str, asked: Sequence[str]) -> None:
    """As by a step `human`: it would be waited for in vain."""
    wanted = ["GitRepository a/fleet", "HelmChart a/c", "Kustomization a/apps", "HelmRelease b/cart"]
    flux = Flux(*map(made, wanted), made(f"Deployment flux-system/{stopped}", replicas=0))
    with one_cycle(cast("KubeApi", flux)):
        assert sorted(flux.asked) == asked


def test_who_has_not_done_it_is_told_and_asked_no_more() -> None:
    flux = Flux(made("GitRepository a/fleet"), made("Kustomization a/apps"), idle={"Kustomization a/apps"})

    def interrupted() -> None:
        with one_cycle(cast("KubeApi", flux)) as undone:
            undone()
            assert list(undone()) == ["Kustomization a/apps"]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(text_at(one.raw, "metadata", "annotations", REQUESTED_AT) == "" for one in flux.objects.values())
