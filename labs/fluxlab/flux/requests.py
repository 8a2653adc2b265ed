"""Requests to Flux's controllers to look at an object now: they say so in `status.lastHandledReconcileAt`."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from fluxlab.clusters.api import KubeApi, ignore_missing
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import (
    BUCKET,
    GIT_REPOSITORY,
    HELM_CHART,
    HELM_RELEASE,
    HELM_REPOSITORY,
    KUSTOMIZATION,
    OCI_REPOSITORY,
    Resource,
)
from fluxlab.documents import Json
from fluxlab.errors import WaitTimeoutError
from fluxlab.timeline.entries import ObjectRef
from fluxlab.waiting import wait_until

from .ownership import belongs

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
FORCE_AT = "reconcile.fluxcd.io/forceAt"
"""With the token of a request: a HelmRelease releases once more, whatever it finds."""
RESET_AT = "reconcile.fluxcd.io/resetAt"
"""With the token of a request: a HelmRelease forgets how often it has failed."""
CONSUMERS = (KUSTOMIZATION, HELM_RELEASE)
STAGES = ((GIT_REPOSITORY, OCI_REPOSITORY, BUCKET, HELM_REPOSITORY), (HELM_CHART,), CONSUMERS)
"""What is fetched first, then what fails for want of it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. Nothing is left of it when it was taken back; Flux hears each token only once."""

    api: KubeApi
    resource: Resource
    subject: KubeObject
    """The object as it was before."""
    who: str
    """Begins the tokens of whoever asks: what an earlier one left, who was cut off, is taken back, too."""
    keys: Sequence[str] = (REQUESTED_AT,)

    @cached_property
    def token(self) -> str:
        """What the controller says once it has looked."""
        return f"{self.who}-{secrets.token_hex(4)}"

    def make(self) -> None:
        """Ask. Raises ApiError, with status 404 when the object has gone."""
        self._annotate(dict.fromkeys(self.keys, self.token))

    def answered(self) -> bool:
        """Whether the controller has looked, or the object has gone."""
        found = self.api.find(self.resource, self.subject.name, namespace=self.subject.namespace)
        return found is None or text_at(found.raw, "status", "lastHandledReconcileAt") == self.token

    def take_back(self) -> None:
        """Have the annotations be as they were. Raises ApiError, with status 404 when the object has gone."""
        known = {key: text_at(self.subject.raw, "metadata", "annotations", key) for key in self.keys}
        self._annotate({key: None if value.startswith(self.who) else value or None for key, value in known.items()})

    def _annotate(self, annotations: dict[str, Json]) -> None:
        patch: dict[str, Json] = {"metadata": {"annotations": annotations}}
        self.api.merge(self.resource, self.subject.name, patch, namespace=self.subject.namespace)


def try_again(api: KubeApi, *, who: str, timeout_seconds: float, root: ObjectRef | None = None) -> None:
    """Have everything fetched anew, and then what has failed tried again, however long its interval is.

    With the `root` Kustomization of a lab in somebody's cluster only what belongs to it. Whoever does not answer in
    time (of each stage) is not waited for. Raises ApiError and ApiUnreachableError.
    """
    known = {one.reference: one for resource in CONSUMERS for one in api.list(resource)} if root else {}
    for stage in STAGES:
        found = _requests(api, stage, who)
        asked = [one for one in found if root is None or belongs(one.subject, root, known)]
        have_answered(asked, timeout_seconds)


def have_answered(requests: Sequence[Request], timeout_seconds: float) -> None:
    """Make requests, wait for the answers, and take the requests back, whatever ends the wait."""
    try:
        for request in requests:
            ignore_missing(request.make)
        with suppress(WaitTimeoutError):
            wait_until(
                lambda: all(request.answered() for request in requests),
                what="Flux answers",
                timeout_seconds=timeout_seconds,
                interval_seconds=0.1,
            )
    finally:
        for request in requests:
            ignore_missing(request.take_back)


def _requests(api: KubeApi, stage: Sequence[Resource], who: str) -> Iterator[Request]:
    for resource in stage:
        keys = (REQUESTED_AT, RESET_AT) if resource is HELM_RELEASE else (REQUESTED_AT,)
        for subject in api.list(resource):
            if is_reconciled(subject) and not (resource in CONSUMERS and subject.ready):
                yield Request(api=api, resource=resource, subject=subject, who=who, keys=keys)


def is_reconciled(subject: KubeObject) -> bool:
    """Whether a controller looks at it: a HelmRepository of type oci is only an address."""
    return not subject.suspended and text_at(subject.raw, "spec", "type") != "oci"
