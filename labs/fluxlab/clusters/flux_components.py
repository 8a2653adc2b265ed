"""Flux's components in a cluster: definitions, rights and Deployments, as `flux bootstrap` leaves them."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

import yaml

from fluxlab.waiting import wait_until

from .api import ApiError, KubeApi
from .flux_controllers import NAMESPACE
from .objects import KubeObject

TIMEOUT_SECONDS = 60
OWNED = {"kustomize.toolkit.fluxcd.io/name": NAMESPACE, "kustomize.toolkit.fluxcd.io/namespace": NAMESPACE}
"""How kustomize-controller labels what the root Kustomization applies."""
_DEFINITIONS = {"Namespace", "CustomResourceDefinition"}
_PLURALS = {
    "Namespace": "namespaces",
    "CustomResourceDefinition": "customresourcedefinitions",
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "NetworkPolicy": "networkpolicies",
    "ResourceQuota": "resourcequotas",
    "Service": "services",
    "Deployment": "deployments",
}


def read_manifests(text: str) -> list[KubeObject]:
    """The manifests that `flux install --export` prints."""
    return [KubeObject(document) for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document]


def install(api: KubeApi, manifests: Iterable[KubeObject], *, what: str, check: Callable[[], object]) -> None:
    """Apply the components, definitions first.

    Once as the Flux command line does at bootstrap, and once as kustomize-controller does when it finds them in the
    repository: a lab that begins with a seed of the result is spared its first and longest reconciliation.

    `check` is called now and then, to raise when waiting is in vain. Raises ApiError when the API refuses one.
    """
    ordered = sorted(manifests, key=lambda manifest: manifest.kind not in _DEFINITIONS)
    first = [manifest for manifest in ordered if manifest.kind in _DEFINITIONS]
    rest = ordered[len(first) :]
    labelled = [_labelled(manifest) for manifest in ordered]
    for batch, manager in ((first, "flux"), (rest, "flux"), (labelled, "kustomize-controller")):
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(partial(_apply, api, manager=manager, what=what, check=check), batch):
                check()


def _labelled(manifest: KubeObject) -> KubeObject:
    metadata = manifest.raw["metadata"]
    known = metadata if isinstance(metadata, dict) else {}
    return KubeObject({**manifest.raw, "metadata": {**known, "labels": {**manifest.labels, **OWNED}}})


def _apply(api: KubeApi, manifest: KubeObject, *, manager: str, what: str, check: Callable[[], object]) -> None:
    last = ""

    def applied() -> bool:
        nonlocal last
        try:
            api.apply(_path(manifest), manifest.raw, field_manager=manager)
        except ApiError as error:
            last = str(error)
            if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            check()
            return False  # no Service gets an address before the range of them is set up
        return True

    wait_until(applied, what=f"{what}: {manifest} is created", timeout_seconds=TIMEOUT_SECONDS, state=lambda: last)


def _path(manifest: KubeObject) -> str:
    group = f"/apis/{manifest.api_version}" if "/" in manifest.api_version else f"/api/{manifest.api_version}"
    namespace = f"/namespaces/{manifest.namespace}" if manifest.namespace else ""
    return f"{group}{namespace}/{_PLURALS[manifest.kind]}/{manifest.name}"
