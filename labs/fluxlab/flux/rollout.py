"""Whether a workload is rolled out: the rules of `kubectl rollout status`, on one reading of the object."""

from fluxlab.clusters.objects import KubeObject, dig, number_at, text_at

from .pending import Pending, failed, waiting


def rollout(workload: KubeObject) -> Pending | None:
    """What a Deployment, StatefulSet or DaemonSet still lacks; None when it is rolled out."""
    if workload.observed_generation < workload.generation:
        return waiting(workload, "its controller has not seen the new spec yet")
    rules = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}
    return rules[workload.kind](workload)


def _deployment(workload: KubeObject) -> Pending | None:
    progressing = workload.condition("Progressing")
    if progressing and progressing.reason == "ProgressDeadlineExceeded":
        return failed(workload, str(progressing))
    wanted = _replicas(workload)
    updated, total, available = (
        number_at(workload.raw, "status", field) for field in ("updatedReplicas", "replicas", "availableReplicas")
    )
    if updated < wanted:
        return waiting(workload, f"{updated} of {wanted} replicas updated")
    if total > updated:
        return waiting(workload, f"{total - updated} old replicas still there")
    if available < wanted:
        return waiting(workload, f"{available} of {wanted} replicas available")
    return None


def _stateful_set(workload: KubeObject) -> Pending | None:
    wanted, ready = _replicas(workload), number_at(workload.raw, "status", "readyReplicas")
    if ready < wanted:
        return waiting(workload, f"{ready} of {wanted} replicas ready")
    revisions = {text_at(workload.raw, "status", field) for field in ("currentRevision", "updateRevision")}
    updated = number_at(workload.raw, "status", "updatedReplicas")
    # Pods with an ordinal below the partition keep the old revision on purpose.
    rolled = wanted - number_at(workload.raw, "spec", "updateStrategy", "rollingUpdate", "partition")
    if not _on_delete(workload) and len(revisions) > 1 and updated < rolled:
        return waiting(workload, f"{updated} of {rolled} replicas updated")
    return None


def _daemon_set(workload: KubeObject) -> Pending | None:
    wanted, updated, available = (
        number_at(workload.raw, "status", field)
        for field in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    )
    if available < wanted or (updated < wanted and not _on_delete(workload)):
        return waiting(workload, f"{updated} updated and {available} available of {wanted}")
    return None


def _on_delete(workload: KubeObject) -> bool:
    """Whether pods are only updated when somebody deletes them, so that nothing is to be waited for."""
    return text_at(workload.raw, "spec", "updateStrategy", "type") == "OnDelete"


def _replicas(workload: KubeObject) -> int:
    given = dig(workload.raw, "spec", "replicas")
    return given if isinstance(given, int) else 1
