"""Have Flux take up a history that goes back."""

from contextlib import suppress
from functools import partial

from fluxlab.clusters.api import ApiError, ApiUnreachableError
from fluxlab.clusters.objects import KubeObject, text_at
from fluxlab.clusters.resources import GIT_REPOSITORY, KUSTOMIZATION
from fluxlab.errors import WaitTimeoutError
from fluxlab.faults.base import Ground
from fluxlab.flux.ownership import git_source
from fluxlab.flux.requests import Request, have_answered
from fluxlab.flux.verdicts import under_way
from fluxlab.waiting import wait_until

from .followers import followers

WHO = "fluxlab-heal"


def have_taken_up(ground: Ground, commit: str, *, timeout_seconds: float) -> None:
    """Have what applies the lab's repository see that its branch is back at a commit that it may have been at before.

    kustomize-controller hears nothing of a source that comes to the revision which a Ready Kustomization attempted
    last, although that may have just begun with another one (requestsForRevisionChangeOf in its source), and looks
    again after its interval, which may be long. Whoever does not come that far in time is left to that.
    """
    root = ground.cluster.root
    source = root.namespace, root.name

    def at_commit() -> bool:
        found = ground.api.find(GIT_REPOSITORY, root.name, namespace=root.namespace)
        return found is None or _is_at(found, commit, "artifact", "revision")

    def late() -> list[KubeObject]:
        following = (one for one in followers(ground, KUSTOMIZATION.kind) if git_source(one) == source)
        return [one for one in following if not one.suspended and not _is_at(one, commit, "lastAppliedRevision")]

    def at_rest() -> bool:
        return not any(map(under_way, late()))

    wait = partial(wait_until, timeout_seconds=timeout_seconds, interval_seconds=0.1)
    with suppress(WaitTimeoutError, ApiError, ApiUnreachableError):  # another fault may be in
        wait(at_commit, what="Flux has fetched")
        wait(at_rest, what="Flux rests")
        asked = [Request(api=ground.api, resource=KUSTOMIZATION, subject=one, who=WHO) for one in late() if one.ready]
        have_answered(asked, timeout_seconds)


def _is_at(subject: KubeObject, commit: str, *field: str) -> bool:
    return text_at(subject.raw, "status", *field).rpartition(":")[2] == commit
