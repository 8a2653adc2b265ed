"""Whether a difference will be reverted: what Flux's controllers do, as it was seen of these versions. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from fluxlab.clusters.loans import as_before
from fluxlab.clusters.managed_fields import NO_SETTER, Setter
from fluxlab.clusters.objects import Condition, KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.documents import Json
from fluxlab.durations import interval_of
from fluxlab.timeline.entries import ObjectRef, parse_time

from .applied import FAILED_AFTERWARDS
from .aspects import DriftClass, Fate, Mark
from .live import Live
from .releases import is_tried_again
from .rules import ignoring

SSA = "kustomize.toolkit.fluxcd.io/ssa"
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
FORCE = "kustomize.toolkit.fluxcd.io/force"
DRIFT_DETECTION = "helm.toolkit.fluxcd.io/driftDetection"
NOBODY = Fate(
    reverted=False,
    why="no Kustomization or HelmRelease knows of it, so none removes it",
    marks=(Mark.UNDETECTABLE,),
)
"""The fate of what nobody owns, and Kubernetes keeps."""
ROOT_GONE = Fate(
    reverted=False,
    why="no Kustomization stands above the root, so nothing makes it again",
    marks=(Mark.UNDETECTABLE,),
)
"""The fate of a root that was deleted."""
REMOVED_MANAGERS = ("kubectl",)
"""How the managers begin whose fields kustomize-controller takes over, and so takes away what git does not name."""
REMOVED_UPDATERS = (*REMOVED_MANAGERS, "before-first-apply", "kustomize-controller")
"""Likewise those that did not apply: the API server calls so who wrote before managed fields were kept."""
_RETRYING = "retrying after "
"""How helm-controller begins to say when it tries a failed release again, where it does so at an interval."""


def fate_of(
    class_: DriftClass,
    *,
    owner: KubeObject,
    wanted: KubeObject,
    live: KubeObject | None,
    pointer: str = "",
    setter: Setter = NO_SETTER,
    made_by_hand: str = "",
    applied: bool = False,
) -> Fate:
    """What becomes of a difference of an object that `owner` wants; `made_by_hand`: a release that Helm made since.

    `applied`: whether something else of the object will have its controller apply it.
    """

    def of(owner: KubeObject) -> Fate:
        return _fate(
            class_,
            owner=owner,
            wanted=wanted,
            live=live,
            pointer=pointer,
            setter=setter,
            made_by_hand=made_by_hand,
            applied=applied,
        )

    return _unless_held(of, owner)


def fate_of_orphan(subject: KubeObject, there: Live) -> Fate:
    """What becomes of an object that nobody owns: Kubernetes deletes what has owners of which none is there."""
    owners = items_at(subject.raw, "metadata", "ownerReferences")
    present = [there.has_owner(one, subject.namespace) for one in owners]
    if owners and not any(one is None or one for one in present):
        names = " nor ".join(f"{text_at(one, 'kind')} {text_at(one, 'name')}" for one in owners)
        lacks = f"no {names} with the UID of its ownerReference is there"
        return Fate(reverted=True, why=f"{lacks}, so Kubernetes' garbage collector deletes it")
    return NOBODY


def fate_of_refused(*, owner: KubeObject, wanted: KubeObject, live: KubeObject) -> Fate | None:
    """What becomes of an object that cannot be changed to what git wants of it. None: nobody knows."""
    if owner.kind != KUSTOMIZATION.kind:
        return None

    def of(owner: KubeObject) -> Fate:
        if owner.suspended:
            return Fate(reverted=False, why=f"{owner} is suspended", marks=(Mark.SUSPENDED,))
        return _exempt(owner, wanted, live) or _of_refused(owner, wanted, live)

    return _unless_held(of, owner)


def fate_of_undeclared(wanted: KubeObject, *, controller: str) -> Fate:
    """What becomes of a field that the kind of an object does not have."""
    why = f"{wanted.kind} has no such field: {controller} drops it, and says nothing"
    return Fate(reverted=False, why=why, marks=(Mark.UNDETECTABLE,))


def _unless_held(of: Callable[[KubeObject], Fate], owner: KubeObject) -> Fate:
    """A fate, or that report-only holds it back."""
    let_go = of(as_before(owner))
    if let_go.reverted and not of(owner).reverted:
        why = f"report-only holds {owner} back; fluxlab report-only off has it reverted"
        return Fate(reverted=False, why=why, marks=(Mark.HELD_BACK,))
    return let_go


def _of_refused(kustomization: KubeObject, wanted: KubeObject, live: KubeObject) -> Fate:
    fails = _failure(kustomization)
    if fails and fails.reason not in FAILED_AFTERWARDS:
        why = f"{kustomization} corrects nothing while it fails: {fails.message}"
        return Fate(reverted=False, why=why, marks=(Mark.FAILING,))
    forced = _told_to_force(kustomization, wanted, live)
    if not forced:
        why = f"kustomize-controller is refused, too: {kustomization} fails at its next reconcile, and corrects nothing"
        return Fate(reverted=False, why=why, marks=(Mark.FAILING,))
    why = f"kustomize-controller deletes it and makes it again ({forced}) at its next reconcile of {kustomization}"
    fate = _reverted(kustomization, f"{why}{_every(kustomization, retry=fails is not None)}", retry=fails is not None)
    again = interval_of(_interval(kustomization, retry=True))
    setters = map(Setter.of, items_at(live.raw, "metadata", "managedFields"))
    by = next((setter.manager for setter in setters if _is_taken_over(setter)), "")
    if fate.within and again and by and not _merged(wanted, live):
        # It looks for what others set in the object that it has just deleted (fluxcd/pkg ssa, cleanupMetadata).
        why = f"{fate.why}; {by} has set something of it: it deletes it, fails, and makes it again at its next try"
        due = fate.due + again if fate.due else None
        fate = replace(fate, why=why, within=fate.within + again, due=due)
    return replace(fate, marks=(Mark.FORCED,))


def _told_to_force(kustomization: KubeObject, wanted: KubeObject, live: KubeObject) -> str:
    """By what kustomize-controller is told to make an object again that it cannot change; empty when it is not."""
    if dig(kustomization.raw, "spec", "force") is True:
        return f"force of {kustomization}"
    return _said_anywhere(wanted, live, FORCE, "enabled")


def _said(subject: KubeObject, name: str, value: str) -> str:
    """The annotation or label by which an object says so; empty when it does not.

    Flux heeds both, in any letter case (fluxcd/pkg ssa, AnyInMetadata).
    """
    for place in ("annotations", "labels"):
        said = text_at(subject.raw, "metadata", place, name)
        if said.lower() == value:
            return f"{place[:-1]} {name}: {said}"
    return ""


def _said_anywhere(wanted: KubeObject, live: KubeObject | None, name: str, value: str) -> str:
    """As `_said`, and where: in git, or only on the live object."""
    for where, subject in (("in git", wanted), ("only on the live object", live)):
        if subject and (said := _said(subject, name, value)):
            return f"{said} {where}"
    return ""


def _merged(wanted: KubeObject, live: KubeObject | None) -> str:
    """What has kustomize-controller leave alone what it else takes over; empty when nothing does."""
    return _said_anywhere(wanted, live, SSA, "merge")


def _is_taken_over(setter: Setter) -> bool:
    """Whether kustomize-controller makes its own what somebody set (its `apply`, and fluxcd/pkg ssa, patch.go)."""
    managers = REMOVED_UPDATERS if setter.operation == "Update" else REMOVED_MANAGERS
    return setter.manager.startswith(managers) and not setter.subresource


def until_gone(fate: Fate, *, live: KubeObject) -> Fate:
    """What becomes of the deletion of an object that is `live` still: nobody can take it back, and until it has come to
    its end nobody can make another one.
    """
    if not live.deleting:
        return fate
    named = [*items_at(live.raw, "metadata", "finalizers"), *items_at(live.raw, "spec", "finalizers")]  # of a Namespace
    waits = f"waits for {' and '.join(map(str, named))}" if named else "is given time to end"
    if not fate.reverted:
        return replace(fate, why=f"it is being deleted and {waits}; {fate.why}")
    why = f"it is being deleted and {waits}; once it is gone: {fate.why}"
    return replace(fate, why=why, within=None, due=None)


def while_stopped(fate: Fate, *, controller: str, stopped: Mapping[str, str]) -> Fate:
    """What becomes of it while controllers are `stopped`, told by their names: nothing, if it is this one.

    Nor if it is the one that serves artifacts: others fetch them anew at each reconcile.
    """
    if why := stopped.get(controller, ""):
        why = f"{why}: it corrects nothing"
    elif why := stopped.get("source-controller", ""):
        why = f"{why}: without its artifacts {controller} corrects nothing"
    return Fate(reverted=False, why=why, marks=(Mark.STOPPED,)) if fate.reverted and why else fate


def while_waiting(fate: Fate, *, owner: KubeObject, dependencies: Mapping[ObjectRef, KubeObject]) -> Fate:
    """What becomes of it while its owner depends on others, of which `dependencies` are there.

    Both controllers look at them before they do anything else (their `checkDependencies`).
    """
    if not fate.reverted:
        return fate
    for needed, entry in dependencies_of(owner):
        there, asked = dependencies.get(needed), text_at(entry, "readyExpr")
        if there is None or not (asked or _is_ready(there)):
            why = f"{owner} depends on {needed}, and corrects nothing until that is ready"
            return Fate(reverted=False, why=why, marks=(Mark.FAILING,))
        if asked:
            why = f"{fate.why}, if its readyExpr calls {needed} ready, which is not known"
            fate = replace(fate, why=why, within=None, due=None)
    return fate


def dependencies_of(owner: KubeObject) -> Iterator[tuple[ObjectRef, Json]]:
    """Those of its own kind on which an owner depends, and what it says of each."""
    for entry in items_at(owner.raw, "spec", "dependsOn"):
        namespace = text_at(entry, "namespace") or owner.namespace
        yield ObjectRef(kind=owner.kind, namespace=namespace, name=text_at(entry, "name")), entry


def _is_ready(dependency: KubeObject) -> bool:
    return dependency.ready and dependency.observed_generation == dependency.generation


def _fate(
    class_: DriftClass,
    *,
    owner: KubeObject,
    wanted: KubeObject,
    live: KubeObject | None,
    pointer: str,
    setter: Setter,
    made_by_hand: str,
    applied: bool,
) -> Fate:
    # What is gone kustomize-controller makes again whatever its rules say; Helm's exclude an object before it is read.
    ruled = pointer or owner.kind == HELM_RELEASE.kind
    if ruled and (rule := ignoring(owner, wanted, pointer)):
        return Fate(reverted=False, why=rule, marks=(Mark.IGNORED,))
    let_go = _while_it_runs(
        class_,
        owner=owner,
        wanted=wanted,
        live=live,
        setter=setter,
        made_by_hand=made_by_hand,
        unseen=is_unseen(pointer) and class_ is not DriftClass.ADDED,
        applied=applied,
    )
    if owner.suspended:  # what would stay anyway does so for two reasons
        return Fate(reverted=False, why=f"{owner} is suspended", marks=(Mark.SUSPENDED, *let_go.marks))
    return let_go


def _while_it_runs(
    class_: DriftClass,
    *,
    owner: KubeObject,
    wanted: KubeObject,
    live: KubeObject | None,
    setter: Setter,
    made_by_hand: str,
    unseen: bool,
    applied: bool,
) -> Fate:
    """What becomes of it when its owner is not suspended."""
    if owner.kind == HELM_RELEASE.kind and class_ is not DriftClass.ADDED and is_tried_again(owner):
        return _at_next_try(owner)
    if exempt := _exempt(owner, wanted, live):
        return exempt
    if owner.kind == HELM_RELEASE.kind:
        return _by_helm(class_, owner, made_by_hand, unseen=unseen)
    if unseen and not (applied or _takes_over(wanted, live)):
        return _unseen("kustomize-controller")
    return _by_kustomize(class_, owner, wanted, live, setter)


def is_unseen(pointer: str) -> bool:
    """Whether a field is one of those that Flux does not compare: both controllers take of the metadata its labels and
    annotations (fluxcd/pkg ssa, manager_diff.go, and ssa/jsondiff, unstructured.go). That others added one is another
    question: who set it.
    """
    return pointer.startswith("/metadata/") and not pointer.startswith(("/metadata/labels", "/metadata/annotations"))


def _unseen(controller: str) -> Fate:
    why = f"{controller} compares labels and annotations, and nothing else of the metadata"
    return Fate(reverted=False, why=why, marks=(Mark.UNDETECTABLE,))


def _takes_over(wanted: KubeObject, live: KubeObject | None) -> bool:
    """Whether kustomize-controller applies an object because it takes over what somebody has set of it."""
    entries = items_at(live.raw, "metadata", "managedFields") if live else ()
    return any(_is_taken_over(Setter.of(one)) for one in entries) and not _merged(wanted, live)


def _exempt(owner: KubeObject, wanted: KubeObject, live: KubeObject | None) -> Fate | None:
    """By what an object is exempt from correction: Flux reads it from git and from the live object.

    That it is only made where there is none counts in git alone (fluxcd/pkg ssa, shouldSkipApply).
    """
    helm = owner.kind == HELM_RELEASE.kind
    exempting = [(DRIFT_DETECTION, "disabled")] if helm else [(SSA, "ignore"), (RECONCILE, "disabled")]
    once = [(SSA, "ifnotpresent")] if live and not helm else []
    for where, mark, subject, rules in (
        ("in git", Mark.EXEMPT, wanted, [*exempting, *once]),
        ("only on the live object", Mark.SELF_EXEMPT, live, exempting),
    ):
        for name, value in rules:
            if subject and (said := _said(subject, name, value)):
                return Fate(reverted=False, why=f"{said} {where} exempts it", marks=(mark, Mark.UNDETECTABLE))
    return None


def _by_helm(class_: DriftClass, release: KubeObject, made_by_hand: str, *, unseen: bool) -> Fate:
    mode = _mode(release)
    if class_ is DriftClass.ADDED:
        why = "helm-controller leaves fields alone that a chart does not name, and says nothing"
        return Fate(reverted=False, why=why, marks=(Mark.UNDETECTABLE,))
    if mode != "enabled" and not made_by_hand:
        said, mark = ("it only warns", Mark.WARNED) if mode == "warn" else ("it says nothing", Mark.UNDETECTABLE)
        return Fate(reverted=False, why=f"driftDetection of {release} is {mode}: {said}", marks=(mark,))
    if unseen and not made_by_hand:
        return _unseen("helm-controller")
    if fails := _failure(release):
        why = f"{release} corrects nothing while it fails: {fails.message}"
        return Fate(reverted=False, why=why, marks=(Mark.FAILING,))
    if made_by_hand:
        why = (
            f"helm-controller upgrades {release} at its next reconcile{_every(release)}: {made_by_hand} is not its own"
        )
        return _reverted(release, why)
    return _reverted(release, f"helm-controller corrects it at its next reconcile of {release}{_every(release)}")


def _mode(release: KubeObject) -> str:
    return text_at(release.raw, "spec", "driftDetection", "mode") or "disabled"


def _at_next_try(release: KubeObject) -> Fate:
    """What the next upgrade of a release that failed reverts: it forces its conflicts, and asks for no drift detection
    (helm-controller, internal/action/upgrade.go). After a remediation it comes when the queue's backoff has it.
    """
    conditions = {text_at(one, "type"): one for one in items_at(release.raw, "status", "conditions")}
    ready, after = conditions["Ready"], text_at(conditions["Reconciling"], "message").removeprefix(_RETRYING)
    within, failed = interval_of(after), text_at(ready, "lastTransitionTime")
    when = f", within {after}" if within else ""
    whatever = f"whatever its driftDetection (here {_mode(release)})"
    why = f"helm-controller upgrades {release} again, {whatever}, at its next try{when}: {text_at(ready, 'message')}"
    return Fate(reverted=True, why=why, within=within, due=parse_time(failed) + within if failed and within else None)


def _by_kustomize(
    class_: DriftClass, kustomization: KubeObject, wanted: KubeObject, live: KubeObject | None, setter: Setter
) -> Fate:
    if class_ is DriftClass.ADDED and (kept := _kept(wanted, live, setter)):
        return Fate(reverted=False, why=kept, marks=(Mark.UNDETECTABLE,))
    fails = _failure(kustomization)
    if fails and fails.reason not in FAILED_AFTERWARDS:
        why = f"{kustomization} corrects nothing while it fails: {fails.message}"
        return Fate(reverted=False, why=why, marks=(Mark.FAILING,))
    does = "makes it its own" if class_ is DriftClass.RECREATED else "reverts it"
    when = _every(kustomization, retry=fails is not None)
    why = f"kustomize-controller {does} at its next reconcile of {kustomization}{when}"
    if fails:
        why += f"; it fails, but after it has applied all: {fails.message}"
    return _reverted(kustomization, why, retry=fails is not None)


def _reverted(owner: KubeObject, why: str, *, retry: bool = False) -> Fate:
    """What happens at an owner's next reconcile. When its last one was, only Kustomizations say in their status."""
    within = interval_of(_interval(owner, retry=retry))
    last = text_at(next(iter(items_at(owner.raw, "status", "history")), None), "lastReconciled")
    return Fate(reverted=True, why=why, within=within, due=parse_time(last) + within if last and within else None)


def _failure(owner: KubeObject) -> Condition | None:
    ready = owner.condition("Ready")
    return ready if ready and ready.status == "False" else None


def _kept(wanted: KubeObject, live: KubeObject | None, setter: Setter) -> str:
    """Why kustomize-controller does not take away a field that git does not name; empty when it does."""
    if setter.subresource:
        return f"kustomize-controller leaves alone what was set through {setter.subresource}, and says nothing"
    if not _is_taken_over(setter):
        return f"kustomize-controller leaves alone what {setter.manager or 'others'} added, and says nothing"
    merged = _merged(wanted, live)
    return f"{merged} keeps what {setter.manager} added" if merged else ""


def _every(owner: KubeObject, *, retry: bool = False) -> str:
    interval = _interval(owner, retry=retry)
    return f", within {interval}" if interval else ""


def _interval(owner: KubeObject, *, retry: bool) -> str:
    return (text_at(owner.raw, "spec", "retryInterval") if retry else "") or text_at(owner.raw, "spec", "interval")
