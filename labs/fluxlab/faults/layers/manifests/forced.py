"""Commits that have Flux delete a Deployment, because they tell it to force what the API server refuses.

kustomize-controller takes every refusal of a manifest as one that its deletion would help (fluxcd/pkg, `ssa/errors`:
`IsImmutableError`). So what cannot be changed is made anew, and what is not valid is gone.
"""

from dataclasses import replace
from random import Random

from fluxlab.clusters.objects import KubeObject, dig
from fluxlab.clusters.resources import DEPLOYMENT
from fluxlab.faults.base import Ground, Injection, NoParameters, Plan
from fluxlab.faults.means.places import uid_of
from fluxlab.repository import Repository

from .commits import patch
from .rollouts import WorkloadFault

_FORCE = {"metadata": {"annotations": {"kustomize.toolkit.fluxcd.io/force": "enabled"}}}
_CHANGED = "fluxlab.dev/forced"
_TOO_FEW = -1


class Forced(WorkloadFault):
    """A selector."""

    name = "manifest-forced"
    summary = (
        "a commit changes a Deployment's selector, which cannot be changed, and tells Flux to force it: the Deployment "
        "is deleted with its pods, and made anew"
    )
    expect = (
        "the Kustomization stays Ready=True, or is so again once the new pods are; its event says `created`, none says "
        "`deleted`; the revert, which cannot be applied either, makes the Deployment anew once more"
    )
    title = "Label the pods, whatever it takes"

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        plan = super().plan(ground, target, parameters, random)
        deployment = ground.cluster.deployment(f"{plan.undo['namespace']}/{plan.undo['name']}")
        return replace(plan, undo={**plan.undo, "uid": uid_of(deployment)})

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        labels = {_CHANGED: injection.id}
        selector, template = {"matchLabels": labels}, {"metadata": {"labels": labels}}
        patch(repository, injection, {**_FORCE, "spec": {"selector": selector, "template": template}})

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        deployment, before = self.deployment(ground, injection), injection.text("uid")
        if deployment is None or uid_of(deployment) == before or not self.asks(injection, deployment):
            return ""  # what has another selector was not made by anybody else
        return f"{kustomization} has made {deployment} anew: its UID is {uid_of(deployment)}, and was {before}"

    def asks(self, injection: Injection[NoParameters], deployment: KubeObject) -> bool:
        return dig(deployment.raw, "spec", "selector", "matchLabels", _CHANGED) == injection.id


class ForcedInvalid(WorkloadFault):
    """A number of pods."""

    name = "manifest-forced-invalid"
    summary = (
        "a commit has a mistake in a Deployment that the API server refuses, and tells Flux to force it: what runs is "
        "deleted, and not made anew"
    )
    expect = (
        "the Deployment and its pods are gone, no event says `deleted`, and the Kustomization says "
        "ReconciliationFailed (dry-run failed, Invalid), as if nothing had been done; only a valid commit brings the "
        "Deployment back"
    )
    title = "Scale down, whatever it takes"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        patch(repository, injection, {**_FORCE, "spec": {"replicas": _TOO_FEW}})

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        ready = kustomization.condition("Ready")
        if self.deployment(ground, injection) or ready is None or ready.reason != "ReconciliationFailed":
            return ""
        gone = f"{DEPLOYMENT.kind} {injection.text('namespace')}/{injection.text('name')}"
        return f"{gone} is gone; {kustomization}: {ready}"

    def asks(self, injection: Injection[NoParameters], deployment: KubeObject) -> bool:
        del injection, deployment
        return False  # no Deployment can be so
