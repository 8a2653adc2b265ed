"""The latch over a whole cluster: what has arrived, what has not and why, and what is not even looked at."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT, HELM_RELEASE, Resource
from fluxlab.errors import FluxlabError
from fluxlab.flux.convergence import ConvergenceError, converge, stopped_controllers
from fluxlab.flux.look import Convergence, Target, look
from fluxlab.flux.pending import Blocker, Outlook, Pending
from fluxlab.flux.release_values import ReleaseValues

Build = Callable[..., KubeObject]
OLD, NEW, LATER = "a" * 40, "b" * 40, "c" * 40
URL = "https://github.com/acme/fleet.git"
TARGET = Target(url=URL, branch="main", commit=NEW, accepted=frozenset({NEW, LATER}))
READY = ("True", "ReconciliationSucceeded", "ok")
SYSTEM = {"kustomize.toolkit.fluxcd.io/name": "flux-system", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
APPS = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
HELM = {"helm.toolkit.fluxcd.io/name": "demo", "helm.toolkit.fluxcd.io/namespace": "demo"}


class Cluster:
    """What a cluster holds, and which lists were asked for."""

    def __init__(self, *objects: KubeObject) -> None:
        self.objects = list(objects)
        self.asked: list[str] = []

    def list(self, resource: Resource, *, query: Mapping[str, str] | None = None) -> Sequence[KubeObject]:
        self.asked.append(resource.kind)
        part_of_flux = {"labelSelector": "app.kubernetes.io/part-of=flux"}
        assert query in (None, part_of_flux, {"fieldSelector": "metadata.name=sops-age"})
        return [found for found in self.objects if found.kind == resource.kind]

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        known = {(one.kind, one.namespace, one.name): one for one in self.objects}
        return known.get((resource.kind, namespace or "", name))


class Flux:
    """Makes the objects of a cluster that has converged; each may be given otherwise."""

    def __init__(self, build: Build) -> None:
        self._build = build

    def source(self, revision: str = NEW, *, name: str = "flux-system", **changes: Any) -> KubeObject:
        spec = {"url": URL, "ref": {"branch": "main"}, **changes.pop("spec", {})}
        status = {"artifact": {"revision": f"main@sha1:{revision}"}} if revision else {}
        given = {"conditions": {"Ready": READY}, **changes}
        return self._build("GitRepository", name, spec=spec, status=status, **given)

    def kustomization(self, revision: str = NEW, *, name: str = "flux-system", **changes: Any) -> KubeObject:
        source = {"kind": "GitRepository", "name": "flux-system"}
        spec = {"sourceRef": source, "interval": "10m0s", **changes.pop("spec", {})}
        told = f"main@sha1:{revision}"
        status = {"lastAppliedRevision": told, "lastAttemptedRevision": told, **changes.pop("status", {})}
        given = {"conditions": {"Ready": READY}, "labels": SYSTEM, **changes}
        return self._build("Kustomization", name, spec=spec, status=status, **given)

    def release(self, **changes: Any) -> KubeObject:
        given = {"conditions": {"Ready": READY}, "labels": SYSTEM, **changes}
        return self._build(
            "HelmRelease", "demo", namespace="demo", status={"helmChart": "flux-system/demo-demo"}, **given
        )

    def chart(self, **changes: Any) -> KubeObject:
        spec = {
            "chart": "opentelemetry-demo",
            "version": "9.9.9",
            "sourceRef": {"kind": "HelmRepository", "name": "otel"},
        }
        given = {"conditions": {"Ready": READY}, **changes}
        return self._build("HelmChart", "demo-demo", spec=spec, **given)

    def deployment(self, *, ready: bool = True, labels: Mapping[str, str] = HELM, name: str = "web") -> KubeObject:
        status = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": int(ready)}
        return self._build("Deployment", name, namespace="demo", spec={"replicas": 1}, status=status, labels=labels)


@pytest.fixture
def flux(build: Build) -> Flux:
    return Flux(build)


def look_at(cluster: Cluster, target: Target = TARGET) -> tuple[Convergence, Blocker | None]:
    def compose(release: KubeObject) -> str:
        raise AssertionError(f"{release} reads no values")

    api = cast("KubeApi", cluster)
    return look(api, target, cluster="c", values=ReleaseValues(api, compose))


def seen(*objects: KubeObject, target: Target = TARGET) -> Convergence:
    return look_at(Cluster(*objects), target)[0]


def blocker(*objects: KubeObject) -> Blocker | None:
    return look_at(Cluster(*objects))[1]


def pending(*objects: KubeObject, target: Target = TARGET) -> list[tuple[str, str]]:
    """Outlook and text of all that has not arrived."""
    return [(found.outlook.value, str(found)) for found in seen(*objects, target=target).pending]


# -- everything arrived ----------------------------------------------------------------------------------------------


def test_a_commit_has_arrived_when_every_stage_has_it(flux: Flux) -> None:
    found = seen(flux.source(), flux.kustomization(), flux.release(), flux.chart(), flux.deployment())
    assert found.converged
    assert found.failures == ()
    assert (found.cluster, found.commit) == ("c", NEW)
    assert found.arrived == (
        "GitRepository flux-system/flux-system",
        "Kustomization flux-system/flux-system",
        "HelmRelease demo/demo",
        "Deployment demo/web",
    )


def test_a_later_commit_will_do(flux: Flux) -> None:
    assert seen(flux.source(LATER), flux.kustomization(LATER)).converged
    assert seen(flux.source(LATER), flux.kustomization(NEW)).converged


def test_a_value_that_has_arrived_as_something_else_is_told_beside(flux: Flux, build: Build) -> None:
    spec = {"path": "./apps", "postBuild": {"substituteFrom": [{"kind": "Secret", "name": "words"}]}}
    words = KubeObject({**build("Secret", "words").raw, "data": {"WORD": ""}})
    target = replace(TARGET, text={"apps": "a: ${WORD}"}.__getitem__)
    found = seen(flux.source(), flux.kustomization(spec=spec), words, target=target)
    assert found.converged
    [told] = found.warnings
    assert told.startswith("WORD of Secret flux-system/words")


def test_nothing_at_all_is_not_arrival(flux: Flux) -> None:
    nothing = f"the cluster: no GitRepository follows branch main of {URL}"
    assert pending() == [("waiting", nothing)]
    assert pending(flux.source(spec={"url": "https://github.com/acme/other.git"})) == [("waiting", nothing)]
    assert not Convergence(cluster="c", commit=NEW, arrived=(), pending=()).converged


# -- what must change first ------------------------------------------------------------------------------------------


def test_the_first_that_is_not_ready_must_change_before_the_commit_can_have_arrived(flux: Flux) -> None:
    installing = {"Ready": ("Unknown", "Progressing", "installing")}
    release = flux.release(conditions=installing)
    web = flux.deployment(ready=False)
    behind = blocker(flux.source(), flux.kustomization(), release, flux.chart(), web)
    assert behind == Blocker.of(HELM_RELEASE, release)
    assert blocker(flux.source(), flux.kustomization(), flux.release(), web) == Blocker.of(DEPLOYMENT, web)


def test_nothing_need_change_of_what_waits_for_another_or_is_suspended_or_has_arrived(flux: Flux) -> None:
    suspended = flux.kustomization(OLD, spec={"suspend": True}, conditions={"Ready": ("False", "X", "y")})
    for kustomization, converged in (
        (flux.kustomization(), True),
        (flux.kustomization(OLD), False),
        (suspended, False),
    ):
        assert seen(flux.source(), kustomization).converged is converged
        assert blocker(flux.source(), kustomization) is None


class Held:
    """An API that holds one object, or none."""

    def __init__(self, held: KubeObject | None) -> None:
        self.held = held

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        assert (resource, name, namespace) == (DEPLOYMENT, "web", "demo")
        return self.held


def test_what_must_change_stands_until_it_changes_or_goes(build: Build) -> None:
    one, other = (build("Deployment", "web", namespace="demo", metadata={"resourceVersion": v}) for v in ("1", "2"))
    web = Blocker.of(DEPLOYMENT, one)
    assert web.stands(cast("KubeApi", Held(one)))
    assert not web.stands(cast("KubeApi", Held(other)))
    assert not web.stands(cast("KubeApi", Held(None)))


# -- the order of cause and effect -----------------------------------------------------------------------------------


def test_stages_are_read_in_the_order_of_cause_and_effect(flux: Flux) -> None:
    cluster = Cluster(flux.source(), flux.kustomization(), flux.release(), flux.chart(), flux.deployment())
    look_at(cluster)
    order = ["GitRepository", "Kustomization", "HelmRelease", "Deployment"]
    assert [kind for kind in cluster.asked if kind in order] == order


def test_below_a_source_at_the_old_revision_nothing_is_even_looked_at(flux: Flux) -> None:
    cluster = Cluster(flux.source(OLD), flux.kustomization(OLD), flux.release(), flux.deployment())
    found, _ = look_at(cluster)
    assert cluster.asked == ["GitRepository"]
    assert found.arrived == ()
    assert [str(entry) for entry in found.pending] == [
        "GitRepository flux-system/flux-system: its artifact is at main@sha1:aaaaaaaaaa"
    ]


def test_everything_ready_at_the_old_revision_has_not_arrived(flux: Flux) -> None:
    assert not seen(flux.source(OLD), flux.kustomization(OLD), flux.release(), flux.deployment()).converged
    found = seen(flux.source(NEW), flux.kustomization(OLD), flux.release(), flux.chart(), flux.deployment())
    assert found.arrived == ("GitRepository flux-system/flux-system",)
    [late] = map(str, found.pending)
    assert late == (
        "Kustomization flux-system/flux-system: has applied main@sha1:aaaaaaaaaa, and looks by itself within 10m0s"
        " (fluxlab flux reconcile kustomization flux-system -n flux-system)"
    )


STAGES = ("source", "kustomization", "release", "deployment")


@pytest.mark.parametrize("late", [set(late) for n in range(1, 5) for late in itertools.combinations(STAGES, n)])
def test_whichever_stages_are_late_the_first_of_them_is_where_arrival_ends(flux: Flux, late: set[str]) -> None:
    waiting = {"Ready": ("Unknown", "Progressing", "in progress")}
    found = seen(
        flux.source(OLD if "source" in late else NEW),
        flux.kustomization(OLD if "kustomization" in late else NEW),
        flux.release(**({"conditions": waiting} if "release" in late else {})),
        flux.chart(),
        flux.deployment(ready="deployment" not in late),
    )
    assert not found.converged
    assert len(found.arrived) == min(STAGES.index(stage) for stage in late)
    assert len(found.pending) == 1


# -- sources ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theirs", "ours"), list(itertools.product([URL, URL.removesuffix(".git")], repeat=2)))
def test_a_url_is_the_same_with_and_without_git(flux: Flux, theirs: str, ours: str) -> None:
    target = Target(url=ours, branch="main", commit=NEW, accepted=frozenset({NEW}))
    assert seen(flux.source(spec={"url": theirs}), target=target).converged


@pytest.mark.parametrize(
    "reference",
    [
        {"branch": "other"},
        {},
        {"branch": "main", "commit": NEW},
        {"branch": "main", "tag": "v1"},
        {"semver": ">=1.0.0"},
        {"name": "refs/tags/v1"},
    ],
)
def test_other_branches_and_pinned_references_do_not_follow_the_branch(flux: Flux, reference: dict[str, str]) -> None:
    assert "no GitRepository follows branch main" in pending(flux.source(spec={"ref": reference}))[0][1]


def test_without_a_reference_flux_follows_master(flux: Flux) -> None:
    target = Target(url=URL, branch="master", commit=NEW, accepted=frozenset({NEW}))
    assert seen(flux.source(spec={"ref": {}}), target=target).converged
    assert seen(flux.source(spec={"ref": None}), target=target).converged


def test_a_source_that_cannot_fetch_says_why(flux: Flux) -> None:
    broken = flux.source(OLD, conditions={"Ready": ("False", "GitOperationFailed", "authentication required")})
    found = seen(broken).pending
    assert [(entry.object, entry.outlook) for entry in found] == [(str(broken), Outlook.WAITING)]
    assert found[0].why == ("its artifact is at main@sha1:aaaaaaaaaa (GitOperationFailed: authentication required)")


def test_a_source_without_an_artifact_is_waited_for(flux: Flux) -> None:
    text = pending(flux.source("", observed=-1, conditions={}))[0][1]
    assert "its artifact is at no revision (its controller has not seen the new spec yet)" in text


def test_a_stalled_source_has_failed(flux: Flux) -> None:
    stalled = flux.source(OLD, conditions={"Stalled": ("True", "URLInvalid", "bad url")})
    assert pending(stalled)[0][0] == "failed"


def test_a_suspended_source_is_named(flux: Flux) -> None:
    text = pending(flux.source(OLD, spec={"suspend": True}))[0][1]
    assert "is suspended" in text


def test_a_source_that_the_commit_suspends_has_arrived_with_its_artifact(flux: Flux) -> None:
    assert seen(flux.source(spec={"suspend": True}), flux.kustomization()).converged


def test_a_source_with_the_commit_whose_spec_just_changed_has_not_arrived(flux: Flux) -> None:
    cluster = Cluster(flux.source(NEW, generation=3, observed=2, conditions={"Ready": (*READY, 2)}))
    found, _ = look_at(cluster)
    assert [entry.why for entry in found.pending] == ["its controller has not seen the new spec yet"]


def test_of_two_sources_both_must_have_it_and_one_does_not_hide_the_other(flux: Flux) -> None:
    second = flux.source(OLD, name="second")
    waiting = flux.kustomization(OLD, name="of-second", spec={"sourceRef": {"kind": "GitRepository", "name": "second"}})
    found = seen(flux.source(), second, flux.kustomization(), waiting)
    assert found.arrived == ("GitRepository flux-system/flux-system", "Kustomization flux-system/flux-system")
    assert [entry.object for entry in found.pending] == ["GitRepository flux-system/second"]


# -- Kustomizations --------------------------------------------------------------------------------------------------


def test_a_source_is_meant_in_the_kustomizations_namespace_unless_it_names_one(flux: Flux) -> None:
    reference = {"kind": "GitRepository", "name": "flux-system"}
    own = flux.kustomization(OLD, name="tenant", namespace="tenant", spec={"sourceRef": reference})
    assert seen(flux.source(), flux.kustomization(), own).converged  # of another source: none of ours
    named = {**reference, "namespace": "flux-system"}
    crossing = flux.kustomization(OLD, name="tenant", namespace="tenant", spec={"sourceRef": named})
    [(_, text)] = pending(flux.source(), flux.kustomization(), crossing)
    assert text.startswith("Kustomization tenant/tenant: has applied main@sha1:aaaaaaaaaa")


def test_a_kustomization_of_another_kind_of_source_is_none_of_ours(flux: Flux) -> None:
    other = flux.kustomization(OLD, name="oci", spec={"sourceRef": {"kind": "OCIRepository", "name": "flux-system"}})
    assert seen(flux.source(), flux.kustomization(), other).converged


def test_a_kustomization_of_another_kind_of_source_that_the_commit_brought_must_be_ready(flux: Flux) -> None:
    failing = {"Ready": ("False", "BuildFailed", "kustomization.yaml: no such file")}
    reference = {"kind": "OCIRepository", "name": "other"}
    other = flux.kustomization(OLD, name="oci", spec={"sourceRef": reference}, conditions=failing)
    [(_, text)] = pending(flux.source(), flux.kustomization(), other)
    assert text.startswith("Kustomization flux-system/oci: BuildFailed: kustomization.yaml: no such file")
    somebodys = flux.kustomization(OLD, name="oci", spec={"sourceRef": reference}, conditions=failing, labels={})
    assert seen(flux.source(), flux.kustomization(), somebodys).converged


def test_a_kustomization_is_not_judged_before_the_one_that_applies_it(flux: Flux) -> None:
    failing = flux.kustomization(
        NEW, name="apps", conditions={"Ready": ("False", "ArtifactFailed", "kustomization path not found: x")}
    )
    found = seen(flux.source(), flux.kustomization(OLD), failing)
    assert found.failures == ()
    assert [f"{entry.object}: {entry.why}" for entry in found.pending] == [
        "Kustomization flux-system/flux-system: has applied main@sha1:aaaaaaaaaa, and looks by itself within 10m0s",
        "Kustomization flux-system/apps: Kustomization flux-system/flux-system has not applied this commit yet",
    ]


def test_children_are_judged_after_their_parents_whatever_their_names(flux: Flux) -> None:
    child = flux.kustomization(name="a-child", labels={**APPS})
    parent = flux.kustomization(name="apps")
    assert seen(flux.source(), child, parent, flux.kustomization()).arrived[1:] == (
        "Kustomization flux-system/flux-system",
        "Kustomization flux-system/apps",
        "Kustomization flux-system/a-child",
    )


def test_kustomizations_that_claim_to_apply_each_other_end_the_look_all_the_same(flux: Flux) -> None:
    labels = {
        name: {"kustomize.toolkit.fluxcd.io/name": other, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
        for name, other in (("a", "b"), ("b", "a"))
    }
    objects = [flux.kustomization(name=name, labels=labels[name]) for name in labels]
    assert not seen(flux.source(), *objects).converged


def test_a_kustomization_that_lags_behind_its_spec_is_waited_for(flux: Flux) -> None:
    lagging = flux.kustomization(generation=3, observed=2, conditions={"Ready": (*READY, 2)})
    assert pending(flux.source(), lagging)[0][1].endswith("its controller has not seen the new spec yet")


def test_a_kustomization_at_work_is_waited_for(flux: Flux) -> None:
    working = flux.kustomization(
        conditions={"Ready": READY, "Reconciling": ("True", "Progressing", "Running health checks")}
    )
    assert pending(flux.source(), working)[0] == (
        "waiting",
        "Kustomization flux-system/flux-system: Progressing: Running health checks",
    )


def test_a_suspended_kustomization_is_named(flux: Flux) -> None:
    assert "is suspended" in pending(flux.source(), flux.kustomization(OLD, spec={"suspend": True}))[0][1]


def test_a_kustomization_that_is_being_deleted_is_waited_for(flux: Flux) -> None:
    going = flux.kustomization(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert pending(flux.source(), going)[0][1].endswith("is being deleted")


FAILURES = [
    ("BuildFailed", 'kustomize build failed: mapping key "apiVersion" already defined at line 1', "failed"),
    ("ArtifactFailed", "kustomization path not found: stat /tmp/x/apps: no such file or directory", "failed"),
    ("ArtifactFailed", "artifact not found", "waiting"),
    ("ReconciliationFailed", "Deployment/demo/x dry-run failed: spec.selector: field is immutable", "failed"),
    ("HealthCheckFailed", "timeout waiting for: [Deployment/demo/x status: 'InProgress']", "waiting"),
]


@pytest.mark.parametrize(("reason", "message", "outlook"), FAILURES)
def test_a_failure_at_the_commit_is_terminal_or_waited_for_and_quoted_in_full(
    flux: Flux, reason: str, message: str, outlook: str
) -> None:
    failing = flux.kustomization(
        OLD,
        status={"lastAttemptedRevision": f"main@sha1:{NEW}"},
        conditions={"Ready": ("False", reason, message)},
    )
    assert pending(flux.source(), failing) == [(outlook, f"Kustomization flux-system/flux-system: {reason}: {message}")]


MENDED = replace(TARGET, mended=datetime(2026, 5, 4, 3, 2, 1, 500_000, tzinfo=UTC))
BEFORE, AFTER = "2026-05-04T03:02:01Z", "2026-05-04T03:02:02Z"
STALLED = {"Ready": ("False", "InvalidChartReference", "no chart"), "Stalled": ("True", "InvalidChartReference", "no")}


@pytest.mark.parametrize(("told", "outlook"), [(BEFORE, "waiting"), (AFTER, "failed")])
def test_what_failed_before_something_was_mended_may_not_fail_again(flux: Flux, told: str, outlook: str) -> None:
    refused = {"Ready": ("False", "ReconciliationFailed", "ConfigMap/x dry-run failed (Invalid): denied")}
    tried = {"lastAttemptedRevision": f"main@sha1:{NEW}"}
    failing = flux.kustomization(OLD, status=tried, conditions=refused, since=told)
    waits = {"conditions": {"Ready": ("False", "SourceNotReady", "HelmChart is not ready")}, "since": told}
    chart = flux.chart(conditions=STALLED, since=told)
    for objects in (
        (flux.source(), failing),
        (flux.source(OLD, conditions=STALLED, since=told),),
        (flux.source(), flux.kustomization(), flux.release(**waits), chart),
        (flux.source(), flux.kustomization(), flux.release(conditions=STALLED, since=told)),
    ):
        assert [found for found, _ in pending(*objects)] == ["failed"]
        assert [found for found, _ in pending(*objects, target=MENDED)] == [outlook]


def test_a_release_that_has_given_up_is_not_tried_again_by_itself(flux: Flux) -> None:
    given_up = {**STALLED, "Stalled": ("True", "RetriesExceeded", "Failed to upgrade after 2 attempt(s)")}
    release = flux.release(conditions=given_up, since=BEFORE)
    found = pending(flux.source(), flux.kustomization(), release, target=MENDED)
    assert [outlook for outlook, _ in found] == ["failed"]


def test_a_failure_that_was_tried_again_since_something_was_mended_is_one(flux: Flux) -> None:
    """A condition that says the same again has the time of the first failure."""
    status = {"lastAttemptedRevision": f"main@sha1:{NEW}", "history": [{"lastReconciled": AFTER}]}
    refused = {"Ready": ("False", "ReconciliationFailed", "ConfigMap/x dry-run failed (Invalid): denied")}
    failing = flux.kustomization(OLD, status=status, conditions=refused, since=BEFORE)
    assert [found for found, _ in pending(flux.source(), failing, target=MENDED)] == ["failed"]


def test_a_job_in_the_way_is_waited_for_if_it_goes_by_itself(flux: Flux, build: Build) -> None:
    immutable = ("False", "ReconciliationFailed", "Job/demo/once dry-run failed (Invalid): x: field is immutable")
    tried = {"lastAttemptedRevision": f"main@sha1:{NEW}"}
    failing = flux.kustomization(OLD, status=tried, conditions={"Ready": immutable})
    for spec, outlook in (({}, "failed"), ({"ttlSecondsAfterFinished": 60}, "waiting")):
        job = build("Job", "once", namespace="demo", spec=spec)
        assert [found for found, _ in pending(flux.source(), failing, job)] == [outlook]


def test_a_secret_with_keys_that_is_missing_is_asked_for(flux: Flux) -> None:
    spec = {"decryption": {"provider": "sops", "secretRef": {"name": "sops-age"}}}
    keyless = {"Ready": ("False", "BuildFailed", 'secrets "sops-age" not found')}
    tried = {"lastAttemptedRevision": f"main@sha1:{NEW}"}
    [found] = seen(flux.source(), flux.kustomization(OLD, spec=spec, status=tried, conditions=keyless)).pending
    assert found.outlook is Outlook.ASKING
    assert found.next == "fluxlab secret set flux-system/sops-age age.agekey"


@pytest.mark.parametrize(("reason", "message", "outlook"), FAILURES)
def test_a_failure_at_the_commit_before_is_never_terminal(flux: Flux, reason: str, message: str, outlook: str) -> None:
    assert outlook
    failing = flux.kustomization(OLD, conditions={"Ready": ("False", reason, message)})
    assert pending(flux.source(), failing)[0][0] == "waiting"


def test_an_attempt_is_also_told_by_the_reconciling_condition(flux: Flux) -> None:
    told = f"Fetching manifests for revision main@sha1:{NEW} with a timeout of 9m30s"
    failing = flux.kustomization(
        OLD,
        conditions={
            "Ready": ("False", "ArtifactFailed", "kustomization path not found: x"),
            "Reconciling": ("True", "ProgressingWithRetry", told),
        },
    )
    assert pending(flux.source(), failing)[0][0] == "failed"


# -- what Kustomizations brought -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["HelmRepository", "OCIRepository", "Bucket"])
def test_a_source_that_the_commit_brought_must_be_ready(flux: Flux, build: Build, kind: str) -> None:
    failing = {"Ready": ("False", "Failed", "failed to fetch Helm repository index: 503")}
    source = build(kind, "otel", labels=SYSTEM, conditions=failing)
    assert pending(flux.source(), flux.kustomization(), source) == [
        ("waiting", f"{kind} flux-system/otel: Failed: failed to fetch Helm repository index: 503")
    ]


def test_a_git_repository_of_another_url_or_a_tag_that_the_commit_brought_must_be_ready(flux: Flux) -> None:
    failing = {"Ready": ("False", "GitOperationFailed", "couldn't find remote ref")}
    for spec in ({"url": "https://github.com/acme/other.git"}, {"ref": {"tag": "v9"}}):
        other = flux.source("", name="other", spec=spec, conditions=failing, labels=SYSTEM)
        assert pending(flux.source(), flux.kustomization(), other) == [
            ("waiting", "GitRepository flux-system/other: GitOperationFailed: couldn't find remote ref")
        ]


@pytest.mark.parametrize("kind", ["HelmRepository", "OCIRepository", "Bucket"])
def test_a_source_that_the_commit_suspends_has_arrived(flux: Flux, build: Build, kind: str) -> None:
    for conditions in ({"Ready": READY}, {}):
        source = build(kind, "otel", labels=SYSTEM, spec={"suspend": True}, conditions=conditions)
        assert seen(flux.source(), flux.kustomization(), source).converged


def test_a_source_of_somebody_else_is_not_judged(flux: Flux, build: Build) -> None:
    foreign = build("HelmRepository", "otel", conditions={"Ready": ("False", "Failed", "x")})
    assert seen(flux.source(), flux.kustomization(), foreign).converged


def test_a_helm_repository_of_type_oci_has_no_status_and_is_skipped(flux: Flux, build: Build) -> None:
    address = build("HelmRepository", "causely", labels=SYSTEM, spec={"type": "oci"}, observed=0)
    assert seen(flux.source(), flux.kustomization(), address).converged


# -- releases --------------------------------------------------------------------------------------------------------

NOT_YET = {"Ready": ("False", "SourceNotReady", "HelmChart 'flux-system/demo-demo' is not ready")}


def test_a_release_that_waits_for_its_chart_quotes_the_chart(flux: Flux) -> None:
    chart = flux.chart(conditions={"Ready": ("False", "FetchFailed", "503 Service Unavailable")})
    found = pending(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET), chart)
    assert len(found) == 1
    outlook, text = found[0]
    assert outlook == "waiting"
    assert text.startswith("HelmRelease demo/demo: waits for HelmChart flux-system/demo-demo")
    assert text.endswith("FetchFailed: 503 Service Unavailable")
    assert "opentelemetry-demo 9.9.9" in text


def test_a_release_whose_chart_is_stalled_has_failed(flux: Flux) -> None:
    why = "no 'opentelemetry-demo' chart with version matching '9.9.9' found"
    chart = flux.chart(
        conditions={
            "Ready": ("False", "InvalidChartReference", why),
            "Stalled": ("True", "InvalidChartReference", why),
        }
    )
    outlook, text = pending(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET), chart)[0]
    assert outlook == "failed"
    assert text.endswith(f"Stalled InvalidChartReference: {why}")


def test_a_ready_release_does_not_care_that_its_chart_cannot_be_fetched_again(flux: Flux) -> None:
    chart = flux.chart(conditions={"Ready": ("False", "FetchFailed", "503")})
    assert seen(flux.source(), flux.kustomization(), flux.release(), chart).converged


def test_a_release_whose_chart_is_not_there_yet_speaks_for_itself(flux: Flux) -> None:
    outlook, text = pending(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET))[0]
    assert outlook == "waiting"
    assert text.startswith("HelmRelease demo/demo: SourceNotReady: ")


def test_a_stalled_release_has_failed(flux: Flux) -> None:
    why = "Failed to install after 1 attempt(s)"
    stalled = flux.release(
        conditions={"Ready": ("False", "InstallFailed", "timeout"), "Stalled": ("True", "RetriesExceeded", why)}
    )
    assert pending(flux.source(), flux.kustomization(), stalled, flux.chart())[0] == (
        "failed",
        f"HelmRelease demo/demo: Stalled RetriesExceeded: {why}",
    )


GIVEN_UP = {
    "Ready": ("False", "InstallFailed", "timeout"),
    "Stalled": ("True", "RetriesExceeded", "Failed to install after 1 attempt(s)"),
}


def given_up(build: Build, *, attempted: str, reason: str = "RetriesExceeded", **spec: Any) -> KubeObject:
    """A release that failed with the chart that it attempted last, and is not tried again as it is."""
    conditions = {**GIVEN_UP, "Stalled": ("True", reason, "x")}
    status = {"helmChart": "flux-system/demo-demo", "lastAttemptedRevision": attempted}
    metadata = {"resourceVersion": "10"}
    return build(
        "HelmRelease",
        "demo",
        namespace="demo",
        spec=spec,
        status=status,
        conditions=conditions,
        labels=SYSTEM,
        metadata=metadata,
    )


@pytest.mark.parametrize("reason", ["RetriesExceeded", "MissingRollbackTarget"])
def test_a_release_that_has_given_up_is_tried_again_with_a_chart_that_it_has_not_tried(
    flux: Flux, build: Build, reason: str
) -> None:
    chart = chart_in_git(build, NEW, conditions={"Ready": READY})
    release = given_up(build, attempted="0.9.0", reason=reason)
    assert pending(flux.source(), flux.kustomization(), release, chart) == [
        ("waiting", "HelmRelease demo/demo: has chart 0.9.0, HelmChart flux-system/demo-demo is at 1.0.0")
    ]
    again = given_up(build, attempted="1.0.0", reason=reason)
    [(outlook, text)] = pending(flux.source(), flux.kustomization(), again, chart)
    assert (outlook, f"Stalled {reason}" in text) == ("failed", True)


def test_a_release_that_has_given_up_is_tried_again_with_another_artifact(flux: Flux, build: Build) -> None:
    there = chart_at(build, "OCIRepository", f"2.0.0@{SECOND}")
    reference = {"kind": "OCIRepository", "name": "shop", "namespace": "flux-system"}
    release = given_up(build, attempted="1.0.0", chartRef=reference)
    assert [found for found, _ in pending(flux.source(), flux.kustomization(), release, there)] == ["waiting"]


def test_a_release_that_is_stalled_otherwise_is_not_tried_with_another_chart(flux: Flux, build: Build) -> None:
    release = given_up(build, attempted="0.9.0", reason="AccessDenied")
    chart = chart_in_git(build, NEW, conditions={"Ready": READY})
    assert [found for found, _ in pending(flux.source(), flux.kustomization(), release, chart)] == ["failed"]


def test_a_release_that_has_given_up_does_not_get_a_chart_that_fails(flux: Flux, build: Build) -> None:
    missing = ("True", "InvalidChartReference", "stat charts/app: no such file or directory")
    chart = chart_in_git(build, NEW, conditions={"Stalled": missing})
    release = given_up(build, attempted="0.9.0")
    assert [found for found, _ in pending(flux.source(), flux.kustomization(), release, chart)] == ["failed"]


WATCHED = {"reconcile.fluxcd.io/watch": "Enabled"}


@pytest.mark.parametrize(
    ("labels", "at", "outlook"), [(WATCHED, "11", "waiting"), (WATCHED, "9", "failed"), ({}, "11", "failed")]
)
def test_a_release_that_has_given_up_is_tried_again_with_values_of_which_its_controller_hears(
    flux: Flux, build: Build, labels: Mapping[str, str], at: str, outlook: str
) -> None:
    values = build(
        "ConfigMap", "words", namespace="demo", labels={**SYSTEM, **labels}, metadata={"resourceVersion": at}
    )
    release = given_up(build, attempted="1.0.0", valuesFrom=[{"kind": "ConfigMap", "name": "words"}])
    [(found, text)] = pending(flux.source(), flux.kustomization(), release, values)
    assert found == outlook
    assert ("has not been tried with the values of ConfigMap demo/words" in text) is (outlook == "waiting")


def test_a_release_that_the_commit_removes_is_waited_for_whatever_became_of_its_chart(flux: Flux) -> None:
    missing = ("True", "InvalidChartReference", "stat charts/app: no such file or directory")
    going = flux.release(conditions=NOT_YET, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    found = pending(flux.source(), flux.kustomization(), going, flux.chart(conditions={"Stalled": missing}))
    assert found == [("waiting", "HelmRelease demo/demo: is being deleted")]


def chart_in_git(build: Build, revision: str, **changes: Any) -> KubeObject:
    spec = {"chart": "charts/app", "sourceRef": {"kind": "GitRepository", "name": "flux-system"}}
    observed = {"observedSourceArtifactRevision": f"main@sha1:{revision}"} if revision else {}
    status = {**observed, "artifact": {"revision": "1.0.0"}}
    return build("HelmChart", "demo-demo", spec=spec, status=status, **changes)


@pytest.mark.parametrize(("revision", "told"), [(OLD, "main@sha1:aaaaaaaaaa"), ("", "no revision")])
def test_a_chart_in_the_repository_that_failed_before_the_commit_may_still_come(
    flux: Flux, build: Build, revision: str, told: str
) -> None:
    missing = ("True", "InvalidChartReference", "stat charts/app: no such file or directory")
    chart = chart_in_git(build, revision, conditions={"Stalled": missing})
    outlook, text = pending(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET), chart)[0]
    assert outlook == "waiting"
    assert text.endswith(f"it is at {told}")


def test_a_chart_in_the_repository_that_fails_at_the_commit_has_failed(flux: Flux, build: Build) -> None:
    missing = ("True", "InvalidChartReference", "stat charts/app: no such file or directory")
    chart = chart_in_git(build, NEW, conditions={"Stalled": missing})
    outlook, text = pending(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET), chart)[0]
    assert (outlook, text.endswith("no such file or directory")) == ("failed", True)


def test_a_release_that_the_chart_of_a_release_brought_must_be_ready(flux: Flux, build: Build) -> None:
    failing = {"Ready": ("False", "InstallFailed", "no such image")}
    inner = build("HelmRelease", "inner", namespace="demo", labels=HELM, conditions=failing)
    innermost = build(
        "HelmRelease", "innermost", namespace="demo", labels={**HELM, "helm.toolkit.fluxcd.io/name": "inner"}
    )
    assert pending(flux.source(), flux.kustomization(), flux.release(), inner, innermost) == [
        ("waiting", "HelmRelease demo/inner: InstallFailed: no such image")
    ]
    ready = build("HelmRelease", "inner", namespace="demo", labels=HELM, conditions={"Ready": READY})
    [(_, text)] = pending(flux.source(), flux.kustomization(), flux.release(), ready, innermost)
    assert text.startswith("HelmRelease demo/innermost: ")


def test_a_suspended_release_is_named(flux: Flux) -> None:
    suspended = flux.release(spec={"suspend": True})
    assert "is suspended" in pending(flux.source(), flux.kustomization(), suspended, flux.chart())[0][1]


# -- charts that are objects of their own ----------------------------------------------------------------------------

FIRST, SECOND = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def following(build: Build, kind: str, *, attempted: str, digest: str = "", suspend: bool = False) -> KubeObject:
    """A release that is ready, of the chart that it attempted last."""
    spec = {"chartRef": {"kind": kind, "name": "shop", "namespace": "flux-system"}, "suspend": suspend}
    status = {"lastAttemptedRevision": attempted, "lastAttemptedRevisionDigest": digest}
    return build(
        "HelmRelease", "demo", namespace="demo", spec=spec, status=status, conditions={"Ready": READY}, labels=SYSTEM
    )


def chart_at(build: Build, kind: str, revision: str, **changes: Any) -> KubeObject:
    given = {"labels": SYSTEM, "conditions": {"Ready": READY}, **changes}
    return build(kind, "shop", status={"artifact": {"revision": revision}, **given.pop("status", {})}, **given)


@pytest.mark.parametrize(
    ("kind", "there", "digest"),
    [
        ("OCIRepository", f"2.0.0@{SECOND}", SECOND),
        ("OCIRepository", f"latest@{SECOND}", f"latest@{SECOND}"),
        ("HelmChart", "2.0.0", ""),
        ("ExternalArtifact", SECOND, SECOND),
        ("ExternalArtifact", "2.0.0", ""),
    ],
)
def test_a_release_has_arrived_when_it_runs_the_chart_that_it_refers_to(
    flux: Flux, build: Build, kind: str, there: str, digest: str
) -> None:
    chart = chart_at(build, kind, there)
    new = following(build, kind, attempted="2.0.0", digest=digest)
    assert seen(flux.source(), flux.kustomization(), chart, new).converged
    old = following(build, kind, attempted="1.0.0", digest=digest and FIRST)
    [(outlook, text)] = pending(flux.source(), flux.kustomization(), chart, old)
    assert outlook == "waiting"
    assert text.startswith("HelmRelease demo/demo: has chart ")
    assert f"{kind} flux-system/shop is at {there[:5]}" in text


def test_a_chart_that_changed_below_a_suspended_release_never_arrives(flux: Flux, build: Build) -> None:
    chart = chart_at(build, "OCIRepository", f"2.0.0@{SECOND}")
    held = following(build, "OCIRepository", attempted="1.0.0", digest=FIRST, suspend=True)
    [(outlook, text)] = pending(flux.source(), flux.kustomization(), chart, held)
    assert (outlook, "what changed in its OCIRepository flux-system/shop" in text) == ("failed", True)


def test_a_chart_that_the_commit_brought_must_be_ready(flux: Flux, build: Build) -> None:
    failing = {"Ready": ("False", "ChartPullError", "no 'shop' chart with version matching '9.x'")}
    chart = chart_at(build, "HelmChart", "2.0.0", conditions=failing)
    release = following(build, "HelmChart", attempted="2.0.0")
    assert pending(flux.source(), flux.kustomization(), chart, release) == [
        ("waiting", "HelmChart flux-system/shop: ChartPullError: no 'shop' chart with version matching '9.x'")
    ]


@pytest.mark.parametrize(("revision", "told"), [(OLD, "main@sha1:aaaaaaaaaa"), ("", "no revision")])
def test_a_chart_of_the_commit_that_lies_in_the_repository_is_waited_for_with_its_release(
    flux: Flux, build: Build, revision: str, told: str
) -> None:
    observed = {"observedSourceArtifactRevision": f"main@sha1:{revision}"} if revision else {}
    spec = {"chart": "charts/shop", "sourceRef": {"kind": "GitRepository", "name": "flux-system"}}
    chart = chart_at(build, "HelmChart", "1.0.0", spec=spec, status=observed)
    release = following(build, "HelmChart", attempted="1.0.0")
    wanted = "HelmChart flux-system/shop (charts/shop * from GitRepository flux-system)"
    assert pending(flux.source(), flux.kustomization(), chart, release) == [
        ("waiting", f"HelmChart flux-system/shop: it is at {told}"),
        ("waiting", f"HelmRelease demo/demo: waits for {wanted}: it is at {told}"),
    ]


# -- what is suspended -----------------------------------------------------------------------------------------------


def frozen(flux: Flux, **changes: Any) -> KubeObject:
    return flux.kustomization(OLD, name="apps", spec={"suspend": True, "path": "./apps"}, **changes)


def apps_in_git(*, interval: str = "1m", suspend: str = "") -> str:
    spec = f"spec: {{interval: {interval}{suspend}}}"
    return (
        f"kind: ConfigMap\nmetadata: {{name: {interval}}}\n---\nkind: Kustomization\nmetadata: {{name: apps}}\n{spec}\n"
    )


def of_commits(**texts: tuple[str, str]) -> Target:
    """What folders say before the commit, and with it."""

    def text_at(commit: str) -> Callable[[str], str]:
        return lambda path: texts.get(path, ("", ""))[commit == NEW]

    return Target(
        url=URL, branch="main", commit=NEW, accepted=frozenset({NEW, LATER}), text=text_at(NEW), text_at=text_at
    )


def suspended(flux: Flux, target: Target) -> Convergence:
    return seen(flux.source(), flux.kustomization(spec={"path": "./clusters"}), frozen(flux), target=target)


def test_a_commit_that_only_suspends_has_arrived_with_the_suspension(flux: Flux) -> None:
    clusters = apps_in_git(), apps_in_git(suspend=", suspend: true")
    assert suspended(flux, of_commits(apps=("a: 1", "a: 1"), clusters=clusters)).converged


def test_what_changes_below_what_is_suspended_never_arrives(flux: Flux) -> None:
    clusters = apps_in_git(), apps_in_git(suspend=", suspend: true")
    [failure] = suspended(flux, of_commits(apps=("a: 1", "a: 2"), clusters=clusters)).failures
    assert failure.object == "Kustomization flux-system/apps"
    assert failure.why == "is suspended: what changed in ./apps since main@sha1:aaaaaaaaaa does not arrive"


def test_what_else_changes_of_a_spec_that_is_suspended_never_arrives(flux: Flux) -> None:
    clusters = apps_in_git(), apps_in_git(interval="2m", suspend=", suspend: true")
    [failure] = suspended(flux, of_commits(apps=("a: 1", "a: 1"), clusters=clusters)).failures
    assert failure.why == "is suspended: what this commit changes of its spec does not arrive"


PARKED = apps_in_git(suspend=", suspend: true")
NEVER_BUILT = {"status": {"lastAppliedRevision": ""}, "conditions": {"Ready": ("False", "BuildFailed", "bad yaml")}}


def parked(flux: Flux, target: Target, *more: KubeObject, **changes: Any) -> Convergence:
    """What is seen of a Kustomization that failed before it was suspended."""
    given = {"path": "./apps", "suspend": True, **changes.pop("spec", {})}
    failing = flux.kustomization(OLD, name="apps", spec=given, **{**NEVER_BUILT, **changes})
    root = flux.kustomization(spec={"path": "./clusters"}, labels={})
    return seen(flux.source(), root, failing, *more, target=target)


def test_what_was_failing_when_it_was_suspended_is_no_matter_of_later_commits(flux: Flux) -> None:
    clusters = PARKED, f"{PARKED}---\nkind: ConfigMap\nmetadata: {{name: more}}\n"
    assert parked(flux, of_commits(apps=("a: 1", "a: 1"), clusters=clusters)).converged
    assert parked(flux, of_commits(apps=("a: 1", "a: 1"), clusters=clusters), conditions={}).converged
    more = f"{PARKED}---\nresources: [apps]\n", f"{PARKED}---\nresources: [apps, more]\n"
    assert parked(flux, of_commits(apps=("a: 1", "a: 1"), clusters=more)).converged


def test_what_changed_below_before_a_commit_is_no_matter_of_that_commit(flux: Flux) -> None:
    """Of what is suspended since long it has not applied what others have committed meanwhile."""
    texts = {OLD: "a: 0", f"{NEW}^": "a: 1", NEW: "a: 1"}

    def text_at(commit: str) -> Callable[[str], str]:
        return lambda path: {"apps": texts[commit], "clusters": PARKED}.get(path, "")

    target = replace(TARGET, text=text_at(NEW), text_at=text_at)
    assert suspended(flux, target).converged
    texts[NEW] = "a: 2"
    assert suspended(flux, target).failures


def test_a_commit_that_suspends_what_is_failing_has_not_arrived(flux: Flux) -> None:
    clusters = apps_in_git(), PARKED
    [failure] = parked(flux, of_commits(apps=("a: 1", "a: 1"), clusters=clusters)).failures
    assert failure.why == "is suspended: what it had not applied does not arrive"


@pytest.mark.parametrize(
    ("apps", "clusters"),
    [
        (("a: 1", "a: 2"), (PARKED, PARKED)),
        (("", ""), (PARKED, PARKED)),
        (("a: 1", "a: 1"), (PARKED, apps_in_git(interval="2m", suspend=", suspend: true"))),
        (("a: 1", "a: 1"), ("", PARKED)),
        (("a: 1", "a: 1"), (f"{PARKED}---\nresources: [a]\n", f"{PARKED}---\nresources: [b]\n")),
        (("a: 1", "a: 1"), (f"{PARKED}---\nresources: [a]\n", f"{PARKED}---\nresources: [a]\nnamePrefix: x-\n")),
        (("a: 1", "a: 1"), (PARKED, f"{PARKED}---\nresources: [a]\n")),
    ],
)
def test_a_commit_that_changes_something_below_what_was_failing_when_it_was_suspended_has_not_arrived(
    flux: Flux, apps: tuple[str, str], clusters: tuple[str, str]
) -> None:
    assert parked(flux, of_commits(apps=apps, clusters=clusters)).failures


def test_what_somebody_suspended_by_hand_was_not_suspended_by_git(flux: Flux) -> None:
    assert parked(flux, of_commits(apps=("a: 1", "a: 1"), clusters=(apps_in_git(), apps_in_git()))).failures


def test_a_base_that_changed_below_what_is_suspended_never_arrives(flux: Flux) -> None:
    apps = "resources: [../base]", "resources: [../base]"
    assert suspended(flux, of_commits(apps=apps, base=("a: 1", "a: 1"), clusters=(PARKED, PARKED))).converged
    assert suspended(flux, of_commits(apps=apps, base=("a: 1", "a: 2"), clusters=(PARKED, PARKED))).failures


def test_variables_that_a_commit_changes_below_what_was_failing_when_it_was_suspended_have_not_arrived(
    flux: Flux, build: Build
) -> None:
    spec = {"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "words"}]}}
    words = build("ConfigMap", "words", labels=SYSTEM)
    before, after = (f"{PARKED}---\nkind: ConfigMap\nmetadata: {{name: words}}\ndata: {{a: '{n}'}}\n" for n in (1, 2))
    same = of_commits(apps=("a: 1", "a: 1"), clusters=(before, before))
    assert parked(flux, same, words, spec=spec).converged
    other = of_commits(apps=("a: 1", "a: 1"), clusters=(before, after))
    assert parked(flux, other, words, spec=spec).failures


def test_sources_and_workloads_of_what_was_failing_when_it_was_suspended_may_fail_too(flux: Flux, build: Build) -> None:
    failing = {"Ready": ("False", "Failed", "failed to fetch Helm repository index: 503")}
    charts = build("HelmRepository", "otel", labels=APPS, conditions=failing)
    web = flux.deployment(ready=False, labels=APPS)
    target = of_commits(apps=("a: 1", "a: 1"), clusters=(PARKED, PARKED))
    assert parked(flux, target, charts, web).converged
    assert not parked(flux, target, charts, conditions={"Ready": READY}).converged
    assert not parked(flux, target, web, conditions={"Ready": READY}).converged


RELEASE_IN_GIT = """\
kind: HelmRelease
metadata: {name: demo}
spec: {suspend: true, values: {replicas: 1}}
---
kind: OCIRepository
metadata: {name: shop}
spec: {ref: {tag: 1.0.0}}
---
kind: ConfigMap
metadata: {name: words}
data: {values.yaml: "a: 1"}
"""
PATCHED = """\
kind: HelmRelease
metadata: {name: demo}
spec: {values: {replicas: 1}}
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
patches:
- patch: |
    kind: HelmRelease
    metadata: {name: demo}
    spec: {suspend: true}
