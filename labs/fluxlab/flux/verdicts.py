"""Which failures of Flux's controllers are terminal for a revision, and which may pass.

The messages are those of the Flux 2.9 controllers; what is not known to be terminal counts as waiting, so that a new
wording costs patience, never a false alarm.
"""

import re
from dataclasses import replace
from datetime import datetime

from fluxlab.clusters.loans import SUSPEND, is_lent
from fluxlab.clusters.objects import Condition, KubeObject, items_at, text_at
from fluxlab.timeline.entries import parse_time

from .pending import Outlook, Pending, failed, waiting

# A Kustomization that cannot be built cannot be built later either, unless it waits for something outside of git.
_BUILD_WAITS = re.compile(r"substitute from .* not found|failed to (fetch|clone)|hitting the API|git fetch|dial tcp")
_APPLY_FAILS = re.compile(r"\(Invalid\)|\(BadRequest\)|is immutable|strict decoding error|unknown field")
_PATH_FAILS = re.compile(r"kustomization path not found")

GIVEN_UP = "RetriesExceeded"
"""Why a HelmRelease is not tried again until somebody changes or resets it."""
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
        return waiting(subject, why) if why else None
    if is_lent(subject, SUSPEND):
        return waiting(subject, "is held back by report-only", next_="fluxlab report-only off")
    return waiting(subject, f"is suspended{f' ({why})' if why else ''}")


def kustomization_failure(subject: KubeObject) -> Pending | None:
    """The failure that a Kustomization will have at the revision that it tried last, if it is of that sort."""
    ready = current(subject, "Ready")
    if ready is None or ready.status != "False":
        return None
    terminal = {
        "BuildFailed": not _BUILD_WAITS.search(ready.message),
        "ArtifactFailed": bool(_PATH_FAILS.search(ready.message)),
        "ReconciliationFailed": bool(_APPLY_FAILS.search(ready.message)),
    }
    return failed(subject, f"{ready.reason}: {ready.message}") if terminal.get(ready.reason) else None


def under_way(subject: KubeObject) -> bool:
    """Whether its controller is at work on it: not even a suspension interrupts that."""
    reconciling = subject.condition("Reconciling")
    return bool(reconciling and reconciling.status == "True" and reconciling.reason == "Progressing")


def not_since(subject: KubeObject, verdict: Pending | None, mended: datetime | None) -> Pending | None:
    """The verdict, where a failure from before something was `mended` is none any more: Flux tries again."""
    if verdict is None or verdict.outlook is not Outlook.FAILED or mended is None:
        return verdict
    told, stalled = _last_told(subject), current(subject, "Stalled")
    if told is None or told > mended or (stalled and stalled.reason == GIVEN_UP):
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
