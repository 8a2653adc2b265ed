"""Which failures of Flux's controllers are terminal for a revision, and which may pass.

The messages are those of the Flux 2.9 controllers; what is not known to be terminal counts as waiting, so that a new
wording costs patience, never a false alarm.
"""

import re
from dataclasses import replace
from datetime import datetime

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.loans import SUSPEND, is_lent
from fluxlab.clusters.objects import Condition, KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import JOB
from fluxlab.timeline.entries import parse_time

from .pending import Outlook, Pending, failed, waiting

# A Kustomization that cannot be built cannot be built later either, unless it waits for something outside of git:
# variables and keys are read from the cluster, and may be asked for at a KMS. Of a Secret with keys that is not there
# kustomize-controller 1.9 says no more than the API does (internal/decryptor/decryptor.go, ImportKeys).
_BUILD_WAITS = re.compile(
    r"substitute from .* error:|failed to (fetch|clone)|hitting the API|git fetch|dial tcp"
    r"|cannot create decryptor|decryption Secret '|decryption failed for|error decrypting sources"
    r'|^(Secret|secrets) "[^"]+" not found$'
)
_APPLY_FAILS = re.compile(r"\(Invalid\)|\(BadRequest\)|is immutable|strict decoding error|unknown field")
# What else there is may be why: a port or host that another Kustomization has yet to give up, a policy that is about to
# change, as it does in a lab that denies something on purpose.
_OTHERS_REFUSE = re.compile(r"already allocated|denied (the )?request")
_JOB_STAYS = re.compile(r"^Job/([^/]+)/(\S+) dry-run failed.* is immutable", re.DOTALL)
_PATH_FAILS = re.compile(r"kustomization path not found")

_GIVEN_UP = frozenset({"RetriesExceeded", "MissingRollbackTarget"})
UNSEEN = "its controller has not seen the new spec yet"


def not_ready(subject: KubeObject) -> Pending | None:
    """Why an object has not reconciled its current generation; None when it has.

    Stalled is terminal; every other failure counts as waiting here.
    """
    stalled, ready = current(subject, "Stalled"), current(subject, "Ready")
    if stalled and stalled.status == "True":
        return failed(subject, f"Stalled {stalled.reason}: {stalled.message}")
    reconciling = subject.condition("Reconciling")
    why = ""
    if ready is None:
        why = UNSEEN
    elif ready.status != "True":
        why = _why(ready, reconciling)
    elif subject.observed_generation != subject.generation:  # set after success only: it says nothing of a failure
        why = UNSEEN
    elif reconciling and reconciling.status == "True":
        why = f"{reconciling.reason}: {reconciling.message}"
    if not subject.suspended:
        return replace(waiting(subject, why), trying=under_way(subject)) if why else None
    if is_lent(subject, SUSPEND):
        return waiting(subject, "is held back by report-only", next_="fluxlab report-only off")
    return waiting(subject, f"is suspended{f' ({why})' if why else ''}")


def kustomization_failure(subject: KubeObject, *, api: KubeApi) -> Pending | None:
    """The failure that a Kustomization will have at the revision that it tried last, if it is of that sort.

    Raises ApiError or ApiUnreachableError.
    """
    ready = current(subject, "Ready")
    if ready is None or ready.status != "False":
        return None
    terminal = {
        "BuildFailed": not _BUILD_WAITS.search(ready.message),
        "ArtifactFailed": bool(_PATH_FAILS.search(ready.message)),
        "ReconciliationFailed": bool(_APPLY_FAILS.search(ready.message)) and not _OTHERS_REFUSE.search(ready.message),
    }
    if not terminal.get(ready.reason) or _goes_by_itself(ready.message, api):
        return None
    return failed(subject, f"{ready.reason}: {ready.message}")


def _goes_by_itself(message: str, api: KubeApi) -> bool:
    """Whether all that is in the way is a Job that Kubernetes removes some time after it has finished."""
    job = _JOB_STAYS.match(message)
    if job is None:
        return False
    try:
        found = api.find(JOB, job[2], namespace=job[1])
    except ApiError:  # not everybody may read Jobs
        return False
    return found is None or dig(found.raw, "spec", "ttlSecondsAfterFinished") is not None


def has_given_up(release: KubeObject) -> bool:
    """Whether a HelmRelease is not tried again until somebody changes or resets it, its chart or its values."""
    stalled = current(release, "Stalled")
    return stalled is not None and stalled.status == "True" and stalled.reason in _GIVEN_UP


def written_since(one: KubeObject, other: KubeObject) -> bool:
    """Whether an object was written after another one, as the cluster counts its changes."""
    versions = [one.resource_version, other.resource_version]
    return all(version.isdigit() for version in versions) and int(versions[0]) > int(versions[1])


def under_way(subject: KubeObject) -> bool:
    """Whether its controller is at work on it: not even a suspension interrupts that."""
    reconciling = subject.condition("Reconciling")
    return bool(reconciling and reconciling.status == "True" and reconciling.reason == "Progressing")


def not_since(subject: KubeObject, verdict: Pending | None, mended: datetime | None) -> Pending | None:
    """The verdict, where a failure from before something was `mended` is none any more: Flux tries again."""
    if verdict is None or verdict.outlook is not Outlook.FAILED or mended is None:
        return verdict
    told = _last_told(subject)
    if told is None or told > mended or has_given_up(subject):
        return verdict
    why = f"{verdict.why.rstrip()} (before what was broken on purpose was taken out: it is tried again)"
    return replace(verdict, outlook=Outlook.WAITING, why=why)


def _last_told(subject: KubeObject) -> datetime | None:
    """When its controller last said how it went, to the second; a failure that repeats itself changes no condition."""
    conditions = items_at(subject.raw, "status", "conditions")
    told = [text_at(one, "lastTransitionTime") for one in conditions if text_at(one, "type") in {"Ready", "Stalled"}]
    told += [text_at(one, "lastReconciled") for one in items_at(subject.raw, "status", "history")]
    return max((parse_time(one) for one in told if one), default=None)


def current(subject: KubeObject, type_: str) -> Condition | None:
    """A condition that speaks of the current generation."""
    condition = subject.condition(type_)
    return condition if condition and condition.observed_generation == subject.generation else None


def _why(ready: Condition, reconciling: Condition | None) -> str:
    text = f"{ready.reason}: {ready.message}"
    if reconciling and reconciling.status == "True" and reconciling.message not in text:
        text += f" ({reconciling.reason}: {reconciling.message})"
    return text
