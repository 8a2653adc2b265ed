"""Whether a difference will be reverted: the cells that were tried on these controllers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fluxlab.clusters.loans import BORROWER, SUSPEND, Path, lend
from fluxlab.clusters.managed_fields import Setter
from fluxlab.clusters.objects import KubeObject
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.aspects import DriftClass, Fate, Mark
from fluxlab.drift.fate import (
    DRIFT_DETECTION,
    FORCE,
    RECONCILE,
    SSA,
    fate_of,
    fate_of_refused,
    until_gone,
    while_stopped,
    while_waiting,
)
from fluxlab.timeline.entries import ObjectRef

KUBECTL, OTHERS, SCALED = (
    Setter(manager="kubectl-patch", operation="Update"),
    Setter(manager="node-fetch"),
    Setter(manager="kubectl", subresource="scale"),
)


def subject(**annotations: str) -> KubeObject:
    return KubeObject({"kind": "ConfigMap", "metadata": {"name": "x", "annotations": annotations}})


def owner(kind: str, *, ready: str = "True", reason: str = "R", **spec: Json) -> KubeObject:
    conditions = [{"type": "Ready", "status": ready, "reason": reason, "message": "why"}]
    raw: dict[str, Json] = {"kind": kind, "metadata": {"name": "o", "namespace": "n"}, "spec": spec}
    return KubeObject({**raw, "status": {"conditions": conditions}})


def failing(reason: str) -> KubeObject:
    return owner("Kustomization", ready="False", reason=reason, interval="1h", retryInterval="2m")


LAST = datetime(2026, 11, 22, 14, 2, 11, tzinfo=UTC)


def reconciled(kustomization: KubeObject) -> KubeObject:
    """With the time of its last reconcile, as kustomize-controller notes it."""
    status = kustomization.raw["status"]
    assert isinstance(status, dict)
    history: Json = [{"lastReconciled": "2026-11-22T14:02:11Z"}, {"lastReconciled": "2026-11-20T00:00:00Z"}]
    return KubeObject({**kustomization.raw, "status": {**status, "history": history}})


def release(mode: str, *, suspend: bool = False, ignore: Json = None) -> KubeObject:
    return owner("HelmRelease", driftDetection={"mode": mode, "ignore": ignore}, suspend=suspend)


M, A, R, D = DriftClass.MODIFIED, DriftClass.ADDED, DriftClass.REMOVED, DriftClass.DELETED


@pytest.mark.parametrize(
    ("kustomization", "git", "setter", "reverted"),
    [
        (owner("Kustomization"), subject(), KUBECTL, {M: True, A: True, R: True, D: True}),
        (owner("Kustomization"), subject(), OTHERS, {M: True, A: False, R: True, D: True}),
        (owner("Kustomization"), subject(), SCALED, {M: True, A: False, R: True, D: True}),
        (owner("Kustomization"), subject(**{SSA: "Merge"}), KUBECTL, {M: True, A: False, R: True, D: True}),
        (owner("Kustomization"), subject(**{SSA: "IfNotPresent"}), KUBECTL, {M: False, A: False, R: False, D: True}),
        (owner("Kustomization"), subject(**{SSA: "Ignore"}), KUBECTL, {M: False, A: False, R: False, D: False}),
        (owner("Kustomization"), subject(**{RECONCILE: "disabled"}), KUBECTL, {M: False, A: False, R: False, D: False}),
        (owner("Kustomization", suspend=True), subject(), KUBECTL, {M: False, A: False, R: False, D: False}),
        (owner("Kustomization", ready="False"), subject(), KUBECTL, {M: False, A: False, R: False, D: False}),
        (failing("HealthCheckFailed"), subject(), KUBECTL, {M: True, A: True, R: True, D: True}),
        (failing("PruneFailed"), subject(), KUBECTL, {M: True, A: True, R: True, D: True}),
        (failing("BuildFailed"), subject(), KUBECTL, {M: False, A: False, R: False, D: False}),
        (failing("ReconciliationFailed"), subject(), KUBECTL, {M: False, A: False, R: False, D: False}),
        (owner("HelmRelease"), subject(), KUBECTL, {M: False, A: False, R: False, D: False}),
        (
            release("warn"),
            subject(),
            KUBECTL,
            {M: False, A: False, R: False, D: False},
        ),
        (
            release("enabled"),
            subject(),
            KUBECTL,
            {M: True, A: False, R: True, D: True},
        ),
        (
            owner("HelmRelease", ready="False", reason="RollbackSucceeded", driftDetection={"mode": "enabled"}),
            subject(),
            KUBECTL,
            {M: False, A: False, R: False, D: False},
        ),
        (
            release("enabled", suspend=True),
            subject(),
            KUBECTL,
            {M: False, D: False},
        ),
        (
            release("enabled"),
            subject(**{DRIFT_DETECTION: "disabled"}),
            KUBECTL,
            {M: False, A: False, R: False, D: False},
        ),
    ],
)
def test_what_becomes_of_it(
    kustomization: KubeObject, git: KubeObject, setter: Setter, reverted: dict[DriftClass, bool]
) -> None:
    for class_, expected in reverted.items():
        live = None if class_ is D else subject()
        fate = fate_of(class_, owner=kustomization, wanted=git, live=live, setter=setter)
        assert fate.reverted is expected, (class_, fate)
        assert fate.why


WHOLE: Json = [{"paths": [""]}]


def test_a_rule_for_the_whole_object_has_helm_controller_leave_also_a_deleted_one_alone() -> None:
    """Helm's rule excludes the object before it is read; kustomize-controller asks no rule of what it makes again."""
    helm, kustomize = release("enabled", ignore=WHOLE), owner("Kustomization", ignore=WHOLE)
    fate = fate_of(D, owner=helm, wanted=subject(), live=None)
    assert (fate.reverted, fate.marks) == (False, (Mark.IGNORED,))
    assert fate.why == "a rule of HelmRelease n/o has it ignore the whole object"
    assert fate_of(D, owner=kustomize, wanted=subject(), live=None).reverted
    one_field = release("enabled", ignore=[{"paths": ["/data"]}])
    assert fate_of(D, owner=one_field, wanted=subject(), live=None).reverted


