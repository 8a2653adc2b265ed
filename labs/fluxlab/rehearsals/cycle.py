"""One cycle of all that Flux does by itself, asked for: what comes with each of them is no sign of a fault."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from fluxlab.clusters.api import KubeApi, ignore_missing
from fluxlab.clusters.objects import text_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.documents import JsonObject
from fluxlab.flux.convergence import stopped_controllers
from fluxlab.flux.requests import REQUESTED_AT, STAGES, Request, is_reconciled

WHO = "fluxlab-rehearse"
_CONTROLLERS = {KUSTOMIZATION: "kustomize-controller", HELM_RELEASE: "helm-controller"}
"""Who reconciles what; all else is source-controller's."""


@contextmanager
def one_cycle(api: KubeApi) -> Iterator[Callable[[], Sequence[str]]]:
    """Have every source, Kustomization and HelmRelease that is not suspended, and whose controller runs, be reconciled
    once.

    Yields what tells which of them are not done yet. Nothing of the requests is left after the block. Raises ApiError
    and ApiUnreachableError.
    """
    stopped = stopped_controllers(api)
    requests = tuple(
        Request(api=api, resource=resource, subject=subject, who=WHO)
        for stage in STAGES
        for resource in stage
        if _CONTROLLERS.get(resource, "source-controller") not in stopped
        for subject in api.list(resource)
        if is_reconciled(subject)
    )
    left = list(requests)

    def undone() -> Sequence[str]:
        left[:] = [one for one in left if not _is_done(one)]
        return [str(one.subject) for one in left]

    try:
        for request in requests:
            ignore_missing(request.make)
        yield undone
    finally:
        for request in requests:
            ignore_missing(partial(_forget, request))


def _is_done(request: Request) -> bool:
    """Whether it was reconciled since, or has gone; or whoever asked since, as the hook of a push does, has the answer.

    A request that somebody has taken away is answered no more.
    """
    found = request.api.find(request.resource, request.subject.name, namespace=request.subject.namespace)
    if found is None:
        return True
    asked = text_at(found.raw, "metadata", "annotations", REQUESTED_AT)
    handled = text_at(found.raw, "status", "lastHandledReconcileAt")
    return handled == request.token or asked in {"", handled}


def _forget(request: Request) -> None:
    """Leave no request, whatever there was before: an earlier one would be answered anew, and be fluxlab's then."""
    forgotten: JsonObject = {"metadata": {"annotations": {REQUESTED_AT: None}}}
    request.api.merge(request.resource, request.subject.name, forgotten, namespace=request.subject.namespace)
