"""Faults that arrive as commits: what git says cannot be built, applied or run."""

from abc import abstractmethod
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from fluxlab import manifests
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.inventory import inventory
from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.clusters.resources import DEPLOYMENT, HELM_CHART, HELM_RELEASE, KUSTOMIZATION
from fluxlab.clusters.secret import parse_place
from fluxlab.clusters.workloads import Workload
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UsageError
from fluxlab.flux.ownership import KUSTOMIZE_LABEL, owner
from fluxlab.manifests import Manifest as Editable
from fluxlab.repository import Repository
from fluxlab.waiting import wait_until

from .base import Fault, Ground, Injection, Layer, NoParameters, Parameters, Plan
from .deliveries import (
    Manifest,
    Manifests,
    deliver,
    delivered,
    follows,
    has_applied,
    kustomization_at,
    path_of,
    take_back,
    taken_back,
)
from .fates import FAULT, NOWHERE, Fate, begin, end
from .pods import PodImagePull, touched, waiting_reasons
from .workloads import condition_of, find_deployment, is_ready, pods_of

UNSET = "FLUXLAB_UNSET"
MISSING_TAG = "0.0.0-missing"
UNKNOWN_VERSION = "99.0.0"
P = TypeVar("P", bound=Parameters)


class DeliveredFault(Fault[P]):
    """A commit that should not have been."""

    layer = Layer.MANIFESTS
    title: ClassVar[str]
    """Of the commit, as who made it would have it."""
    kind: ClassVar[str]
    """Of its targets."""
    proof_seconds = 150.0  # a health check that runs ends first: it may last as long as a Kustomization's timeout

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: P, random: Random) -> Plan:
        del parameters, random
        (place,) = targets
        manifest = self.manifest(ground, place)
        if manifest is None:
            raise UsageError(f"{self.name}: nothing in git could be changed for {place}")
        repository = ground.repository
        return Plan(
            targets=targets,
            touches=frozenset({f"branch:{repository.branch}", f"object:{self.kind} {place}"}),
            undo={
                "head": repository.head(),
                "file": manifest.file,
                "kind": manifest.content.kind,
                "name": manifest.content.name,
            },
        )

    @abstractmethod
    def manifest(self, ground: Ground, place: str) -> Manifest | None:
        """What is changed in git."""

    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        if not delivered(ground, injection):
            deliver(ground, injection, self.title, lambda repository: self.change(repository, ground, injection))

    @abstractmethod
    def change(self, repository: Repository, ground: Ground, injection: Injection[P]) -> None:
        """Prepare the commit."""

    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        take_back(ground, injection, self.title)

    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        if not delivered(ground, injection):
            return "the branch has no such commit"
        commit = taken_back(ground, injection)
        return self.recovered(ground, injection, commit) if commit else ""

    @abstractmethod
    def recovered(self, ground: Ground, injection: Injection[P], commit: str) -> str:
        """What Flux says once it has applied the commit that took it back."""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        commit = delivered(ground, injection)
        return [f"fluxlab clone --lab {ground.folder.name}", f"git revert {commit} && git push"] if commit else []


class KustomizationFault(DeliveredFault[NoParameters]):
    """Something below the path of a Kustomization."""

    kind = KUSTOMIZATION.kind

    def candidates(self, ground: Ground) -> Sequence[str]:
        known = Manifests.at_head(ground)
        return sorted(
            f"{one.namespace}/{one.name}"
            for one in ground.api.list(KUSTOMIZATION)
            if follows(ground, one) and self.chosen(one, known.of(one))
        )

    def manifest(self, ground: Ground, place: str) -> Manifest | None:
        found = _kustomization(ground, place)
        return self.chosen(found, Manifests.at_head(ground).of(found)) if found else None

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        """Which of its manifests is changed."""
        del kustomization
        return known[0] if known else None

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        found = _kustomization(ground, injection.target)
        return self.shows(ground, injection, found) if found and delivered(ground, injection) else ""

    @abstractmethod
    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        """What shows it."""

    def recovered(self, ground: Ground, injection: Injection[NoParameters], commit: str) -> str:
        found = _kustomization(ground, injection.target)
        if found is None:
            return "the Kustomization is not there any more"
        return f"{found.condition('Ready')}" if has_applied(ground, found, commit) else ""


class RefusedFault(KustomizationFault):
    """Something that kustomize-controller, or the API server, says no to."""

    reason: ClassVar[str]
    says: ClassVar[str]
    """What its message holds."""

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del ground, injection
        ready = kustomization.condition("Ready")
        if ready is None or ready.status != "False" or ready.reason != self.reason or self.says not in ready.message:
            return ""
        return f"{kustomization}: {ready}"