def test_one_that_fails_only_after_it_has_applied_all_reverts_at_its_next_try() -> None:
    fate = fate_of(M, owner=failing("HealthCheckFailed"), wanted=subject(), live=subject(), setter=KUBECTL)
    assert "within 2m" in fate.why
    assert "why" in fate.why  # it fails, which who reads of its next reconcile would not expect


def test_a_release_that_fails_undoes_nothing_that_helm_did_by_hand() -> None:
    """Seen of a release whose retries were exhausted: nothing was corrected for as long as it failed."""
    failed = owner("HelmRelease", ready="False", reason="UpgradeFailed", driftDetection={"mode": "enabled"})
    fate = fate_of(M, owner=failed, wanted=subject(), live=subject(), made_by_hand="sh.helm.release.v1.o.v2")
    assert fate.reverted is False
    assert fate.why == "HelmRelease n/o corrects nothing while it fails: why"


def retried(
    mode: str = "disabled",
    *,
    reason: str = "UpgradeFailed",
    message: str = "why",
    newest: str = "failed",
    after: str = "retrying after 5m0s",
    suspend: bool = False,
) -> KubeObject:
    """A release that has failed and will be tried again, with its newest one in Helm's storage in this state."""
    failed = owner("HelmRelease", interval="1h", driftDetection={"mode": mode}, suspend=suspend)
    ready: Json = {
        "type": "Ready",
        "status": "False",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-22T14:02:11Z",
    }
    again: Json = {"type": "Reconciling", "status": "True", "reason": "ProgressingWithRetry", "message": after}
    status: Json = {"conditions": [ready, again], "history": [{"name": "o", "version": 2, "status": newest}]}
    return KubeObject({**failed.raw, "status": status})


@pytest.mark.parametrize("mode", ["disabled", "warn", "enabled"])
def test_a_release_that_is_tried_again_is_upgraded_and_so_reverts_whatever_its_mode_or_an_annotation_says(
    mode: str,
) -> None:
    for class_, reverted in {M: True, A: False, R: True, D: True}.items():
        for git in (subject(), subject(**{DRIFT_DETECTION: "disabled"})):
            fate = fate_of(class_, owner=retried(mode), wanted=git, live=None)
            assert fate.reverted is reverted
    fate = fate_of(M, owner=retried(mode), wanted=subject(), live=subject())
    assert fate.why == (
        f"helm-controller upgrades HelmRelease n/o again, whatever its driftDetection (here {mode}), "
        "at its next try, within 5m0s: why"
    )
    minutes = timedelta(minutes=5)
    assert (fate.within, fate.due, fate.marks) == (minutes, LAST + minutes, ())


