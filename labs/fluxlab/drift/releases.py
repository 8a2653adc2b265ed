"""What a HelmRelease wants: the manifest that Helm stored with its newest release, which is post-rendered already."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import yaml

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, number_at, text_at
from fluxlab.clusters.resources import SECRET
from fluxlab.documents import Json
from fluxlab.errors import UnknownError
from fluxlab.flux.helm_storage import manifest_of, newest, storage_of
from fluxlab.timeline.entries import parse_time

from .manifests import manifests_in

_FIRST_HOOKS_FAILED = "pre-upgrade hooks failed"
"""How Helm begins to say so (pkg/action/upgrade.go)."""


def rendered(release: KubeObject, *, api: KubeApi) -> Sequence[KubeObject]:
    """What the newest release of a HelmRelease holds, as helm-controller applies it.

    Raises UnknownError when Helm's storage does not tell.
    """
    namespace, name = storage_of(release)
    return contents(release, api.find(SECRET, name, namespace=namespace))


def has_released(release: KubeObject) -> bool:
    """Whether a HelmRelease has released anything yet."""
    return newest(release) is not None


def made_by_hand(release: KubeObject, *, api: KubeApi) -> str:
    """The Secret of a release that followed helm-controller's own: somebody ran Helm. Empty without one."""
    namespace, name = storage_of(release, later=1)
    return name if api.find(SECRET, name, namespace=namespace) else ""


def is_tried_again(release: KubeObject) -> bool:
    """Whether a release that failed waits for helm-controller to upgrade it again, which applies all that it holds.

    So it does with `strategy: RetryOnFailure`, and for as long as `remediation.retries` lasts; what it says between two
    tries is in its internal/reconcile/atomic_release.go. Tries that fail before they apply anything do not count: Helm
    has stored no failed release then, or its first hooks failed.
    """
    ready, reconciling = release.condition("Ready"), release.condition("Reconciling")
    if not (ready and reconciling and ready.status == "False" and reconciling.reason == "ProgressingWithRetry"):
        return False
    last = newest(release)
    stored = text_at(last, "status") != "deployed" and _FIRST_HOOKS_FAILED not in ready.message
    return last is not None and (stored or ready.reason != "UpgradeFailed")


def released_since(release: KubeObject, moment: datetime | None) -> str:
    """What is to be told of the release that was made from a HelmRelease as it is; empty when none was since then."""
    last, attempted = newest(release), number_at(release.raw, "status", "lastAttemptedGeneration")
    try:
        deployed = parse_time(text_at(last, "lastDeployed"))
    except ValueError:
        return ""
    # Helm's times are whole seconds.
    if moment is None or attempted != release.generation or deployed < moment.replace(microsecond=0):
        return ""
    version, digest = number_at(last, "version"), text_at(last, "configDigest")
    return (
        f"release {text_at(last, 'name')} v{version} was made from it (config digest {digest}): "
        "its objects are compared with a release that git never asked for"
    )


def contents(release: KubeObject, stored: KubeObject | None) -> Sequence[KubeObject]:
    """As `rendered`, from the Secret in which Helm keeps the release."""
    name, namespace = (text_at(newest(release), key) for key in ("name", "namespace"))
    manifest = manifest_of(release, stored)
    try:
        found = list(manifests_in(manifest))
    except yaml.YAMLError as error:
        what = f"{release}: Secret {'/'.join(storage_of(release))}, in which Helm keeps it, cannot be read"
        raise UnknownError(what, facts=[str(error)]) from None
    return [_as_applied(one, name, namespace) for one in found]


def _as_applied(subject: KubeObject, name: str, namespace: str) -> KubeObject:
    """With the marks that Helm puts on all that a release holds, in the release's namespace if it names none.

    Whether its kind is in a namespace at all only the API server knows.
    """
    metadata = dig(subject.raw, "metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    marked = {
        **known,
        "namespace": subject.namespace or namespace,
        "labels": {**_mapping(known, "labels"), "app.kubernetes.io/managed-by": "Helm"},
        "annotations": {
            **_mapping(known, "annotations"),
            "meta.helm.sh/release-name": name,
            "meta.helm.sh/release-namespace": namespace,
        },
    }
    return KubeObject({**subject.raw, "metadata": marked})


def _mapping(value: Json, key: str) -> Mapping[str, Json]:
    found = dig(value, key)
    return found if isinstance(found, Mapping) else {}
