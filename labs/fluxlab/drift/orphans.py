"""Objects that nobody owns, in namespaces that git fills. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.clusters.resources import HELM_CHART, NAMESPACE
from fluxlab.flux.claims import claim_of, is_bookkeeping, read_by
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner
from fluxlab.timeline.attribution import APPLIERS
from fluxlab.timeline.audit import OWN_AGENT, is_human
from fluxlab.timeline.entries import ObjectRef

from .aspects import Actor, Confidence, Fate
from .fate import NOBODY, fate_of_orphan
from .live import Live

HELM_HOOK = "helm.sh/hook"


@dataclass(frozen=True, kw_only=True)
class Stray:
    """An object that no owner in git wants and no Flux object reads."""

    subject: KubeObject
    claim: str = ""
    """Who keeps it by its own account; empty when it names nobody."""
    fate: Fate = NOBODY
    """What becomes of it if it is an orphan."""


def is_orphan(claim: str, maker: Actor) -> bool:
    """Whether a stray object is nobody's: the one rule of reports and of the trail of edits.

    Where it says that somebody keeps it, only the audit log can tell that this is not so: a person made it. Programs
    with a service account keep what they make, as operators do, and so does the lab itself.
    """
    return not claim or _contradicts(maker)


def _contradicts(maker: Actor) -> bool:
    by_lab = maker.user_agent.partition("/")[0] == OWN_AGENT
    return maker.confidence is Confidence.HIGH and is_human(maker.user) and not by_lab


def maker_of_orphan(claim: str, maker: Actor) -> Actor:
    """Who made an orphan, and that it says otherwise itself, if it does."""
    if not claim:
        return maker
    return replace(maker, reason=f"{maker.reason}, which contradicts what the object says: {claim}")


def strays(
    there: Live,
    wanted: Sequence[KubeObject],
    *,
    told: Sequence[KubeObject] = (),
    untold: Sequence[KubeObject] = (),
    shared: bool = False,
) -> list[Stray]:
    """All objects beside `wanted`, in the same namespaces, that no Flux object reads, whoever may keep them.

    Also what Flux made for one of `told`, owners of which it is known what they want, and left behind: told not to
    prune it, for example. What says that it belongs to one of `untold` is none. In a `shared` cluster only the
    namespaces that are themselves wanted count: in others somebody else may work.
    """
    owners, knowing = {one.reference for one in untold}, {one.reference for one in told}
    own = {subject.name for subject in wanted if subject.kind == NAMESPACE.kind}
    namespaces = own if shared else own | {subject.namespace for subject in wanted if subject.namespace}
    present = list(there.namespaced())
    known = {subject.reference for subject in wanted}
    known |= {found for subject in present for found in read_by(subject)}
    found: dict[ObjectRef, Stray] = {}
    for subject in present:
        reference = subject.reference
        candidate = subject.namespace in namespaces and reference not in known and not is_bookkeeping(reference)
        if candidate and owners.isdisjoint(_owners(subject)):
            claim = "" if _left_behind(subject, knowing) else claim_of(subject)
            # Served in several versions, it is one object.
            found.setdefault(reference, Stray(subject=subject, claim=claim, fate=fate_of_orphan(subject, there)))
    return [found[key] for key in sorted(found, key=lambda one: (one.kind, one.namespace, one.name))]


def _owners(subject: KubeObject) -> Iterator[ObjectRef]:
    """The owners that an object names, rightly or not."""
    for kind, label in (("Kustomization", KUSTOMIZE_LABEL), ("HelmRelease", HELM_LABEL)):
        namespace, name = owner(subject, label)
        yield ObjectRef(kind=kind, namespace=namespace, name=name)


def _left_behind(subject: KubeObject, owners: Collection[ObjectRef]) -> bool:
    """Whether a Flux controller made it for one of `owners`, and it is not on its way out, nor a hook of a chart."""
    entries = items_at(subject.raw, "metadata", "managedFields")
    by_flux = any(text_at(entry, "manager") in APPLIERS for entry in entries)
    hook = text_at(subject.raw, "metadata", "annotations", HELM_HOOK)
    needed = subject.kind == HELM_CHART.kind and bool(owner(subject, HELM_LABEL)[1])  # by its HelmRelease
    left = by_flux and not (subject.deleting or hook or needed)
    return left and not set(owners).isdisjoint(_owners(subject))
