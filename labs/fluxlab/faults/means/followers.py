"""What follows the lab's repository: in somebody's cluster nothing else is ever a target."""

from collections.abc import Sequence

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.faults.base import Ground
from fluxlab.flux.ownership import ancestors
from fluxlab.timeline.entries import ObjectRef


def followers(ground: Ground, *kinds: str) -> Sequence[KubeObject]:
    """The Kustomizations and HelmReleases (or those of these kinds) below the lab's root, and the root itself.

    Where Flux is the lab's own, all of them are.
    """
    found = [*ground.api.list(KUSTOMIZATION), *ground.api.list(HELM_RELEASE)]
    wanted = [one for one in found if not kinds or one.kind in kinds]
    root = ground.cluster.root
    if not ground.cluster.lacks(Capability.BOOTSTRAP):
        return wanted
    known = {one.reference: one for one in found}
    top = ObjectRef(kind=KUSTOMIZATION.kind, namespace=root.namespace, name=root.name)
    return [one for one in wanted if top in {above.reference for above in (one, *ancestors(one, known))}]
