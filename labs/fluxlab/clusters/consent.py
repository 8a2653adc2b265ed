"""Whether a lab may use somebody's cluster: a label that only its administrator sets, on a namespace that all have."""

from fluxlab.errors import UsageError

from .api import KubeApi
from .objects import KubeObject
from .resources import NAMESPACE

LABEL = "fluxlab.dev/consent"
GIVEN = "true"
PLACE = "kube-system"


def _system(api: KubeApi) -> KubeObject:
    return api.get(NAMESPACE, PLACE)


def is_given(api: KubeApi) -> bool:
    """Whether the cluster may be used. Raises ApiError or ApiUnreachableError."""
    return _system(api).labels.get(LABEL) == GIVEN


def give(api: KubeApi, *, given: bool = True) -> None:
    """Set the label, or take it away. Raises ApiError or ApiUnreachableError."""
    api.merge(NAMESPACE, PLACE, {"metadata": {"labels": {LABEL: GIVEN if given else None}}})


def check(api: KubeApi, *, context: str, hint: str) -> None:
    """Raise UsageError unless the cluster may be used; `hint` is the command that permits it."""
    if not is_given(api):
        raise UsageError(
            f"context {context} has not been given to fluxlab",
            facts=[f"namespace {PLACE} of {api.server} has no label {LABEL}={GIVEN}"],
            hint=f"{hint}    # if labs may make objects in that cluster",
        )