def test_when_a_release_is_tried_again_after_it_was_rolled_back_nobody_says() -> None:
    owner_ = retried(reason="RollbackSucceeded", newest="deployed", after="Helm rollback to ... succeeded")
    fate = fate_of(M, owner=owner_, wanted=subject(), live=subject())
    assert (fate.reverted, fate.within, fate.due) == (True, None, None)
    assert "at its next try: why" in fate.why


@pytest.mark.parametrize(
    "owner_",
    [
        retried("enabled", newest="deployed"),  # such as a chart that cannot be rendered: nothing was stored
        retried("enabled", message="Helm upgrade failed for release n/o: pre-upgrade hooks failed: timed out"),
    ],
)
def test_a_try_that_fails_before_it_applies_anything_reverts_nothing(owner_: KubeObject) -> None:
    fate = fate_of(M, owner=owner_, wanted=subject(), live=subject())
    assert (fate.reverted, fate.marks) == (False, (Mark.FAILING,))
    assert "corrects nothing while it fails" in fate.why


def test_a_release_that_is_suspended_or_held_back_is_not_tried_again() -> None:
    asleep = fate_of(M, owner=retried(suspend=True), wanted=subject(), live=subject())
    assert (asleep.reverted, asleep.marks) == (False, (Mark.SUSPENDED,))
    back = fate_of(M, owner=held(retried(), SUSPEND, value=True), wanted=subject(), live=subject())
    assert (back.reverted, back.marks) == (False, (Mark.HELD_BACK,))
    # A mode does not hold it back.
    warns = held(retried("enabled"), ("spec", "driftDetection", "mode"), "warn")
    assert fate_of(M, owner=warns, wanted=subject(), live=subject()).reverted


def test_a_live_object_may_exempt_itself_and_that_is_said() -> None:
    fate = fate_of(M, owner=owner("Kustomization"), wanted=subject(), live=subject(**{SSA: "Ignore"}), setter=KUBECTL)
    assert fate.reverted is False
    assert "only on the live object" in fate.why


@pytest.mark.parametrize("mode", ["disabled", "warn", "enabled"])
def test_what_helm_did_by_hand_is_undone_by_the_next_upgrade_whatever_the_mode(mode: str) -> None:
    newer = "sh.helm.release.v1.o.v2"
    for class_, reverted in {M: True, A: False, R: True, D: True}.items():
        fate = fate_of(class_, owner=release(mode), wanted=subject(), live=None, made_by_hand=newer)
        assert fate.reverted is reverted
        assert (newer in fate.why) is reverted


def held(free: KubeObject, path: Path, value: Json) -> KubeObject:
    """As the API server keeps an owner that report-only holds back."""
    owned: JsonObject = {}
    for key in reversed(path):
        owned = {f"f:{key}": owned}
    entry: JsonObject = {"manager": BORROWER, "operation": "Update", "fieldsV1": owned}
    metadata: JsonObject = {"name": free.name, "namespace": free.namespace, "managedFields": [entry]}
    return lend(KubeObject({**free.raw, "metadata": metadata}), {path: value})


@pytest.mark.parametrize(
    ("kustomization", "path", "value"),
    [(owner("Kustomization"), SUSPEND, True), (release("enabled"), ("spec", "driftDetection", "mode"), "warn")],
)
def test_what_is_held_back_stays_and_what_would_stay_anyway_has_its_own_reason(
    kustomization: KubeObject, path: Path, value: Json
) -> None:
    back = held(kustomization, path, value)
    fate = fate_of(M, owner=back, wanted=subject(), live=subject(), setter=KUBECTL)
    assert (fate.reverted, fate.why.partition(";")[0]) == (False, f"report-only holds {kustomization} back")
    free = fate_of(A, owner=kustomization, wanted=subject(), live=subject(), setter=OTHERS)
    assert fate_of(A, owner=back, wanted=subject(), live=subject(), setter=OTHERS) == free


