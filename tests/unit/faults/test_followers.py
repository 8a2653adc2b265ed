"""In somebody's cluster only what is below the lab's root is ever a target."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION, Resource
from fluxlab.clusters.root import Root
from fluxlab.faults.base import Ground
from fluxlab.faults.means.followers import followers


def flux_object(kind: str, namespace: str, name: str, *, above: str = "") -> KubeObject:
    owner_namespace, _, owner = above.partition("/")
    label = "kustomize.toolkit.fluxcd.io"
    labels = {f"{label}/namespace": owner_namespace, f"{label}/name": owner} if above else {}
    return KubeObject({"kind": kind, "metadata": {"namespace": namespace, "name": name, "labels": labels}})


THERE = (
    flux_object("Kustomization", "flux-system", "flux-system"),
    flux_object("Kustomization", "lab", "root"),
    flux_object("Kustomization", "lab", "shop", above="lab/root"),
    flux_object("HelmRelease", "lab", "cart", above="lab/shop"),
    flux_object("HelmRelease", "theirs", "database", above="flux-system/flux-system"),
)


def ground(footing: Footing) -> Ground:
    def listed(resource: Resource) -> Sequence[KubeObject]:
        return [one for one in THERE if one.kind == resource.kind]

    root = Root(footing=footing, namespace="lab", name="root")
    cluster: Any = SimpleNamespace(root=root, lacks=root.lacks, api=SimpleNamespace(list=listed))
    return cast("Ground", SimpleNamespace(cluster=cluster, api=cluster.api))


def test_a_guest_leaves_alone_what_is_not_its_own() -> None:
    found = {f"{one.namespace}/{one.name}" for one in followers(ground(Footing.GUEST))}
    assert found == {"lab/root", "lab/shop", "lab/cart"}


def test_all_of_a_lab_of_its_own_follows_it() -> None:
    assert len(followers(ground(Footing.LOCAL))) == len(THERE)


def test_only_those_of_a_kind_are_told() -> None:
    assert [one.name for one in followers(ground(Footing.GUEST), HELM_RELEASE.kind)] == ["cart"]
    assert [one.name for one in followers(ground(Footing.GUEST), KUSTOMIZATION.kind)] == ["root", "shop"]
