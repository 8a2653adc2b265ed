"""What git wants to be in a cluster: what each Kustomization and each HelmRelease wants, and where git says so."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.flux.ownership import ancestors, belongs
from fluxlab.timeline.entries import ObjectRef

from .applied import agreed
from .builds import Builds, Trees, path_of
from .fate import dependencies_of
from .places import Places
from .releases import made_by_hand, rendered

APPLIERS: Mapping[str, str] = {"Kustomization": "kustomize-controller", "HelmRelease": "helm-controller"}
"""The field managers under which Flux's controllers apply what their objects want."""


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What one Kustomization or HelmRelease wants."""

    owner: KubeObject
    chain: Sequence[str]
    """The owner, and what stands above it, the root first."""
    manifests: Sequence[KubeObject]
    disputed: Sequence[KubeObject] = ()
    """What it is not known how it should be: a later commit wants it otherwise, and may have been applied in part."""
    commit: str = ""
    """The commit that a Kustomization has applied, as a whole; of a HelmRelease the Kustomization that applies it."""
    places: Places | None = None
    """Where what that Kustomization applies stands in git."""
    made_by_hand: str = ""
    """What somebody who ran Helm made of a HelmRelease's release since, if anybody did."""
    dependencies: Mapping[ObjectRef, KubeObject] = field(default_factory=dict)
    """Of those on which its owner depends the ones that are there."""

    @property
    def applier(self) -> str:
        """The field manager under which it is applied."""
        return APPLIERS[self.owner.kind]

    def source_of(self, subject: KubeObject, field: str = "") -> str:
        """The file and line at which git says what it wants; of a chart's object that it wants the chart."""
        if self.places is None:
            return ""
        if self.owner.kind == HELM_RELEASE.kind:
            return self.places.of(self.owner)
        return self.places.of(subject, field)


@dataclass(frozen=True, kw_only=True)
class Untold:
    """A Kustomization or HelmRelease of which it cannot be said what it wants."""

    owner: KubeObject
    chain: Sequence[str]
    """As that of `Desired`."""
    why: str


def present_owners(cluster: Cluster) -> Sequence[KubeObject]:
    """A cluster's Kustomizations and HelmReleases, whoever follows them. Raises ApiError or ApiUnreachableError."""
    return [*cluster.api.list(KUSTOMIZATION), *cluster.api.list(HELM_RELEASE)]


def followed(owners: Sequence[KubeObject], *, cluster: Cluster) -> Sequence[KubeObject]:
    """Those of a cluster's owners that are the lab's: in somebody's cluster those below its root."""
    if not cluster.lacks(Capability.BOOTSTRAP):
        return owners
    known = {owner.reference: owner for owner in owners}
    return [one for one in owners if belongs(one, cluster.root.reference, known)]


def all_owners(cluster: Cluster) -> Sequence[KubeObject]:
    """The Kustomizations and HelmReleases of a cluster that are the lab's. Raises ApiError or ApiUnreachableError."""
    return followed(present_owners(cluster), cluster=cluster)


def all_desired(
    cluster: Cluster, owners: Sequence[KubeObject], trees: Trees, threads: ThreadPoolExecutor, *, builds: Builds
) -> tuple[Sequence[Desired], Sequence[Untold]]:
    """What owners want, and those of which it cannot be told."""
    known = {owner.reference: owner for owner in owners}

    def told(owner: KubeObject, above: Mapping[ObjectRef, Desired]) -> Desired | Untold:
        over = ancestors(owner, known)
        chain = [str(one) for one in (*reversed(over), owner)]
        try:
            if reason := elsewhere(owner):
                raise UnknownError(f"{owner} {reason}")
            if owner.kind == HELM_RELEASE.kind:
                applied_by = next((above[one.reference] for one in over if one.reference in above), None)
                found = _of_release(owner, chain, cluster, applied_by)
            else:
                found = _of_kustomization(owner, chain, cluster, trees, builds)
            return replace(found, dependencies=dependencies(owner, known, cluster.find))
        except FluxlabError as error:
            return Untold(owner=owner, chain=chain, why=error.what)

    kustomizations = [owner for owner in owners if owner.kind == KUSTOMIZATION.kind]
    answers = list(threads.map(lambda owner: told(owner, {}), kustomizations))
    applied = {one.owner.reference: one for one in answers if isinstance(one, Desired)}
    releases = [owner for owner in owners if owner.kind == HELM_RELEASE.kind]
    answers += threads.map(lambda owner: told(owner, applied), releases)
    return (
        [one for one in answers if isinstance(one, Desired)],
        [one for one in answers if isinstance(one, Untold)],
    )


def dependencies(
    owner: KubeObject, known: Mapping[ObjectRef, KubeObject], find: Callable[[str, str], KubeObject | None]
) -> Mapping[ObjectRef, KubeObject]:
    """Of those on which an owner depends the ones that are there: known ones, and others that may be beside them."""
    needed = [one for one, _ in dependencies_of(owner)]
    there = {one: known.get(one) or find(one.kind, f"{one.namespace}/{one.name}") for one in needed}
    return {one: found for one, found in there.items() if found}


def _of_release(owner: KubeObject, chain: Sequence[str], cluster: Cluster, applied_by: Desired | None) -> Desired:
    return Desired(
        owner=owner,
        chain=chain,
        manifests=rendered(owner, api=cluster.api),
        made_by_hand=made_by_hand(owner, api=cluster.api),
        commit=applied_by.commit if applied_by else "",
        places=applied_by.places if applied_by else None,
    )


def _of_kustomization(
    owner: KubeObject, chain: Sequence[str], cluster: Cluster, trees: Trees, builds: Builds
) -> Desired:
    applied = trees.applied(owner, cluster=cluster)
    manifests, disputed = agreed([builds.of(owner, files, cluster=cluster, trees=trees) for files in applied])
    places, commit = Places(trees.at(applied[-1]), path_of(owner)), applied[-1].commit
    return Desired(owner=owner, chain=chain, manifests=manifests, disputed=disputed, commit=commit, places=places)


def applies_elsewhere(owner: KubeObject) -> bool:
    """Whether an owner applies what it wants to another cluster than its own."""
    return dig(owner.raw, "spec", "kubeConfig") is not None


def elsewhere(owner: KubeObject) -> str:
    """Why what an owner wants cannot be known, or found, here."""
    if applies_elsewhere(owner):
        return "applies to another cluster, which is not looked at"
    if dig(owner.raw, "spec", "decryption") is not None:
        return "decrypts what it applies with a key that only its controller has"
    return ""