def test_nothing_is_reverted_while_the_controller_that_would_is_stopped() -> None:
    stopped = {"kustomize-controller": "kustomize-controller is scaled to 0 (flux-system)"}
    would, not_at_all = Fate(reverted=True, why="at its next reconcile"), Fate(reverted=False, why="suspended")
    held = while_stopped(would, controller="kustomize-controller", stopped=stopped)
    assert not held.reverted
    assert stopped["kustomize-controller"] in held.why
    assert while_stopped(would, controller="helm-controller", stopped=stopped) == would
    assert while_stopped(not_at_all, controller="kustomize-controller", stopped=stopped) == not_at_all
    assert held.marks == (Mark.STOPPED,)


@pytest.mark.parametrize("controller", ["kustomize-controller", "helm-controller"])
def test_nothing_is_reverted_while_nobody_serves_the_artifacts_from_which_it_would_be(controller: str) -> None:
    stopped = {"source-controller": "source-controller is scaled to 0 (flux-system)"}
    held = while_stopped(Fate(reverted=True, why="at its next reconcile"), controller=controller, stopped=stopped)
    assert (held.reverted, held.marks) == (False, (Mark.STOPPED,))
    assert held.why == f"{stopped['source-controller']}: without its artifacts {controller} corrects nothing"


DATABASE = ObjectRef(kind="Kustomization", namespace="n", name="database")
WOULD = Fate(reverted=True, why="at its next reconcile", within=timedelta(hours=1), due=LAST)


def dependency(ready: str = "True", *, observed: int = 1) -> KubeObject:
    conditions: Json = [{"type": "Ready", "status": ready}]
    status: Json = {"conditions": conditions, "observedGeneration": observed}
    return KubeObject({"kind": "Kustomization", "metadata": {"name": "database", "generation": 1}, "status": status})


@pytest.mark.parametrize(
    ("there", "reverted"),
    [
        ({DATABASE: dependency()}, True),
        ({DATABASE: dependency("False")}, False),
        ({DATABASE: dependency("Unknown")}, False),
        ({DATABASE: dependency(observed=0)}, False),
        ({replace(DATABASE, namespace="other"): dependency()}, False),
    ],
)
def test_nothing_is_reverted_before_what_its_owner_depends_on_is_ready(
    there: dict[ObjectRef, KubeObject], *, reverted: bool
) -> None:
    waiting = owner("Kustomization", dependsOn=[{"name": "database"}])
    fate = while_waiting(WOULD, owner=waiting, dependencies=there)
    assert fate.reverted is reverted
    if not reverted:
        assert fate.marks == (Mark.FAILING,)
        assert (
            fate.why
            == "Kustomization n/o depends on Kustomization n/database, and corrects nothing until that is ready"
        )
    stays = Fate(reverted=False, why="suspended")
    assert while_waiting(stays, owner=waiting, dependencies=there) == stays


def test_what_its_owner_depends_on_may_be_in_another_namespace_or_of_another_kind() -> None:
    beside = owner("HelmRelease", dependsOn=[{"name": "database", "namespace": "other"}])
    there = {ObjectRef(kind="HelmRelease", namespace="other", name="database"): dependency()}
    assert while_waiting(WOULD, owner=beside, dependencies=there) == WOULD
    assert not while_waiting(WOULD, owner=beside, dependencies={DATABASE: dependency()}).reverted


def test_whether_an_expression_calls_a_dependency_ready_is_not_known() -> None:
    asks: Json = {"name": "database", "readyExpr": "dep.status.phase == 'Open'"}
    waiting = owner("Kustomization", dependsOn=[asks])
    fate = while_waiting(WOULD, owner=waiting, dependencies={DATABASE: dependency("False")})
    assert (fate.reverted, fate.within, fate.due) == (True, None, None)
    asked = "if its readyExpr calls Kustomization n/database ready, which is not known"
    assert fate.why == f"at its next reconcile, {asked}"
    assert not while_waiting(WOULD, owner=waiting, dependencies={}).reverted
    more = owner("Kustomization", dependsOn=[asks, {"name": "cache"}])
    assert not while_waiting(WOULD, owner=more, dependencies={DATABASE: dependency()}).reverted