class SyntaxErrorFault(RefusedFault):
    """No YAML."""

    name = "manifest-syntax-error"
    summary = "a commit leaves a file that is no valid YAML"
    expect = (
        "the Kustomization says BuildFailed with the file's name, and nothing of its path is applied, nor drift "
        "corrected; what runs goes on"
    )
    title = "Tidy up"
    reason, says = "BuildFailed", "yaml"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        file = injection.text("file")
        repository.write(file, f"{repository.read(file).rstrip()}\nspec: [unfinished\n")


class PathGone(RefusedFault):
    """Another folder."""

    name = "manifest-path-gone"
    summary = "a commit renames the folder that a Kustomization applies"
    expect = "the Kustomization says ArtifactFailed (kustomization path not found); what runs goes on"
    title = "Rename a folder"
    reason, says = "ArtifactFailed", "path not found"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        path = _path(ground, injection)
        repository.move(path, f"{path}-renamed")


class EmptyDirectory(KustomizationFault):
    """Nothing wanted."""

    name = "manifest-empty-directory"
    summary = "a commit removes all manifests from the folder that a Kustomization applies"
    expect = (
        "the Kustomization stays Ready=True and prunes all that it had applied: an event says what was deleted; after "
        "healing everything is made anew"
    )
    title = "Remove what is not needed"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        return super().chosen(kustomization, known) if dig(kustomization.raw, "spec", "prune") is True else None

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        path = _path(ground, injection)
        repository.delete(path)
        repository.write(f"{path}/README.md", "Nothing is here any more.\n")

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        empty = not items_at(kustomization.raw, "status", "inventory", "entries")
        if not empty or not has_applied(ground, kustomization, delivered(ground, injection)):
            return ""
        return f"{kustomization} has nothing in its inventory; {kustomization.condition('Ready')}"


class ImmutableField(RefusedFault):
    """A selector."""

    name = "manifest-immutable-field"
    summary = "a commit changes a Deployment's selector, which cannot be changed"
    expect = (
        "the Kustomization says ReconciliationFailed (dry-run failed, field is immutable) and applies nothing of its "
        "path; with `force` it would delete the Deployment and make it anew"
    )
    title = "Label the pods"
    reason, says = "ReconciliationFailed", "immutable"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        return None if dig(kustomization.raw, "spec", "force") is True else _deployment(known)

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        labels = {"tier": "fluxlab"}
        selector, template = {"matchLabels": labels}, {"metadata": {"labels": labels}}
        _patch(repository, injection, {"spec": {"selector": selector, "template": template}})


class UnsetVariable(RefusedFault):
    """`${...}`."""

    name = "manifest-unset-variable"
    summary = "a commit uses a variable for `postBuild` that nobody sets"
    expect = "the Kustomization says BuildFailed (variable not set, strict mode) and applies nothing of its path"
    title = "Say where it runs"
    reason, says = "BuildFailed", "variable not set"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        # Without any variable nothing is substituted at all.
        return known[0] if known and dig(kustomization.raw, "spec", "postBuild", "substitute") else None

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        annotations = {"fluxlab.dev/unset": f"${{{UNSET}}}"}
        _patch(repository, injection, {"metadata": {"annotations": annotations}})


class MissingCrd(RefusedFault):
    """No such kind."""

    name = "manifest-missing-crd"
    summary = "a commit adds a custom resource of which no definition is there"
    expect = "the Kustomization says ReconciliationFailed (no matches for kind) and applies nothing of its path"
    title = "Add a cache"
    reason, says = "ReconciliationFailed", "no matches for kind"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        file = injection.text("file")
        added: JsonObject = {"apiVersion": "missing.fluxlab.dev/v1", "kind": "Cache", "metadata": {"name": "missing"}}
        repository.write(file, f"{repository.read(file).rstrip()}\n---\n{manifests.dump(added)}")


