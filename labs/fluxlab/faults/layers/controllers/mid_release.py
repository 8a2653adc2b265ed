"""A release that is cut off: helm-controller is killed while Helm is at work."""

import signal
from collections.abc import Sequence
from random import Random

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, HELM_STORAGE, SECRET
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, Parameters, Plan
from fluxlab.faults.means.deliveries import (
    Manifests,
    applied_by,
    deliver,
    delivered,
    held_back,
    revert_by_hand,
    take_back,
    taken_back,
    touched_above,
)
from fluxlab.faults.means.places import find_at, place_of
from fluxlab.faults.means.programs import (
    dead,
    end,
    find_process,
    recalled,
    remembered,
    running,
    send,
    serving,
    start,
    stopped,
)
from fluxlab.flux.helm_storage import namespace_of, newest
from fluxlab.waiting import wait_until

HELM_CONTROLLER = "helm-controller"
PENDING = "pending-"
TITLE = "Change a release"
BEGUN_SECONDS = 60.0
STEP_SECONDS = 0.01


class Change(Parameters):
    """What is released."""

    value: str = Field(
        "rehearsal",
        pattern=r"^[A-Za-z][A-Za-z0-9]*$",
        description="the value of the chart that a commit changes; the chart need not know it",
    )


class ControllerKilledMidRelease(Fault[Change]):
    """SIGKILL of helm-controller at the moment at which Helm's own record says that a release is pending."""

    name = "controller-killed-mid-release"
    layer = Layer.CONTROLLERS
    summary = "a commit changes a release, and helm-controller is killed (SIGKILL) in the middle of upgrading it"
    expect = (
        "the release stays pending, and nobody says so; healing reverts the commit and starts helm-controller, which "
        "unlocks the release (PendingRelease `Unlocked Helm release`) and upgrades it again"
    )
    parameters = Change
    needs = frozenset({Capability.PROCESSES})
    proof_seconds = 120.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        found = ground.api.list(HELM_RELEASE)
        return sorted(place_of(one) for one in found if items_at(one.raw, "status", "history"))

    def plan(self, ground: Ground, target: str, parameters: Change, random: Random) -> Plan:
        del parameters, random
        manifest = Manifests.at_head(ground).find(ground.cluster.helm_release(target))
        if manifest is None:
            raise UsageError(f"git has no single manifest of HelmRelease {target}")
        return Plan(
            touches=frozenset(
                {
                    f"process:{HELM_CONTROLLER}",
                    f"object:HelmRelease {target}",
                    f"branch:{ground.repository.branch}",
                    *touched_above(ground, target),
                }
            ),
            undo={
                "file": manifest.file,
                "head": ground.repository.head(),
                **remembered(running(ground)[HELM_CONTROLLER]),
            },
        )

    def inject(self, ground: Ground, injection: Injection[Change]) -> None:
        release = ground.cluster.helm_release(injection.target)
        values: JsonObject = {injection.parameters.value: injection.id}
        deliver(
            ground,
            injection,
            TITLE,
            lambda repository: repository.edit(injection.text("file"), values=values, name=release.name),
        )
        controller = recalled(injection)

        def at_work() -> bool:
            # In small steps, and looked at between them: the moment may be shorter than it takes to hear of it.
            send(controller, signal.SIGSTOP)
            if _pending(ground, release):
                return True
            send(controller, signal.SIGCONT)
            return False

        wait_until(at_work, what=f"{release} is upgraded", timeout_seconds=BEGUN_SECONDS, interval_seconds=STEP_SECONDS)
        end(controller)

    def injected(self, ground: Ground, injection: Injection[Change]) -> str:
        release = find_at(ground.api, HELM_RELEASE, injection.target)
        pending = _pending(ground, release) if release else ()
        killed = dead(ground, HELM_CONTROLLER, recalled(injection))
        return f"{pending[0]} says {_status(pending[0])}; {killed}" if pending and killed else ""

    def heal(self, ground: Ground, injection: Injection[Change]) -> None:
        send(recalled(injection), signal.SIGCONT)  # should it have been left between two steps
        take_back(ground, injection, TITLE)
        start(ground, HELM_CONTROLLER)

    def healed(self, ground: Ground, injection: Injection[Change]) -> str:
        release, on_purpose = find_at(ground.api, HELM_RELEASE, injection.target), stopped(ground, HELM_CONTROLLER)
        works = on_purpose or serving(find_process(ground, HELM_CONTROLLER))
        reverted = taken_back(ground, injection)
        if not works or (delivered(ground, injection) and not reverted):
            return ""
        if release is None or on_purpose:
            return on_purpose if release else "the HelmRelease is not there any more"
        if reverted and (held := held_back(ground, applied_by(ground, release), release)):
            return held if release.suspended or not _pending(ground, release) else ""
        ready = release.condition("Ready")
        changed = dig(release.raw, "spec", "values", injection.parameters.value) == injection.id
        if changed or not ready or ready.observed_generation != release.generation or _pending(ground, release):
            return ""
        return f"{release}: {ready}" if ready.status == "True" else ""

    def by_hand(self, ground: Ground, injection: Injection[Change]) -> Sequence[str]:
        starting = f"fluxlab up --name {ground.folder.name}"
        return [*revert_by_hand(ground, injection), starting, *super().by_hand(ground, injection)]


def _pending(ground: Ground, release: KubeObject) -> Sequence[KubeObject]:
    secrets = ground.api.list(SECRET, namespace=namespace_of(release), query={"labelSelector": "owner=helm"})
    return [secret for secret in secrets if _is_pending(release, secret)]


def _is_pending(release: KubeObject, secret: KubeObject) -> bool:
    """Whether this is Helm's record of a release that it is at work on."""
    same = text_at(secret.raw, "metadata", "labels", "name") == text_at(newest(release), "name")
    return same and text_at(secret.raw, "type") == HELM_STORAGE and _status(secret).startswith(PENDING)


def _status(secret: KubeObject) -> str:
    return text_at(secret.raw, "metadata", "labels", "status")
