"""Commits with which a release fails: a chart that is not there, values that make no sense."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from pydantic import Field

from fluxlab.clusters.objects import KubeObject, number_at, text_at
from fluxlab.clusters.resources import HELM_CHART, HELM_RELEASE, HELM_REPOSITORY
from fluxlab.documents import Json
from fluxlab.faults.base import Ground, Injection, NoParameters, P, Parameters, Plan
from fluxlab.faults.means.deliveries import Manifest, Manifests, applied_by, delivered, has_applied, touched_above
from fluxlab.faults.means.followers import followers
from fluxlab.faults.means.places import find_at, place_of
from fluxlab.repository import Repository

from .commits import DeliveredFault, patch

UNKNOWN_VERSION = "99.0.0"


class ReleaseFault(DeliveredFault[P]):
    """Something in the manifest of a HelmRelease."""

    kind = HELM_RELEASE.kind

    def candidates(self, ground: Ground) -> Sequence[str]:
        known = Manifests.at_head(ground)
        return sorted(
            place_of(one)
            for one in followers(ground, HELM_RELEASE.kind)
            if one.ready and not one.suspended and self.fits(one) and known.find(one)
        )

    def fits(self, release: KubeObject) -> bool:
        """Whether it can be done to a HelmRelease."""
        del release
        return True

    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        return replace(plan, touches=plan.touches | touched_above(ground, target))

    def manifest(self, ground: Ground, place: str) -> Manifest | None:
        found = find_at(ground.api, HELM_RELEASE, place)
        return Manifests.at_head(ground).find(found) if found else None

    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        found = find_at(ground.api, HELM_RELEASE, injection.target)
        return self.shows(ground, found) if found and not found.ready and delivered(ground, injection) else ""

    @abstractmethod
    def shows(self, ground: Ground, release: KubeObject) -> str:
        """What shows it, of a HelmRelease that is not Ready."""

    def appliers(self, ground: Ground, injection: Injection[P]) -> Sequence[KubeObject | None]:
        found = find_at(ground.api, HELM_RELEASE, injection.target)
        return [applied_by(ground, found), found] if found else []

    def recovered(self, ground: Ground, injection: Injection[P], commit: str) -> str:
        found = find_at(ground.api, HELM_RELEASE, injection.target)
        if found is None:
            return "the HelmRelease is not there any more"
        above = applied_by(ground, found)
        attempted = number_at(found.raw, "status", "lastAttemptedGeneration")
        seen = found.observed_generation == found.generation == attempted
        if above is None or not has_applied(ground, above, commit) or not seen or not found.ready:
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
        # Of a chart that lies in git or in a bucket no version is asked for.
        return text_at(release.raw, "spec", "chart", "spec", "sourceRef", "kind") == HELM_REPOSITORY.kind

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        patch(repository, injection, {"spec": {"chart": {"spec": {"version": UNKNOWN_VERSION}}}})

    def shows(self, ground: Ground, release: KubeObject) -> str:
        namespace, _, name = text_at(release.raw, "status", "helmChart").partition("/")
        chart = ground.api.find(HELM_CHART, name, namespace=namespace) if name else None
        ready = chart.condition("Ready") if chart else None
        if ready is None or UNKNOWN_VERSION not in ready.message:
            return ""
        return f"{release}: {release.condition('Ready')}; its chart: {ready}"


class BadValues(Parameters):
    """Which value."""

    key: str = Field(default="replicas", pattern=r"^[\w-]+(\.[\w-]+)*$", description="path of the value, keys by dots")
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
        patch(repository, injection, {"spec": {"values": value}})

    def shows(self, ground: Ground, release: KubeObject) -> str:
        del ground
        released, seen = release.condition("Released"), release.observed_generation == release.generation
        return f"{release}: {released}" if released and released.status == "False" and seen else ""
