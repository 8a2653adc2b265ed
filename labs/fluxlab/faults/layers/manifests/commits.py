"""What all faults that arrive as commits have in common: whom they hit, and when they are in and out."""

from abc import abstractmethod
from collections.abc import Sequence
from random import Random
from typing import Any, ClassVar

from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.resources import DEPLOYMENT, KUSTOMIZATION
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Fault, Ground, Injection, Layer, NoParameters, P, Plan
from fluxlab.faults.means.deliveries import (
    Manifest,
    Manifests,
    deliver,
    delivered,
    follows,
    has_applied,
    held_back,
    revert_by_hand,
    take_back,
    taken_back,
)
from fluxlab.faults.means.followers import followers
from fluxlab.faults.means.places import find_at, place_of
from fluxlab.places import parse_place
from fluxlab.repository import Repository


class DeliveredFault(Fault[P]):
    """A commit that should not have been."""

    layer = Layer.MANIFESTS
    title: ClassVar[str]
    """Of the commit, as who made it would have it."""
    kind: ClassVar[str]
    """Of its targets."""
    proof_seconds = 150.0  # a health check that runs ends first: it may last as long as a Kustomization's timeout

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        del parameters, random
        manifest = self.manifest(ground, target)
        if manifest is None:
            raise UsageError(f"{self.name}: nothing in git could be changed for {target}")
        repository = ground.repository
        return Plan(
            touches=frozenset({f"branch:{repository.branch}", f"object:{self.kind} {target}"}),
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
        if not commit:
            return ""
        return self.held_back(ground, injection) or self.recovered(ground, injection, commit)

    def held_back(self, ground: Ground, injection: Injection[P]) -> str:
        """What somebody has suspended, so that Flux does not apply what git has; nothing where it does."""
        return held_back(ground, *self.appliers(ground, injection))

    @abstractmethod
    def appliers(self, ground: Ground, injection: Injection[P]) -> Sequence[KubeObject | None]:
        """What has to look until a commit is applied, after the source."""

    @abstractmethod
    def recovered(self, ground: Ground, injection: Injection[P], commit: str) -> str:
        """What Flux says once it has applied the commit that took it back."""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        namespace, name = parse_place(injection.target)
        looking = ("reconcile", self.kind.lower(), "-n", namespace, name, "--with-source")
        return [*revert_by_hand(ground, injection), ground.typed("flux", *looking)]


class KustomizationFault(DeliveredFault[NoParameters]):
    """Something below the path of a Kustomization."""

    kind = KUSTOMIZATION.kind

    def candidates(self, ground: Ground) -> Sequence[str]:
        known = Manifests.at_head(ground)
        return sorted(
            place_of(one)
            for one in followers(ground, KUSTOMIZATION.kind)
            if follows(ground, one) and self.chosen(one, known.of(one))
        )

    def manifest(self, ground: Ground, place: str) -> Manifest | None:
        found = find_kustomization(ground, place)
        return self.chosen(found, Manifests.at_head(ground).of(found)) if found else None

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        """Which of its manifests is changed."""
        del kustomization
        return known[0] if known else None

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        found = find_kustomization(ground, injection.target)
        return self.shows(ground, injection, found) if found and delivered(ground, injection) else ""

    @abstractmethod
    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        """What shows it."""

    def appliers(self, ground: Ground, injection: Injection[NoParameters]) -> Sequence[KubeObject | None]:
        return [find_kustomization(ground, injection.target)]

    def recovered(self, ground: Ground, injection: Injection[NoParameters], commit: str) -> str:
        found = find_kustomization(ground, injection.target)
        if found is None:
            return "the Kustomization is not there any more"
        return f"{found.condition('Ready')}" if has_applied(ground, found, commit) else ""


def find_kustomization(ground: Ground, place: str) -> KubeObject | None:
    """The Kustomization at a place, or None when it is not there."""
    return find_at(ground.api, KUSTOMIZATION, place)


def first_deployment(known: Sequence[Manifest]) -> Manifest | None:
    """The first that is a Deployment."""
    return next((one for one in known if one.content.kind == DEPLOYMENT.kind), None)


def patch(repository: Repository, injection: Injection[Any], change: JsonObject) -> None:
    """Merge a change into the manifest that was chosen."""
    file, kind, name = (injection.text(key) for key in ("file", "kind", "name"))
    repository.patch(file, change, kind=kind, name=name)
