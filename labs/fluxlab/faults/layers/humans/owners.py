"""Whose an object is: what applies it, and how Flux is asked to make it as git wants it again."""

from collections.abc import Sequence
from dataclasses import dataclass

from fluxlab.clusters.api import ignore_missing
from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.objects import KubeObject, items_at, text_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import FluxlabError
from fluxlab.faults.base import Ground
from fluxlab.flux.ownership import HELM_LABEL, KUSTOMIZE_LABEL, owner
from fluxlab.flux.requests import FORCE_AT, REQUESTED_AT, Request
from fluxlab.waiting import wait_until

PLATFORM = frozenset({"kustomize-controller", "helm-controller", "kube-controller-manager"})
"""The field managers that an object of git's may have at any time."""
RECONCILED_SECONDS = 90.0
"""How long Flux may take: a health check that runs ends first."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The Kustomization or HelmRelease that applies something."""

    resource: Resource
    namespace: str
    name: str

    @classmethod
    def of(cls, subject: KubeObject) -> "Owner":
        """By an object's labels: a HelmRelease is nearer than the Kustomization above it."""
        if all(owner(subject, HELM_LABEL)):
            return cls.at(HELM_RELEASE.kind, *owner(subject, HELM_LABEL))
        return cls.at(KUSTOMIZATION.kind, *owner(subject, KUSTOMIZE_LABEL))

    @classmethod
    def at(cls, kind: str, namespace: str, name: str) -> "Owner":
        """By its place."""
        resource = HELM_RELEASE if kind == HELM_RELEASE.kind else KUSTOMIZATION
        return cls(resource=resource, namespace=namespace, name=name)

    @classmethod
    def noted(cls, undo: Json) -> "Owner":
        """As `note` has it."""
        return cls.at(*(text_at(undo, key) for key in ("kind", "namespace", "name")))

    def note(self) -> JsonObject:
        """For a record."""
        return {"kind": self.resource.kind, "namespace": self.namespace, "name": self.name}

    def find(self, ground: Ground) -> KubeObject | None:
        """The object, or None when it is not there."""
        return ground.api.find(self.resource, self.name, namespace=self.namespace)

    def merge(self, ground: Ground, patch: JsonObject) -> None:
        """Change it, if it is there."""
        ignore_missing(lambda: ground.api.merge(self.resource, self.name, patch, namespace=self.namespace))

    def reconcile(self, ground: Ground, who: str) -> None:
        """Have Flux look at it now, and wait until it has; nothing of the request is left.

        A HelmRelease that does not correct drift is told to release once more. `who` is asking may ask again, also
        when it was cut off before. Raises WaitTimeoutError, and FluxlabError when it is suspended: nobody would look.
        """
        before = self.find(ground)
        if before is None:
            return
        if before.suspended:
            hint = f"fluxlab flux -- resume {before.kind.lower()} -n {self.namespace} {self.name}"
            raise FluxlabError(f"{before} is suspended by somebody: Flux does not look before it goes on", hint=hint)
        keys = [REQUESTED_AT, *([FORCE_AT] if _needs_force(before) else [])]
        request = Request(api=ground.api, resource=self.resource, subject=before, who=who, keys=keys)
        ignore_missing(request.make)
        wait_until(
            request.answered,
            what=f"{before} answers a request",
            timeout_seconds=RECONCILED_SECONDS,
            interval_seconds=0.1,
        )
        ignore_missing(request.take_back)

    def by_hand(self, ground: Ground, verb: str = "reconcile") -> str:
        """The command by which a person has Flux look at it, or `resume` it; also at a HelmRelease without drift
        detection.
        """
        force = ["--force"] if self.resource == HELM_RELEASE and verb == "reconcile" else []
        return ground.typed("flux", verb, self.resource.kind.lower(), "-n", self.namespace, self.name, *force)


def _needs_force(subject: KubeObject) -> bool:
    mode = text_at(subject.raw, "spec", "driftDetection", "mode")
    return subject.kind == HELM_RELEASE.kind and mode != "enabled"


def managers(subject: KubeObject) -> Sequence[str]:
    """The field managers of an object, but for those of its status, and the platform's own."""
    entries = items_at(subject.raw, "metadata", "managedFields")
    found = {text_at(one, "manager") for one in entries if text_at(one, "subresource") != "status"}
    return sorted(found - PLATFORM)


def disown(ground: Ground, subject: KubeObject, manager: str) -> None:
    """Take away what somebody applied to an object and nobody else wants, and all trace of them."""
    if manager in managers(subject):
        resource = Kinds(ground.api).find(subject.kind)
        path = resource.path(namespace=subject.namespace or None, name=subject.name)
        metadata: JsonObject = {"name": subject.name, "namespace": subject.namespace}
        nothing: JsonObject = {"apiVersion": subject.api_version, "kind": subject.kind, "metadata": metadata}
        ignore_missing(lambda: ground.api.apply(path, nothing, field_manager=manager))
