"""A release that is cut off: helm-controller is killed while Helm is at work."""

import signal
from abc import abstractmethod
from collections.abc import Sequence
from random import Random

from pydantic import Field

from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, HELM_STORAGE, SECRET
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, P, Parameters, Plan
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
from fluxlab.faults.means.places import find_at, place_of, remove
from fluxlab.faults.means.programs import (
    dead,
    find_process,
    kill_at_work,
    recalled,
    remembered,
    running,
    send,
    serving,
    start,
    stopped,
)
from fluxlab.flux.helm_storage import namespace_of, newest
from fluxlab.flux.requests import REQUESTED_AT, RESET_AT, Request, have_answered
from fluxlab.repository import Repository
from fluxlab.waiting import wait_until

HELM_CONTROLLER = "helm-controller"
PENDING = "pending-"
UNINSTALLING = "uninstalling"
FORGOTTEN = "has no deployed releases"
"""What Helm says of a release that it finds neither installed nor gone."""
TITLE = "Change a release"
APPLIED_SECONDS = 60.0
LOOKED_SECONDS = 30.0


class Change(Parameters):
    """What is released."""

    value: str = Field(
        "rehearsal",
        pattern=r"^[A-Za-z][A-Za-z0-9]*$",
        description="the value of the chart that a commit changes; the chart need not know it",
    )


class CutOff(Fault[P]):
    """SIGKILL of helm-controller at the moment at which Helm's own record says that it is at work on a release."""

    layer = Layer.CONTROLLERS
    needs = frozenset({Capability.PROCESSES})
    proof_seconds = 120.0

    def candidates(self, ground: Ground) -> Sequence[str]:
        found = ground.api.list(HELM_RELEASE)
        return sorted(place_of(one) for one in found if items_at(one.raw, "status", "history"))

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del parameters, random
        release = ground.cluster.helm_release(target)
        manifest = Manifests.at_head(ground).find(release)
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
                "storage": namespace_of(release),
                "release": text_at(newest(release), "name"),
                **remembered(running(ground)[HELM_CONTROLLER]),
            },
        )

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        release = ground.cluster.helm_release(injection.target)
        deliver(ground, injection, TITLE, lambda repository: self.change(repository, injection, release.name))
        kill_at_work(
            recalled(injection),
            lambda: bool(self.cut_off(ground, injection, release)),
            what=f"{HELM_CONTROLLER} is at work on {release}",
        )

    @abstractmethod
    def change(self, repository: Repository, injection: Injection[P], name: str) -> None:
        """Prepare the commit, in the HelmRelease of that name."""

    @abstractmethod
    def wants(self, release: KubeObject, injection: Injection[P]) -> bool:
        """Whether a HelmRelease is as the commit has it."""

    @abstractmethod
    def cut_off(self, ground: Ground, injection: Injection[P], release: KubeObject) -> Sequence[KubeObject]:
        """Helm's records of what it is at."""

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        send(recalled(injection), signal.SIGCONT)  # should it have been left between two steps
        take_back(ground, injection, TITLE)
        start(ground, HELM_CONTROLLER)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        release, on_purpose = find_at(ground.api, HELM_RELEASE, injection.target), stopped(ground, HELM_CONTROLLER)
        works = on_purpose or serving(find_process(ground, HELM_CONTROLLER))
        reverted = taken_back(ground, injection)
        if not works or (delivered(ground, injection) and not reverted):
            return ""
        if release is None or on_purpose:
            return on_purpose if release else "the HelmRelease is not there any more"
        if reverted and (held := held_back(ground, applied_by(ground, release), release)):
            return held if release.suspended or not self.cut_off(ground, injection, release) else ""
        ready = release.condition("Ready")
        seen = ready is not None and ready.observed_generation == release.generation
        if self.wants(release, injection) or not seen or self.cut_off(ground, injection, release):
            return ""
        return f"{release}: {ready}" if release.ready else ""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        starting = f"fluxlab up --name {ground.folder.name}"
        return [*revert_by_hand(ground, injection), starting, *super().by_hand(ground, injection)]