@pytest.mark.parametrize(
    ("class_", "kustomization", "git", "marks"),
    [
        (M, owner("Kustomization"), subject(), ()),
        (A, owner("Kustomization"), subject(), (Mark.UNDETECTABLE,)),
        (M, owner("Kustomization", suspend=True), subject(), (Mark.SUSPENDED,)),
        (A, owner("Kustomization", suspend=True), subject(), (Mark.SUSPENDED, Mark.UNDETECTABLE)),
        (M, owner("Kustomization"), subject(**{SSA: "Ignore"}), (Mark.EXEMPT, Mark.UNDETECTABLE)),
        (M, owner("Kustomization", ready="False"), subject(), (Mark.FAILING,)),
        (M, failing("HealthCheckFailed"), subject(), ()),
        (M, owner("Kustomization", ignore=[{"paths": ["/data"]}], suspend=True), subject(), (Mark.IGNORED,)),
        (M, release("disabled"), subject(), (Mark.UNDETECTABLE,)),
        (M, release("warn"), subject(), (Mark.WARNED,)),
        (M, release("enabled"), subject(), ()),
        (A, release("enabled"), subject(), (Mark.UNDETECTABLE,)),
        (M, held(owner("Kustomization"), SUSPEND, value=True), subject(), (Mark.HELD_BACK,)),
    ],
)
def test_why_it_stays_is_said_for_programs_too(
    class_: DriftClass, kustomization: KubeObject, git: KubeObject, marks: tuple[Mark, ...]
) -> None:
    pointer = "/data/colour" if class_ is M else "/data/more"
    fate = fate_of(class_, owner=kustomization, wanted=git, live=subject(), pointer=pointer, setter=OTHERS)
    assert fate.marks == marks
    assert fate.reverted is (marks == ())


@pytest.mark.parametrize(
    ("subject_", "within", "due"),
    [
        (owner("Kustomization", interval="1h0m0s"), timedelta(hours=1), None),
        (reconciled(owner("Kustomization", interval="10m")), timedelta(minutes=10), LAST + timedelta(minutes=10)),
        (reconciled(failing("HealthCheckFailed")), timedelta(minutes=2), LAST + timedelta(minutes=2)),
        (owner("HelmRelease", driftDetection={"mode": "enabled"}, interval="30s"), timedelta(seconds=30), None),
        (reconciled(owner("Kustomization")), None, None),
    ],
)
def test_when_it_will_be_reverted_is_a_time(
    subject_: KubeObject, within: timedelta | None, due: datetime | None
) -> None:
    fate = fate_of(M, owner=subject_, wanted=subject(), live=subject(), setter=KUBECTL)
    assert (fate.reverted, fate.within, fate.due) == (True, within, due)
    stays = fate_of(A, owner=subject_, wanted=subject(), live=subject(), setter=OTHERS)
    assert (stays.within, stays.due) == (None, None)


def labelled(**labels: str) -> KubeObject:
    return KubeObject({"kind": "ConfigMap", "metadata": {"name": "x", "labels": labels}})


@pytest.mark.parametrize(
    ("owner_", "name", "value"),
    [
        (owner("Kustomization"), SSA, "Ignore"),
        (owner("Kustomization"), RECONCILE, "disabled"),
        (release("enabled"), DRIFT_DETECTION, "disabled"),
    ],
)
def test_a_label_exempts_an_object_as_an_annotation_does(owner_: KubeObject, name: str, value: str) -> None:
    in_git = fate_of(M, owner=owner_, wanted=labelled(**{name: value}), live=subject(), setter=KUBECTL)
    assert in_git.marks == (Mark.EXEMPT, Mark.UNDETECTABLE)
    assert in_git.why == f"label {name}: {value} in git exempts it"
    live = fate_of(M, owner=owner_, wanted=subject(), live=labelled(**{name: value}), setter=KUBECTL)
    assert live.marks == (Mark.SELF_EXEMPT, Mark.UNDETECTABLE)


def test_that_an_object_is_only_made_where_there_is_none_counts_in_git_alone() -> None:
    for marked in (subject, labelled):
        once = marked(**{SSA: "IfNotPresent"})
        assert not fate_of(M, owner=owner("Kustomization"), wanted=once, live=subject(), setter=KUBECTL).reverted
        assert fate_of(D, owner=owner("Kustomization"), wanted=once, live=None).reverted
        assert fate_of(M, owner=owner("Kustomization"), wanted=subject(), live=once, setter=KUBECTL).reverted


