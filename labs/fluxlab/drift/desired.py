"""What git wants to be in a cluster: what each Kustomization and each HelmRelease wants, and where git says so."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fluxlab.cluster import Cluster
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.flux.ownership import ancestors
from fluxlab.timeline.entries import ObjectRef

from .applied import agreed
from .builds import Trees, built, path_of
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
    """The commit that a Kustomization has applied, as a whole."""
    places: Places | None = None
    """Where its manifests stand in git; a HelmRelease's stand in a chart."""
    made_by_hand: str = ""
    """What somebody who ran Helm made of a HelmRelease's release since, if anybody did."""

    @property
    def applier(self) -> str:
        """The field manager under which it is applied."""
        return APPLIERS[self.owner.kind]


@dataclass(frozen=True, kw_only=True)
class Untold:
    """A Kustomization or HelmRelease of which it cannot be said what it wants."""

    owner: KubeObject
    chain: Sequence[str]
    """As that of `Desired`."""
    why: str


def root_of(cluster: Cluster) -> ObjectRef:
    """The Kustomization that all others stand below."""
    return ObjectRef(kind=KUSTOMIZATION.kind, namespace=cluster.root.namespace, name=cluster.root.name)


def all_owners(cluster: Cluster) -> Sequence[KubeObject]:
    """A cluster's Kustomizations and HelmReleases: in somebody's cluster those below the lab's root.

    Raises ApiError or ApiUnreachableError.
    """
    found = [*cluster.api.list(KUSTOMIZATION), *cluster.api.list(HELM_RELEASE)]
    if not cluster.lacks(Capability.BOOTSTRAP):
        return found
    known = {owner.reference: owner for owner in found}
    root = root_of(cluster)
    return [one for one in found if root in {above.reference for above in (one, *ancestors(one, known))}]


def all_desired(
    cluster: Cluster, owners: Sequence[KubeObject], trees: Trees, threads: ThreadPoolExecutor
) -> tuple[Sequence[Desired], Sequence[Untold]]:
    """What owners want, and those of which it cannot be told."""
    known = {owner.reference: owner for owner in owners}

    def of(owner: KubeObject, chain: Sequence[str]) -> Desired:
        if reason := elsewhere(owner):
            raise UnknownError(f"{owner} {reason}")
        if owner.kind == HELM_RELEASE.kind:
            by_hand = made_by_hand(owner, api=cluster.api)
            return Desired(owner=owner, chain=chain, manifests=rendered(owner, api=cluster.api), made_by_hand=by_hand)
        commits = trees.applied(owner, cluster=cluster)
        manifests, disputed = agreed([built(owner, cluster=cluster, tree=trees.at(commit)) for commit in commits])
        places = Places(trees.at(commits[-1]), path_of(owner))
        return Desired(
            owner=owner, chain=chain, manifests=manifests, disputed=disputed, commit=commits[-1], places=places
        )

    def told(owner: KubeObject) -> Desired | Untold:
        chain = [str(one) for one in (*reversed(ancestors(owner, known)), owner)]
        try:
            return of(owner, chain)
        except FluxlabError as error:
            return Untold(owner=owner, chain=chain, why=error.what)

    answers = list(threads.map(told, owners))
    return (
        [one for one in answers if isinstance(one, Desired)],
        [one for one in answers if isinstance(one, Untold)],
    )


def elsewhere(owner: KubeObject) -> str:
    """Why what an owner wants cannot be known, or found, here."""
    if dig(owner.raw, "spec", "kubeConfig") is not None:
        return "applies to another cluster, which is not looked at"
    if dig(owner.raw, "spec", "decryption") is not None:
        return "decrypts what it applies with a key that only its controller has"
    return ""
