"""Which conditions mean waiting and which the end, in messages that Flux 2.9's controllers were seen to write."""

from collections.abc import Callable
from typing import cast

import pytest

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.loans import BORROWER, SUSPEND, lend
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import JOB, Resource
from fluxlab.documents import JsonObject
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.flux.verdicts import kustomization_failure, not_ready

Build = Callable[..., KubeObject]
READY = ("True", "Succeeded", "stored artifact")
WEBHOOK = 'admission webhook "validate.nginx.ingress.kubernetes.io" denied the request:'
POLICY = "ValidatingAdmissionPolicy 'y' with binding 'y' denied request:"
UNSEEN = "its controller has not seen the new spec yet"


class Jobs:
    """A cluster of which nothing is asked but one Job, if that."""

    def __init__(self, *found: KubeObject) -> None:
        self.found = found

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        assert (resource, name, namespace) == (JOB, "x", "demo")
        return next(iter(self.found), None)


def failure(subject: KubeObject, *jobs: KubeObject) -> Pending | None:
    return kustomization_failure(subject, api=cast("KubeApi", Jobs(*jobs)))


def verdict(pending: Pending | None) -> tuple[str, str] | None:
    return (pending.outlook.value, pending.why) if pending else None


def test_ready_at_the_current_generation_is_ready(build: Build) -> None:
    assert not_ready(build("X", "x", conditions={"Ready": READY})) is None


def test_ready_and_not_reconciling_is_ready(build: Build) -> None:
    conditions = {"Ready": READY, "Reconciling": ("False", "x", "x"), "Stalled": ("False", "x", "x")}
    assert not_ready(build("X", "x", conditions=conditions)) is None


@pytest.mark.parametrize("observed", [0, 2])
def test_a_controller_that_has_not_seen_the_spec_is_waited_for(build: Build, observed: int) -> None:
    old = build("X", "x", generation=3, observed=observed, conditions={"Ready": (*READY, 2)})
    assert verdict(not_ready(old)) == ("waiting", UNSEEN)


def test_the_condition_and_the_status_must_both_be_of_the_current_generation(build: Build) -> None:
    assert verdict(not_ready(build("X", "x", generation=3, observed=2, conditions={"Ready": READY}))) == (
        "waiting",
        UNSEEN,
    )
    assert verdict(not_ready(build("X", "x", generation=3, conditions={"Ready": (*READY, 2)}))) == ("waiting", UNSEEN)


def test_an_object_without_conditions_is_waited_for(build: Build) -> None:
    assert verdict(not_ready(build("X", "x", observed=-1))) == ("waiting", UNSEEN)


def test_what_is_not_ready_says_why(build: Build) -> None:
    conditions = {"Ready": ("False", "GitOperationFailed", "authentication required")}
    assert verdict(not_ready(build("X", "x", conditions=conditions))) == (
        "waiting",
        "GitOperationFailed: authentication required",
    )


def test_what_is_going_on_meanwhile_is_added_unless_it_is_the_same(build: Build) -> None:
    ready = ("Unknown", "Progressing", "Reconciliation in progress")
    both = {"Ready": ready, "Reconciling": ("True", "Progressing", "Running health checks")}
    assert verdict(not_ready(build("X", "x", conditions=both))) == (
        "waiting",
        "Progressing: Reconciliation in progress (Progressing: Running health checks)",
    )
    same = {"Ready": ready, "Reconciling": ("True", "Progressing", "Reconciliation in progress")}
    assert verdict(not_ready(build("X", "x", conditions=same))) == (
        "waiting",
        "Progressing: Reconciliation in progress",
    )


def test_ready_while_reconciling_is_not_ready_yet(build: Build) -> None:
    conditions = {"Ready": READY, "Reconciling": ("True", "ProgressingWithRetry", "building artifact")}
    assert verdict(not_ready(build("X", "x", conditions=conditions))) == (
        "waiting",
        "ProgressingWithRetry: building artifact",
    )


def test_stalled_is_the_end(build: Build) -> None:
    conditions = {
        "Ready": ("False", "InvalidChartReference", "no chart version found"),
        "Stalled": ("True", "InvalidChartReference", "no chart version found"),
    }
    assert verdict(not_ready(build("X", "x", conditions=conditions))) == (
        "failed",
        "Stalled InvalidChartReference: no chart version found",
    )


def test_stalled_at_the_generation_before_is_not(build: Build) -> None:
    stalled = ("True", "RetriesExceeded", "Failed to install after 1 attempt(s)", 2)
    conditions = {"Stalled": stalled, "Ready": ("False", "InstallFailed", "x", 2)}
    assert verdict(not_ready(build("X", "x", generation=3, observed=2, conditions=conditions))) == ("waiting", UNSEEN)


def test_a_suspended_object_is_said_to_be(build: Build) -> None:
    assert verdict(not_ready(build("X", "x", spec={"suspend": True}, conditions={"Ready": READY}))) == (
        "waiting",
        "is suspended",
    )
    failing = {"Ready": ("False", "BuildFailed", "it broke")}
    pending = not_ready(build("X", "x", spec={"suspend": True}, conditions=failing))
    assert verdict(pending) == ("waiting", "is suspended (BuildFailed: it broke)")