class WorkloadFault(KustomizationFault):
    """A Deployment that is applied and does not come up."""

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        del kustomization
        return _deployment(known)

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: NoParameters, random: Random) -> Plan:
        plan = super().plan(ground, targets, parameters, random)
        kustomization, name = _kustomization(ground, targets[0]), str(plan.undo["name"])
        entries = inventory(kustomization) if kustomization else ()
        namespace = next(one.namespace for one in entries if (one.kind, one.name) == (DEPLOYMENT.kind, name))
        undo = {**plan.undo, "namespace": namespace}
        return replace(plan, touches=plan.touches | {touched(f"{namespace}/{name}")}, undo=undo)

    def deployment(self, ground: Ground, injection: Injection[NoParameters]) -> KubeObject | None:
        """The Deployment in the cluster."""
        return find_deployment(ground.api, f"{injection.text('namespace')}/{injection.text('name')}")

    def pods(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[KubeObject]:
        """Its pods."""
        found = self.deployment(ground, injection)
        return pods_of(ground.api, found) if found else ()


class BadImage(WorkloadFault):
    """A tag that nobody has pushed."""

    name = "manifest-bad-image"
    summary = "a commit names an image tag that does not exist, so that the rollout hangs"
    expect = (
        "the new pods wait in ImagePullBackOff while the old ones go on; a Kustomization with `wait` says "
        "HealthCheckFailed after its timeout, without naming the image; what heals it waits for a health check that "
        "runs. Simulated pods are told that the image is missing: no registry is asked"
    )
    title = "Update the image"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        if not ground.cluster.lacks(Capability.STAGES):
            begin(ground.api, self._fate(injection))
        _edit(repository, injection, lambda manifest: _containers(manifest)[0].update(image=injection.text("image")))

    def plan(self, ground: Ground, targets: tuple[str, ...], parameters: NoParameters, random: Random) -> Plan:
        plan = super().plan(ground, targets, parameters, random)
        place = f"{plan.undo['namespace']}/{plan.undo['name']}"
        spec = ground.cluster.deployment(place).raw["spec"]
        undo = {
            **plan.undo,
            "image": missing_image(text_at(items_at(spec, "template", "spec", "containers")[0], "image")),
            "selector": dig(spec, "selector"),
            "labels": dig(spec, "template", "metadata", "labels"),
        }
        return replace(plan, undo=undo)

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del kustomization
        pods = [pod for pod in self.pods(ground, injection) if injection.text("image") in images(pod)]
        hang = [pod for pod in pods if {"ImagePullBackOff", "ErrImagePull"} & set(waiting_reasons(pod))]
        return f"{hang[0]} waits in {waiting_reasons(hang[0])[0]} for {injection.text('image')}" if hang else ""

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        super().heal(ground, injection)
        # Not before nobody makes pods with that image any more: they would run.
        wait_until(
            lambda: not self._is_wanted(ground, injection),
            what=f"{injection.target} applies the commit without {injection.text('image')}",
            timeout_seconds=self.proof_seconds,
            interval_seconds=0.2,
        )
        end(ground.api, self._fate(injection))

    def _is_wanted(self, ground: Ground, injection: Injection[NoParameters]) -> bool:
        deployment = self.deployment(ground, injection)
        return deployment is not None and injection.text("image") in Workload(deployment.raw).images

    def _fate(self, injection: Injection[NoParameters]) -> Fate:
        return Fate(
            name=f"fluxlab-{injection.id}",
            namespace=injection.text("namespace"),
            selector=injection.undo["selector"],
            labels=injection.undo["labels"],
            annotations={FAULT: PodImagePull.name},
            image=injection.text("image"),
        )


class Unhealthy(WorkloadFault):
    """Nowhere to run."""

    name = "manifest-unhealthy"
    summary = "a commit asks for a node that is not there, so that the rollout hangs"
    expect = (
        "the new pods are Unschedulable while the old ones go on; a Kustomization with `wait` says HealthCheckFailed "
        "after its timeout, without naming why; what heals it waits for a health check that runs"
    )
    title = "Run on faster nodes"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        selector = {"nodeSelector": {NOWHERE: "true"}}
        _patch(repository, injection, {"spec": {"template": {"spec": selector}}})

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del kustomization
        told = (condition_of(pod, "PodScheduled") for pod in self.pods(ground, injection))
        stuck = [one.get("message") for one in told if one.get("reason") == "Unschedulable"]
        return f"a pod of {injection.text('name')} is Unschedulable: {stuck[0]}" if stuck else ""


class ReleaseFault(DeliveredFault[P]):
    """Something in the manifest of a HelmRelease."""

    kind = HELM_RELEASE.kind

    def candidates(self, ground: Ground) -> Sequence[str]:
        known = Manifests.at_head(ground)
        return sorted(
            f"{one.namespace}/{one.name}"
            for one in ground.api.list(HELM_RELEASE)
            if is_ready(one) and not one.suspended and self.fits(one) and known.find(one)
        )

    def fits(self, release: KubeObject) -> bool:
        """Whether it can be done to a HelmRelease."""
        del release
        return True

    def manifest(self, ground: Ground, place: str) -> Manifest | None:
        found = _release(ground, place)
        return Manifests.at_head(ground).find(found) if found else None

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        found = _release(ground, injection.target)
        return self.shows(ground, found) if found and not is_ready(found) and delivered(ground, injection) else ""

    @abstractmethod
    def shows(self, ground: Ground, release: KubeObject) -> str:
        """What shows it, of a HelmRelease that is not Ready."""

    def recovered(self, ground: Ground, injection: Injection[P], commit: str) -> str:
        found = _release(ground, injection.target)
        if found is None:
            return "the HelmRelease is not there any more"
        above = kustomization_at(ground, *owner(found, KUSTOMIZE_LABEL))
        attempted = number_at(found.raw, "status", "lastAttemptedGeneration")
        seen = found.observed_generation == found.generation == attempted
        if above is None or not has_applied(ground, above, commit) or not seen or not is_ready(found):
            return ""
        return f"{found.condition('Ready')}"


class UnknownVersion(ReleaseFault[NoParameters]):
    """A chart that is not there."""

    name = "release-unknown-version"
    summary = "a commit asks for a version of a chart that is not there"
    expect = (
        "the HelmChart says InvalidChartReference and is Stalled, the HelmRelease says SourceNotReady without a "
        "Warning of its own, and what runs goes on"
    )
    title = "Update the chart"

    def fits(self, release: KubeObject) -> bool:
        return dig(release.raw, "spec", "chart", "spec", "chart") is not None

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        _patch(repository, injection, {"spec": {"chart": {"spec": {"version": UNKNOWN_VERSION}}}})

    def shows(self, ground: Ground, release: KubeObject) -> str:
        namespace, _, name = text_at(release.raw, "status", "helmChart").partition("/")
        chart = ground.api.find(HELM_CHART, name, namespace=namespace) if name else None
        ready = chart.condition("Ready") if chart else None
        if ready is None or UNKNOWN_VERSION not in ready.message:
            return ""
        return f"{release}: {release.condition('Ready')}; its chart: {ready}"


class BadValues(Parameters):
    """Which value."""

    key: str = Field(default="replicas", pattern=r"[\w-]+(\.[\w-]+)*", description="path of the value, keys by dots")
    value: str = Field(default="many", description="the text that it gets")


class ReleaseBadValues(ReleaseFault[BadValues]):
    """Values that make no sense."""

    name = "release-bad-values"
    summary = "a commit gives a chart a value that it, or the API server, refuses"
    expect = (
        "the HelmRelease says UpgradeFailed, tries as often as its remediation says, and is Stalled; with the strategy "
        "`rollback` what ran before runs on; the commit that heals it is a new spec, which starts anew"
    )
    parameters = BadValues
    title = "Change the values"

    def change(self, repository: Repository, ground: Ground, injection: Injection[BadValues]) -> None:
        del ground
        value: Json = injection.parameters.value
        for key in reversed(injection.parameters.key.split(".")):
            value = {key: value}
        _patch(repository, injection, {"spec": {"values": value}})

    def shows(self, ground: Ground, release: KubeObject) -> str:
        del ground
        released, seen = release.condition("Released"), release.observed_generation == release.generation
        return f"{release}: {released}" if released and released.status == "False" and seen else ""


def missing_image(image: str) -> str:
    """The same image with a tag that nobody has pushed."""
    place, slash, name = image.partition("@")[0].rpartition("/")
    return f"{place}{slash}{name.partition(':')[0]}:{MISSING_TAG}"


def images(pod: KubeObject) -> Sequence[str]:
    """The images of a pod's containers."""
    return [text_at(one, "image") for one in items_at(pod.raw, "spec", "containers")]


def _kustomization(ground: Ground, place: str) -> KubeObject | None:
    return kustomization_at(ground, *parse_place(place))


def _release(ground: Ground, place: str) -> KubeObject | None:
    namespace, name = parse_place(place)
    return ground.api.find(HELM_RELEASE, name, namespace=namespace)


def _deployment(known: Sequence[Manifest]) -> Manifest | None:
    return next((one for one in known if one.content.kind == DEPLOYMENT.kind), None)


def _path(ground: Ground, injection: Injection[Any]) -> str:
    found = _kustomization(ground, injection.target)
    if found is None:
        raise UsageError(f"Kustomization {injection.target} is not there any more")
    return path_of(found)


def _edit(repository: Repository, injection: Injection[Any], edit: Callable[[Editable], object]) -> None:
    file, kind, name = (injection.text(key) for key in ("file", "kind", "name"))
    repository.write(file, manifests.edited(repository.read(file), edit, path=file, kind=kind, name=name))


def _patch(repository: Repository, injection: Injection[Any], change: JsonObject) -> None:
    file, kind, name = (injection.text(key) for key in ("file", "kind", "name"))
    repository.patch(file, change, kind=kind, name=name)


def _containers(manifest: Editable) -> Sequence[Editable]:
    found = items_at(manifest, "spec", "template", "spec", "containers")
    return [one for one in found if isinstance(one, MutableMapping)]


FAULTS: Sequence[type[Fault[Any]]] = (
    SyntaxErrorFault,
    PathGone,
    EmptyDirectory,
    ImmutableField,
    UnsetVariable,
    MissingCrd,
    BadImage,
    Unhealthy,
    UnknownVersion,
    ReleaseBadValues,
)
