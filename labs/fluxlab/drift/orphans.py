"""Objects that nobody owns, in namespaces that git fills. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from fluxlab.clusters.inventory import inventory
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
    owners: Sequence[ObjectRef] = ()
    """The Kustomization or HelmRelease that it names, rightly or not."""
    gone: ObjectRef | None = None
    """The one of them that left it behind, where that is not in the cluster."""


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
    present: Collection[ObjectRef],
    shared: bool = False,
) -> list[Stray]:
    """All objects beside `wanted`, in the same namespaces, that no Flux object reads, whoever may keep them.

    Also what Flux made and left behind: for one of `told`, owners of which it is known what they want (told not to
    prune it, for example), or, in whatever namespace, for an owner that is gone, which is neither `present` nor wanted.
    What says that it belongs to one of `untold` is none. In a `shared` cluster only the namespaces that are themselves
    wanted count: in others somebody else may work.
    """
    doubtful, knowing = {one.reference for one in untold}, {one.reference for one in told}
    own = {subject.name for subject in wanted if subject.kind == NAMESPACE.kind}
    namespaces = own if shared else own | {subject.namespace for subject in wanted if subject.namespace}
    objects = list(there.namespaced())
    known = {subject.reference for subject in wanted}
    known |= {found for subject in objects for found in read_by(subject)}
    last = {*present, *known, *_inventories(untold)}
    found: dict[ObjectRef, Stray] = {}
    for subject in objects:
        reference, named = subject.reference, list(_owners(subject))
        if reference in known or is_bookkeeping(reference) or not doubtful.isdisjoint(named):
            continue
        gone = named[0] if named and last.isdisjoint(named) else None
        left = (gone is not None or not knowing.isdisjoint(named)) and _left_behind(subject, needed=gone is None)
        if subject.namespace in namespaces or (left and gone and not shared):
            fate = fate_of_orphan(subject, there)
            stray = Stray(subject=subject, claim=claim_of(subject), fate=fate, owners=tuple(named))
            # Served in several versions, it is one object.
            found.setdefault(reference, _left_by(gone, stray) if left else stray)
    return [found[key] for key in sorted(found, key=lambda one: (one.kind, one.namespace, one.name))]


def _owners(subject: KubeObject) -> Iterator[ObjectRef]:
    """The owners that an object names, rightly or not."""
    for kind, label in (("Kustomization", KUSTOMIZE_LABEL), ("HelmRelease", HELM_LABEL)):
        namespace, name = owner(subject, label)
        if name:
            yield ObjectRef(kind=kind, namespace=namespace, name=name)


def _inventories(owners: Sequence[KubeObject]) -> Iterator[ObjectRef]:
    """What Kustomizations have applied, also where nobody can tell what they want."""
    for one in owners:
        for entry in inventory(one):
            yield ObjectRef(kind=entry.kind, namespace=entry.namespace, name=entry.name)


def _left_behind(subject: KubeObject, *, needed: bool) -> bool:
    """Whether a Flux controller made it, and it is not on its way out, nor a hook of a chart; nor, while its release
    `needed` it, the chart of that.
    """
    entries = items_at(subject.raw, "metadata", "managedFields")
    by_flux = any(text_at(entry, "manager") in APPLIERS for entry in entries)
    hook = text_at(subject.raw, "metadata", "annotations", HELM_HOOK)
    of_release = subject.kind == HELM_CHART.kind and bool(owner(subject, HELM_LABEL)[1])
    return by_flux and not (subject.deleting or hook or (needed and of_release))


def _left_by(gone: ObjectRef | None, stray: Stray) -> Stray:
    """That nobody keeps what was left behind, whatever it says, and by whom it was, if that one is gone."""
    fate = stray.fate
    if gone and not fate.reverted:
        fate = replace(fate, why=f"{gone} left it behind and is gone: {fate.why}")
    return replace(stray, claim="", fate=fate, gone=gone)
