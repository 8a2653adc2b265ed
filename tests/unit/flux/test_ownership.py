"""Which Kustomization or HelmRelease stands above which."""

from collections.abc import Callable

from fluxlab.clusters.objects import KubeObject
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, ancestors, depth, parent

Build = Callable[..., KubeObject]


def below(label: str, name: str) -> dict[str, str]:
    return {f"{label}/namespace": "flux-system", f"{label}/name": name}


def test_what_a_release_brings_stands_below_it_and_that_below_its_kustomization(build: Build) -> None:
    root = build("Kustomization", "root", labels=below(KUSTOMIZE_LABEL, "root"))
    same_name = build("HelmRelease", "root", labels=below(KUSTOMIZE_LABEL, "root"))
    brought = build("Kustomization", "brought", labels=below(HELM_LABEL, "root"))
    stray = build("Kustomization", "stray", labels=below(KUSTOMIZE_LABEL, "nobody"))
    known = {one.reference: one for one in (brought, same_name, root, stray)}
    assert [parent(one, known) for one in (root, same_name, brought, stray)] == [None, root, same_name, None]
    assert [depth(one, known) for one in (root, same_name, brought, stray)] == [0, 1, 2, 0]
    assert ancestors(brought, known) == [same_name, root]


def test_two_that_claim_to_apply_each_other_end_somewhere(build: Build) -> None:
    one = build("Kustomization", "one", labels=below(KUSTOMIZE_LABEL, "two"))
    two = build("Kustomization", "two", labels=below(KUSTOMIZE_LABEL, "one"))
    assert depth(one, {found.reference: found for found in (one, two)}) == 2