@pytest.mark.parametrize("marked", [subject, labelled])
def test_a_live_object_may_keep_what_kubectl_added_but_not_what_it_changed(marked: Callable[..., KubeObject]) -> None:
    live = marked(**{SSA: "Merge"})
    added = fate_of(A, owner=owner("Kustomization"), wanted=subject(), live=live, setter=KUBECTL)
    assert (added.reverted, added.marks) == (False, (Mark.UNDETECTABLE,))
    assert "Merge only on the live object keeps what kubectl-patch added" in added.why
    assert fate_of(M, owner=owner("Kustomization"), wanted=subject(), live=live, setter=KUBECTL).reverted


@pytest.mark.parametrize(
    ("manager", "operation", "reverted"),
    [
        ("kubectl-edit", "Update", True),
        ("kubectl", "Apply", True),
        ("before-first-apply", "Update", True),
        ("before-first-apply", "Apply", False),
        ("kustomize-controller", "Update", True),
        ("helm-controller", "Update", False),
        ("node-fetch", "Update", False),
    ],
)
def test_what_some_managers_added_kustomize_controller_takes_over_and_removes(
    manager: str, operation: str, *, reverted: bool
) -> None:
    setter = Setter(manager=manager, operation=operation)
    fate = fate_of(A, owner=owner("Kustomization"), wanted=subject(), live=subject(), setter=setter)
    assert fate.reverted is reverted
    scaled = replace(setter, subresource="scale")
    assert not fate_of(A, owner=owner("Kustomization"), wanted=subject(), live=subject(), setter=scaled).reverted


def test_who_exempts_an_object_is_marked() -> None:
    live = subject(**{SSA: "Ignore"})
    fate = fate_of(M, owner=owner("Kustomization"), wanted=subject(), live=live, setter=KUBECTL)
    assert fate.marks == (Mark.SELF_EXEMPT, Mark.UNDETECTABLE)


def made_by(manager: str, **annotations: str) -> KubeObject:
    entry: JsonObject = {"manager": manager, "operation": "Update"}
    metadata: JsonObject = {"annotations": annotations, "managedFields": [entry]}
    return KubeObject({"kind": "ConfigMap", "metadata": {"name": "x", **metadata}})


PLAIN, FORCED = owner("Kustomization", interval="1h"), owner("Kustomization", interval="1h", force=True)


@pytest.mark.parametrize(
    ("kustomization", "git", "live", "reverted", "marks"),
    [
        (PLAIN, subject(), made_by("node-fetch"), False, (Mark.FAILING,)),
        (FORCED, subject(), made_by("node-fetch"), True, (Mark.FORCED,)),
        (PLAIN, subject(**{FORCE: "Enabled"}), made_by("node-fetch"), True, (Mark.FORCED,)),
        (PLAIN, subject(), made_by("node-fetch", **{FORCE: "enabled"}), True, (Mark.FORCED,)),
        (PLAIN, subject(**{FORCE: "true"}), made_by("node-fetch"), False, (Mark.FAILING,)),
        (owner("Kustomization", force=True, suspend=True), subject(), subject(), False, (Mark.SUSPENDED,)),
        (FORCED, subject(**{SSA: "Ignore"}), subject(), False, (Mark.EXEMPT, Mark.UNDETECTABLE)),
        (owner("Kustomization", force=True, ready="False"), subject(), subject(), False, (Mark.FAILING,)),
        (held(FORCED, SUSPEND, value=True), subject(), subject(), False, (Mark.HELD_BACK,)),
        (held(PLAIN, SUSPEND, value=True), subject(), subject(), False, (Mark.FAILING,)),
    ],
)
def test_what_becomes_of_an_object_that_cannot_be_changed_back(
    kustomization: KubeObject, git: KubeObject, live: KubeObject, *, reverted: bool, marks: tuple[Mark, ...]
) -> None:
    fate = fate_of_refused(owner=kustomization, wanted=git, live=live)
    assert fate
    assert (fate.reverted, fate.marks) == (reverted, marks)


def test_what_kubectl_made_is_deleted_at_one_try_and_made_again_at_the_next() -> None:
    forced = reconciled(owner("Kustomization", interval="1h", retryInterval="2m", force=True))
    once, twice = (fate_of_refused(owner=forced, wanted=subject(), live=made_by(by)) for by in ("tf", "kubectl-create"))
    assert once
    assert twice
    hour, try_ = timedelta(hours=1), timedelta(minutes=2)
    assert (once.within, once.due) == (hour, LAST + hour)
    assert (twice.within, twice.due) == (hour + try_, LAST + hour + try_)
    assert "kubectl-create has set something of it" in twice.why
    merged = fate_of_refused(owner=forced, wanted=subject(**{SSA: "Merge"}), live=made_by("kubectl-create"))
    assert merged
    assert merged.within == hour  # nothing is looked for in the one that was deleted