class ControllerKilledMidRelease(CutOff[Change]):
    """In the middle of an upgrade."""

    name = "controller-killed-mid-release"
    summary = "a commit changes a release, and helm-controller is killed (SIGKILL) in the middle of upgrading it"
    expect = (
        "the release stays pending, and nobody says so; healing reverts the commit and starts helm-controller, which "
        "unlocks the release (PendingRelease `Unlocked Helm release`) and upgrades it again"
    )
    parameters = Change

    def change(self, repository: Repository, injection: Injection[Change], name: str) -> None:
        values: JsonObject = {injection.parameters.value: injection.id}
        repository.edit(injection.text("file"), values=values, name=name)

    def wants(self, release: KubeObject, injection: Injection[Change]) -> bool:
        return dig(release.raw, "spec", "values", injection.parameters.value) == injection.id

    def cut_off(self, ground: Ground, injection: Injection[Change], release: KubeObject) -> Sequence[KubeObject]:
        del injection
        return _pending(ground, release)

    def injected(self, ground: Ground, injection: Injection[Change]) -> str:
        release = find_at(ground.api, HELM_RELEASE, injection.target)
        pending = _pending(ground, release) if release else ()
        killed = dead(ground, HELM_CONTROLLER, recalled(injection))
        return f"{pending[0]} says {_status(pending[0])}; {killed}" if pending and killed else ""


class ControllerKilledMidUninstall(CutOff[NoParameters]):
    """In the middle of uninstalling. It is started again, as a kubelet does."""

    name = "controller-killed-mid-uninstall"
    summary = (
        "a commit gives a release another name, and helm-controller is killed (SIGKILL) in the middle of uninstalling "
        "the old one; the commit is reverted, and helm-controller started again"
    )
    expect = (
        "Helm's record says `uninstalling`, which helm-controller takes for neither installed nor gone: every upgrade "
        "fails (`has no deployed releases`), and neither a restart nor a reset helps; healing deletes that record, and "
        "the release is installed anew"
    )

    def candidates(self, ground: Ground) -> Sequence[str]:
        return [place for place in super().candidates(ground) if ground.cluster.helm_release(place).ready]

    def change(self, repository: Repository, injection: Injection[NoParameters], name: str) -> None:
        renamed: JsonObject = {"spec": {"releaseName": injection.id}}
        repository.patch(injection.text("file"), renamed, kind=HELM_RELEASE.kind, name=name)

    def wants(self, release: KubeObject, injection: Injection[NoParameters]) -> bool:
        return text_at(release.raw, "spec", "releaseName") == injection.id

    def cut_off(self, ground: Ground, injection: Injection[NoParameters], release: KubeObject) -> Sequence[KubeObject]:
        del release  # whose status may have forgotten it
        query = {"labelSelector": _uninstalling(injection)}
        return ground.api.list(SECRET, namespace=injection.text("storage"), query=query)

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        super().inject(ground, injection)
        take_back(ground, injection, TITLE)
        wait_until(
            lambda: not self.wants(ground.cluster.helm_release(injection.target), injection),
            what=f"Flux applies the revert to HelmRelease {injection.target}",
            timeout_seconds=APPLIED_SECONDS,
            interval_seconds=0.1,
        )
        start(ground, HELM_CONTROLLER)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        release = find_at(ground.api, HELM_RELEASE, injection.target)
        left = self.cut_off(ground, injection, release) if release else ()
        told = [one for one in release.conditions() if FORGOTTEN in one.message] if release else []
        return f"{left[0]} says {UNINSTALLING}; {release}: {told[0]}" if left and told else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        release = find_at(ground.api, HELM_RELEASE, injection.target)
        left = self.cut_off(ground, injection, release) if release and delivered(ground, injection) else ()
        for secret in left:
            remove(ground.api, SECRET, secret.name, namespace=secret.namespace)
        super().heal(ground, injection)
        if left and release and not release.suspended:
            keys = (REQUESTED_AT, RESET_AT)
            request = Request(api=ground.api, resource=HELM_RELEASE, subject=release, who=injection.id, keys=keys)
            have_answered([request], LOOKED_SECONDS)

    def by_hand(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[str]:
        words = ("delete", "secret", "-n", injection.text("storage"), "-l", _uninstalling(injection))
        return [ground.typed("kubectl", *words), *super().by_hand(ground, injection)]


def _uninstalling(injection: Injection[NoParameters]) -> str:
    """Selects the Secret that Helm keeps of an uninstallation that was cut off."""
    return f"owner=helm,name={injection.text('release')},status={UNINSTALLING}"


def _pending(ground: Ground, release: KubeObject) -> Sequence[KubeObject]:
    secrets = ground.api.list(SECRET, namespace=namespace_of(release), query={"labelSelector": "owner=helm"})
    return [secret for secret in secrets if _is_pending(release, secret)]


def _is_pending(release: KubeObject, secret: KubeObject) -> bool:
    """Whether this is Helm's record of a release that it is at work on."""
    same = text_at(secret.raw, "metadata", "labels", "name") == text_at(newest(release), "name")
    return same and text_at(secret.raw, "type") == HELM_STORAGE and _status(secret).startswith(PENDING)


def _status(secret: KubeObject) -> str:
    return text_at(secret.raw, "metadata", "labels", "status")