"""


ROOTS = (("flux-system", "./clusters"), ("apps", "./apps"))


def parked_release(flux: Flux, build: Build, target: Target, **spec: Any) -> Convergence:
    """What is seen of a release that was suspended before it was ever installed, and of what it refers to."""
    release = build("HelmRelease", "demo", namespace="demo", spec={"suspend": True, **spec}, labels=SYSTEM)
    shop = build(
        "OCIRepository",
        "shop",
        namespace="demo",
        labels=SYSTEM,
        status={"artifact": {"revision": f"2.0.0@{SECOND}"}},
        conditions={"Ready": READY},
    )
    words = build("ConfigMap", "words", namespace="demo", labels=SYSTEM)
    root = flux.kustomization(spec={"path": "./clusters"}, labels={})
    return seen(flux.source(), root, release, shop, words, target=target)


@pytest.mark.parametrize("git", [RELEASE_IN_GIT, PATCHED])
def test_a_release_that_was_suspended_before_it_was_installed_is_no_matter_of_later_commits(
    flux: Flux, build: Build, git: str
) -> None:
    target = of_commits(clusters=(git, f"{git}---\nkind: ConfigMap\nmetadata: {{name: more}}\n"))
    assert parked_release(flux, build, target).converged


@pytest.mark.parametrize(
    ("this", "that"), [("replicas: 1", "replicas: 2"), (", values", ", interval: 1m, values"), ("true", "false")]
)
def test_what_a_commit_changes_of_a_release_that_was_never_installed_has_not_arrived(
    flux: Flux, build: Build, this: str, that: str
) -> None:
    for before, after in itertools.permutations((RELEASE_IN_GIT, RELEASE_IN_GIT.replace(this, that))):
        [failure] = parked_release(flux, build, of_commits(clusters=(before, after))).failures
        assert failure.why == "is suspended: what it had not released does not arrive"


def test_a_release_of_the_same_name_elsewhere_says_nothing_of_this_one(flux: Flux, build: Build) -> None:
    other = RELEASE_IN_GIT.replace("{name: demo}", "{name: demo, namespace: other}")
    git = RELEASE_IN_GIT.replace("suspend: true, ", "") + f"---\n{other}"
    assert parked_release(flux, build, of_commits(clusters=(git, git))).failures


def test_what_a_commit_changes_of_the_kustomization_that_applies_what_is_suspended_has_not_arrived(
    flux: Flux, build: Build
) -> None:
    """It may patch what it applies."""
    release = build("HelmRelease", "demo", namespace="demo", spec={"suspend": True}, labels=APPS)
    root, apps = (flux.kustomization(name=name, spec={"path": path}) for name, path in ROOTS)
    for before, after in itertools.product(("1m", "2m"), repeat=2):
        clusters = apps_in_git(interval=before), apps_in_git(interval=after)
        target = of_commits(clusters=clusters, apps=(RELEASE_IN_GIT, RELEASE_IN_GIT))
        assert seen(flux.source(), root, apps, release, target=target).converged is (before == after)


REFERENCE = {"chartRef": {"kind": "OCIRepository", "name": "shop"}}
READING = {"valuesFrom": [{"kind": "ConfigMap", "name": "words"}, {"kind": "Secret", "name": "by-hand"}]}


@pytest.mark.parametrize(
    ("spec", "this", "that"),
    [(REFERENCE, "tag: 1.0.0", "tag: 2.0.0"), (READING, "a: 1", "a: 2")],
)
def test_what_a_commit_changes_below_a_release_that_was_never_installed_has_not_arrived(
    flux: Flux, build: Build, spec: Mapping[str, Any], this: str, that: str
) -> None:
    after = RELEASE_IN_GIT.replace(this, that)
    assert parked_release(flux, build, of_commits(clusters=(RELEASE_IN_GIT, RELEASE_IN_GIT)), **spec).converged
    assert parked_release(flux, build, of_commits(clusters=(RELEASE_IN_GIT, after)), **spec).failures
    assert parked_release(flux, build, of_commits(clusters=(RELEASE_IN_GIT, after))).converged


def test_a_chart_in_git_that_changed_below_a_release_that_was_never_installed_has_not_arrived(
    flux: Flux, build: Build
) -> None:
    git = RELEASE_IN_GIT, RELEASE_IN_GIT
    source = {"kind": "GitRepository", "name": "flux-system", "namespace": "flux-system"}
    lying = {"chart": {"spec": {"chart": "./charts/shop", "valuesFiles": ["./prod.yaml"], "sourceRef": source}}}
    for path, same, other in (("charts/shop", "v: 1", "v: 2"), ("prod.yaml", "a: 1", "a: 2")):
        texts = {"clusters": git, "charts/shop": ("v: 1", "v: 1"), path: (same, same)}
        assert parked_release(flux, build, of_commits(**texts), **lying).converged
        assert parked_release(flux, build, of_commits(**{**texts, path: (same, other)}), **lying).failures
    assert parked_release(flux, build, of_commits(clusters=git), **lying).failures, "nothing is known of its chart"
    elsewhere = {"chart": {"spec": {"chart": "./shop", "sourceRef": {**source, "name": "other"}}}}
    assert parked_release(flux, build, of_commits(clusters=git), **elsewhere).converged


def test_what_a_release_reads_and_nobody_may_see_is_not_taken_for_unchanged(
    flux: Flux, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*_: object, **__: object) -> KubeObject:
        raise ApiError("secrets demo/by-hand", status=403, message="forbidden")

    monkeypatch.setattr(Cluster, "find", find)
    assert parked_release(flux, build, of_commits(clusters=(RELEASE_IN_GIT, RELEASE_IN_GIT)), **READING).failures


def test_the_workloads_of_a_release_that_was_failing_when_it_was_suspended_may_fail_too(flux: Flux) -> None:
    root = flux.kustomization(spec={"path": "./clusters"})
    web, target = flux.deployment(ready=False), of_commits(clusters=(RELEASE_IN_GIT, RELEASE_IN_GIT))
    failing = {"Ready": ("False", "InstallFailed", "timeout")}
    for conditions, converged in ((failing, True), ({"Ready": READY}, False)):
        release = flux.release(spec={"suspend": True}, conditions=conditions)
        assert seen(flux.source(), root, release, web, target=target).converged is converged


def test_a_folder_of_which_nothing_is_known_is_not_taken_for_unchanged(flux: Flux) -> None:
    assert suspended(flux, of_commits()).failures


def test_what_had_begun_with_the_commit_when_it_was_suspended_is_waited_for(flux: Flux) -> None:
    at_work = {"Ready": READY, "Reconciling": ("True", "Progressing", f"for revision main@sha1:{NEW} with")}
    working = frozen(flux, conditions=at_work)
    assert not seen(flux.source(), flux.kustomization(), working).failures


# -- workloads -------------------------------------------------------------------------------------------------------


def test_a_release_is_not_judged_before_its_kustomization_and_neither_are_its_workloads(flux: Flux) -> None:
    broken = flux.release(conditions={"Stalled": ("True", "RetriesExceeded", "x")})
    found = seen(flux.source(), flux.kustomization(OLD), broken, flux.deployment(ready=False))
    assert [entry.object for entry in found.pending] == ["Kustomization flux-system/flux-system"]


def test_the_workloads_of_a_release_that_is_not_ready_are_not_judged(flux: Flux) -> None:
    found = seen(flux.source(), flux.kustomization(), flux.release(conditions=NOT_YET), flux.deployment(ready=False))
    assert [entry.object for entry in found.pending] == ["HelmRelease demo/demo"]


def test_workloads_of_others_are_not_judged(flux: Flux) -> None:
    foreign = flux.deployment(ready=False, labels={})
    other = flux.deployment(ready=False, labels=APPS)
    assert seen(flux.source(), flux.kustomization(), foreign, other).converged


def test_the_workloads_of_a_kustomization_and_of_a_release_must_be_rolled_out(flux: Flux) -> None:
    plain = flux.deployment(ready=False, labels=SYSTEM, name="plain")
    helm = flux.deployment(ready=False)
    found = seen(flux.source(), flux.kustomization(), flux.release(), flux.chart(), plain, helm)
    assert [str(entry) for entry in found.pending] == [
        "Deployment demo/plain: 0 of 1 replicas available",
        "Deployment demo/web: 0 of 1 replicas available",
    ]


def test_a_deployment_past_its_deadline_has_failed(flux: Flux, build: Build) -> None:
    late = build(
        "Deployment",
        "web",
        labels=SYSTEM,
        conditions={"Progressing": ("False", "ProgressDeadlineExceeded", "timed out")},
    )
    assert seen(flux.source(), flux.kustomization(), late).failures[0].object == "Deployment flux-system/web"


# -- looking until it has arrived ------------------------------------------------------------------------------------


def step(*waiting: str, failed: Sequence[str] = (), cluster: str = "c", arrived: Sequence[str] = ("X",)) -> Convergence:
    entries = [
        *(Pending(object=f"X {why}", outlook=Outlook.WAITING, why=why) for why in waiting),
        *(Pending(object=f"X {why}", outlook=Outlook.FAILED, why=why) for why in failed),
    ]
    return Convergence(cluster=cluster, commit=NEW, arrived=tuple(arrived), pending=tuple(entries))


def test_looking_goes_on_until_all_clusters_have_it() -> None:
    looks = [[step("slow"), step()], [step(), step("slow")], [step(), step()]]
    told: list[object] = []
    coming = iter(looks)
    assert converge(lambda: next(coming), timeout_seconds=20, progress=told.append) == looks[-1]
    assert told == looks


def test_a_failure_ends_it_at_once_and_comes_first_among_the_facts() -> None:
    calls = iter([[step("slow", failed=["broken"])]])
    with pytest.raises(ConvergenceError, match="commit bbbbbbbbbb failed") as caught:
        converge(lambda: next(calls), timeout_seconds=60, explain=lambda: ["broken on purpose"])
    assert caught.value.facts == ("X broken: broken", "X slow: slow", "broken on purpose")


def test_a_failure_in_one_of_several_clusters_ends_it_and_names_the_cluster() -> None:
    looks = [step(cluster="staging"), step(failed=["broken"], cluster="production")]
    with pytest.raises(ConvergenceError) as caught:
        converge(lambda: looks, timeout_seconds=60)
    assert caught.value.facts == ("production: X broken: broken",)


def test_an_error_tells_also_what_has_arrived_as_something_else() -> None:
    looks = [replace(step("slow"), warnings=("WORD is empty",))]
    with pytest.raises(ConvergenceError) as caught:
        converge(lambda: looks, timeout_seconds=0.01)
    assert caught.value.facts == ("X slow: slow", "WORD is empty")


def test_a_timeout_quotes_all_that_is_missing_and_what_may_explain_it() -> None:
    with pytest.raises(ConvergenceError, match=r"commit bbbbbbbbbb has not arrived within 0\.01 s") as caught:
        converge(lambda: [step("slow")], timeout_seconds=0.01, explain=lambda: ["kustomize-controller is scaled to 0"])
    assert caught.value.facts == ("X slow: slow", "kustomize-controller is scaled to 0")
    assert caught.value.exit_code == 1
    assert "fluxlab status" in caught.value.hint


ASKS = Pending(object="X app", outlook=Outlook.ASKING, why="waits for Secret late", next="fluxlab secret set late")
TRIES = Pending(object="X app", outlook=Outlook.WAITING, why="Progressing", trying=True)


def told_at_the_end(*looks: Sequence[Pending]) -> Sequence[str]:
    """What a timeout quotes when the last of these looks is all that is seen from then on."""
    seen = (replace(step(), pending=tuple(pending)) for pending in itertools.chain(looks, itertools.repeat(looks[-1])))
    with pytest.raises(ConvergenceError) as caught:
        converge(lambda: [next(seen)], timeout_seconds=0.5)
    return caught.value.facts


def test_a_timeout_during_an_attempt_also_tells_what_was_asked_for_before_it_and_first() -> None:
    others = [Pending(object=f"X {number:02}", outlook=Outlook.WAITING, why="slow") for number in range(12)]
    told = told_at_the_end([*others, ASKS], [*others, TRIES])
    assert told[0] == "X app: Progressing; before that: waits for Secret late (fluxlab secret set late)"


@pytest.mark.parametrize(
    "since",
    [
        pytest.param([replace(TRIES, object="X other")], id="arrived"),
        pytest.param([replace(TRIES, trying=False, why="0 of 1 available")], id="waiting for something else"),
    ],
)
def test_what_was_given_is_not_asked_for_any_more(since: Sequence[Pending]) -> None:
    assert told_at_the_end([ASKS], since, [TRIES]) == ("X app: Progressing",)


def test_of_very_many_some_are_quoted_and_the_rest_counted() -> None:
    names = [f"{number:02}" for number in range(30)]
    with pytest.raises(ConvergenceError) as caught:
        converge(lambda: [step(*names)], timeout_seconds=0)
    assert len(caught.value.facts) == 13
    assert caught.value.facts[-1] == "and 18 more"


def test_a_cluster_in_which_nothing_arrived_has_not_converged() -> None:
    with pytest.raises(ConvergenceError):
        converge(lambda: [step(arrived=())], timeout_seconds=0)
    with pytest.raises(ConvergenceError):
        converge(list, timeout_seconds=0)


def test_a_cluster_that_cannot_be_read_ends_it() -> None:
    def unreachable() -> Sequence[Convergence]:
        raise FluxlabError("it does not answer")

    with pytest.raises(FluxlabError, match="it does not answer"):
        converge(unreachable, timeout_seconds=60)


def test_controllers_that_are_scaled_to_nothing_are_named(build: Build) -> None:
    cluster = Cluster(
        build("Deployment", "source-controller", spec={"replicas": 1}),
        build("Deployment", "kustomize-controller", spec={"replicas": 0}),
        build("Deployment", "helm-controller"),
    )
    told = "kustomize-controller is scaled to 0 (flux-system)"
    assert stopped_controllers(cast("KubeApi", cluster)) == {"kustomize-controller": told}