def test_what_helm_controller_makes_of_a_refusal_nobody_knows() -> None:
    assert fate_of_refused(owner=release("enabled"), wanted=subject(), live=subject()) is None


@pytest.mark.parametrize(
    "pointer", ["/metadata/finalizers", "/metadata/ownerReferences/0/uid", "/metadata/finalizers/0"]
)
@pytest.mark.parametrize("class_", [M, R])
def test_of_the_metadata_flux_compares_labels_and_annotations_only(class_: DriftClass, pointer: str) -> None:
    for owner_ in (owner("Kustomization"), release("enabled"), failing("BuildFailed")):
        fate = fate_of(class_, owner=owner_, wanted=subject(), live=subject(), pointer=pointer)
        assert (fate.reverted, fate.marks) == (False, (Mark.UNDETECTABLE,))
        assert "compares labels and annotations, and nothing else of the metadata" in fate.why


@pytest.mark.parametrize("pointer", ["/metadata/labels/app", "/metadata/annotations", "/data/metadata"])
def test_what_flux_compares_it_reverts(pointer: str) -> None:
    for owner_ in (owner("Kustomization"), release("enabled")):
        assert fate_of(M, owner=owner_, wanted=subject(), live=subject(), pointer=pointer).reverted


def test_a_finalizer_comes_back_with_what_else_has_the_object_applied() -> None:
    """kustomize-controller applies an object as a whole, helm-controller patches what it has seen."""
    finalizers = "/metadata/finalizers"
    for class_ in (M, R):
        kustomize, helm = (
            fate_of(class_, owner=one, wanted=subject(), live=subject(), pointer=finalizers, applied=True)
            for one in (owner("Kustomization"), release("enabled"))
        )
        assert (kustomize.reverted, helm.reverted) == (True, False)
    # What kubectl has set of it is taken over, and the object applied.
    taken = fate_of(R, owner=owner("Kustomization"), wanted=subject(), live=made_by("kubectl-edit"), pointer=finalizers)
    assert taken.reverted
    merged = subject(**{SSA: "Merge"})
    left = fate_of(R, owner=owner("Kustomization"), wanted=merged, live=made_by("kubectl-edit"), pointer=finalizers)
    assert not left.reverted


def test_an_upgrade_applies_the_metadata_too() -> None:
    finalizers, newer = "/metadata/finalizers", "sh.helm.release.v1.o.v2"
    assert fate_of(R, owner=retried(), wanted=subject(), live=subject(), pointer=finalizers).reverted
    by_hand = fate_of(
        R, owner=release("enabled"), wanted=subject(), live=subject(), pointer=finalizers, made_by_hand=newer
    )
    assert by_hand.reverted


def going(kind: str = "PersistentVolumeClaim", *finalizers: str, **spec: Json) -> KubeObject:
    metadata: JsonObject = {"name": "x", "deletionTimestamp": "2026-11-22T12:00:00Z", "finalizers": finalizers}
    return KubeObject({"kind": kind, "metadata": metadata, "spec": spec})


@pytest.mark.parametrize(
    ("subject_", "waits"),
    [
        (going("PersistentVolumeClaim", "kubernetes.io/pvc-protection"), "waits for kubernetes.io/pvc-protection"),
        (going("Namespace", "a", finalizers=["kubernetes"]), "waits for a and kubernetes"),
        (going("Pod"), "is given time to end"),
    ],
)
def test_what_waits_for_its_finalizers_comes_back_once_it_is_gone_and_nobody_knows_when(
    subject_: KubeObject, waits: str
) -> None:
    fate = until_gone(WOULD, live=subject_)
    assert (fate.reverted, fate.within, fate.due) == (True, None, None)
    assert fate.why == f"it is being deleted and {waits}; once it is gone: at its next reconcile"
    asleep = Fate(reverted=False, why="o is suspended", marks=(Mark.SUSPENDED,))
    assert until_gone(asleep, live=subject_) == replace(asleep, why=f"it is being deleted and {waits}; o is suspended")
    assert until_gone(WOULD, live=subject()) == WOULD