def test_an_object_that_report_only_suspended_is_said_to_be_and_how_to_let_it_go(build: Build) -> None:
    owned: JsonObject = {"f:spec": {"f:suspend": {}}}
    entries: JsonObject = {"managedFields": [{"manager": BORROWER, "operation": "Update", "fieldsV1": owned}]}
    pending = not_ready(lend(build("X", "x", conditions={"Ready": READY}, metadata=entries), {SUSPEND: True}))
    assert verdict(pending) == ("waiting", "is held back by report-only")
    assert pending
    assert pending.next == "fluxlab report-only off"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "BuildFailed",
            'kustomize build failed: accumulating resources: mapping key "apiVersion" already defined at line 1',
        ),
        ("BuildFailed", 'json: unknown field "postBuild"'),
        ("ArtifactFailed", "kustomization path not found: stat /tmp/kustomization-1/apps: no such file or directory"),
        ("ReconciliationFailed", 'Service/demo/x dry-run failed (Invalid): Service "x" is invalid: spec.clusterIP'),
        (
            "ReconciliationFailed",
            'Deployment/demo/x dry-run failed (Invalid): Deployment.apps "x" is invalid: spec: field is immutable',
        ),
        ("ReconciliationFailed", "ConfigMap/demo/c dry-run failed (BadRequest): strict decoding error"),
    ],
)
def test_what_will_always_fail_at_this_revision(build: Build, reason: str, message: str) -> None:
    subject = build("Kustomization", "apps", conditions={"Ready": ("False", reason, message)})
    pending = failure(subject)
    assert verdict(pending) == ("failed", f"{reason}: {message}")
    assert pending is not None
    assert pending.object == "Kustomization flux-system/apps"


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        (
            "BuildFailed",
            "post build failed for 'ConfigMap.v1.[noGrp]/c': substitute from 'Secret/x' error: secrets \"x\" not found",
        ),
        ("BuildFailed", "accumulating remote resource: hitting the API rate limit"),
        ("BuildFailed", "failed to run '/usr/bin/git fetch --depth=1': exit status 128"),
        ("BuildFailed", "dial tcp 127.0.0.1:443: connect: connection refused"),
        ("BuildFailed", "post build failed for 'X/y': substitute from 'ConfigMap/vars' error: request timed out"),
        ("BuildFailed", 'secrets "sops-age" not found'),
        ("BuildFailed", 'Secret "sops-age" not found'),
        ("BuildFailed", "cannot get sops decryption Secret 'flux-system/sops-age': etcdserver: request timed out"),
        ("BuildFailed", "failed to import 'age.agekey' data from sops decryption Secret 'flux-system/sops-age': x"),
        ("BuildFailed", "decryption failed for 'X/y': failed to decrypt and format 'y': cannot get sops data key: 503"),
        ("BuildFailed", "error decrypting sources: cannot get sops data key: Error getting data key"),
        ("BuildFailed", "cannot create decryptor: no space left on device"),
        ("ArtifactFailed", "artifact not found"),
        ("ArtifactFailed", "failed to verify archive"),
        ("ReconciliationFailed", 'Deployment/demo/x dry-run failed: namespaces "demo" not found'),
        ("ReconciliationFailed", "Service/demo/x dry-run failed (Invalid): x: provided port is already allocated"),
        ("ReconciliationFailed", f'Ingress/demo/x dry-run failed (BadRequest): {WEBHOOK} host "x" is already defined'),
        (
            "ReconciliationFailed",
            f'ConfigMap/demo/x dry-run failed (Invalid): configmaps "x" is forbidden: {POLICY} no',
        ),
        ("HealthCheckFailed", "timeout waiting for: [Deployment/demo/x status: 'InProgress']"),
        ("DependencyNotReady", "dependency 'flux-system/infra' is not ready"),
        ("SomethingNew", "(Invalid)"),
    ],
)
def test_what_may_pass(build: Build, reason: str, message: str) -> None:
    subject = build("Kustomization", "apps", conditions={"Ready": ("False", reason, message)})
    assert failure(subject) is None
    assert verdict(not_ready(subject)) == ("waiting", f"{reason}: {message}")


@pytest.mark.parametrize("status", ["True", "Unknown"])
def test_only_a_false_ready_is_a_failure(build: Build, status: str) -> None:
    assert failure(build("K", "x", conditions={"Ready": (status, "BuildFailed", "bad yaml")})) is None


def test_a_failure_of_the_generation_before_is_none(build: Build) -> None:
    subject = build("K", "x", generation=3, conditions={"Ready": ("False", "BuildFailed", "bad yaml", 2)})
    assert failure(subject) is None
    assert failure(build("K", "x")) is None


IMMUTABLE = (
    "ReconciliationFailed",
    'Job/demo/x dry-run failed (Invalid): Job.batch "x" is invalid: spec.template: field is immutable',
)


def test_a_job_that_cannot_be_changed_passes_once_the_old_one_is_gone(build: Build) -> None:
    subject = build("Kustomization", "apps", conditions={"Ready": ("False", *IMMUTABLE)})
    assert verdict(failure(subject, build("Job", "x", namespace="demo"))) == ("failed", ": ".join(IMMUTABLE))
    assert failure(subject, build("Job", "x", namespace="demo", spec={"ttlSecondsAfterFinished": 0})) is None
    assert failure(subject) is None


def test_a_job_that_nobody_may_write_like_that_never_passes(build: Build) -> None:
    invalid = (
        'Job/demo/x dry-run failed (Invalid): Job.batch "x" is invalid: spec.template.spec.restartPolicy: Required'
    )
    subject = build("Kustomization", "apps", conditions={"Ready": ("False", "ReconciliationFailed", invalid)})
    assert failure(subject, build("Job", "x", namespace="demo", spec={"ttlSecondsAfterFinished": 0}))


def test_outlooks_sort_failures_first() -> None:
    assert sorted([Outlook.WAITING, Outlook.FAILED]) == [Outlook.FAILED, Outlook.WAITING]
