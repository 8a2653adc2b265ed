"""Take a lab out of somebody's cluster: exactly what carries its labels, and what Flux applied from its repository.

Needs no supervisor, only the cluster's folder: it works after whatever has become of the lab, and may be repeated.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from fluxlab.documents import JsonObject
from fluxlab.waiting import wait_until

from .api import ApiError, KubeApi
from .capabilities import Footing
from .inventory import inventory
from .kubeconfig import read_kubeconfig
from .objects import KubeObject, text_at
from .resources import FLUX_RESOURCES, HELM_RELEASE, KUSTOMIZATION, Resource
from .root import ID_LABEL, Root

API_TIMEOUT_SECONDS = 5
REMOVAL_SECONDS = 90
LOOK_SECONDS = 0.2
SHOWN = 5
_LAST = ("customresourcedefinitions", "namespaces")
"""What holds others is removed after all else: its controllers must still be there to let those go."""
_ADMISSION = "admissionregistration.k8s.io"
"""What may keep all else from being changed."""
_APPLIER = "kustomize.toolkit.fluxcd.io"
_Found = Mapping[str, tuple[Resource, KubeObject]]
"""Objects by their UID."""


def remove_from_cluster(kubeconfig: Path, root: Root) -> None:
    """Remove what a lab made in a cluster that is not its own.

    Raises ApiError, ApiUnreachableError, or WaitTimeoutError that names what is still there.
    """
    with KubeApi(read_kubeconfig(kubeconfig), timeout_seconds=API_TIMEOUT_SECONDS) as api:
        _Removal(api, root).run()


class _Removal:
    """The removal from one cluster. Each step ends when what it removes is gone."""

    def __init__(self, api: KubeApi, root: Root) -> None:
        self._api = api
        self._root = root
        preferred: dict[tuple[str, str], Resource] = {}
        for resource in api.resources(verb="delete"):
            preferred.setdefault((resource.group, resource.kind), resource)
        self._served = preferred

    def run(self) -> None:
        """Remove it all. Raises ApiError, ApiUnreachableError or WaitTimeoutError."""
        self._remove(self._labelled([one for one in self._served.values() if one.group == _ADMISSION]))  # a fault's
        root = self._found_root()
        if root and self._root.footing is Footing.GUEST:
            self._have_flux_remove(root)
        elif root:
            self._remove_in_place_of_flux(root)
        rest = [resource for resource in self._served.values() if resource.plural not in _LAST]
        self._remove(self._labelled(rest))
        for plural in _LAST:
            self._remove(self._labelled([found for found in self._served.values() if found.plural == plural]))

    def _found_root(self) -> KubeObject | None:
        """The root Kustomization, if it is there, and this lab's."""
        if (KUSTOMIZATION.group, KUSTOMIZATION.kind) not in self._served:
            return None
        found = self._api.find(KUSTOMIZATION, self._root.name, namespace=self._root.namespace)
        return found if found and found.labels.get(ID_LABEL) == self._root.labels[ID_LABEL] else None

    def _have_flux_remove(self, root: KubeObject) -> None:
        """The cluster's own Flux prunes what it applied, children first to last, when the root goes."""
        tree = self._tree(root)
        self._resume(tree)
        self._remove(tree, asked=[root])

    def _remove_in_place_of_flux(self, root: KubeObject) -> None:
        """Where Flux itself is a part of what was applied it cannot prune that: it would remove itself first."""
        self._suspend(KUSTOMIZATION, root, suspended=True)
        tree = self._tree(root)
        own = {uid: found for uid, found in self._applied(root).items() if ID_LABEL not in found[1].labels}
        flux = {(resource.group, resource.kind) for resource in FLUX_RESOURCES}
        self._resume({uid: found for uid, found in tree.items() if found[1].reference != root.reference})
        first = {uid: found for uid, found in own.items() if (found[0].group, found[0].kind) in flux}
        below = {uid: found for uid, found in tree.items() if found[1].reference != root.reference}
        self._remove({**below, **first}, asked=[found[1] for found in first.values()])
        self._remove(own)
        self._remove(self._labelled(self._served_of(FLUX_RESOURCES)))  # while their controllers let them go

    def _resume(self, tree: _Found) -> None:
        """Have everything in a tree clean up when it goes: what is suspended would leave all that it applied."""
        for resource, one in tree.values():
            if one.suspended:
                self._suspend(resource, one, suspended=False)

    def _suspend(self, resource: Resource, one: KubeObject, *, suspended: bool) -> None:
        patch: JsonObject = {"spec": {"suspend": suspended}}
        self._api.merge(resource, one.name, patch, namespace=one.namespace)

    def _tree(self, root: KubeObject) -> _Found:
        """The Kustomizations and HelmReleases that stand below the root, and the root."""
        candidates = [
            (resource, one)
            for resource in self._served_of((KUSTOMIZATION, HELM_RELEASE))
            for one in self._api.list(resource)
        ]
        known, grown = {_uid(root): (KUSTOMIZATION, root)}, True
        while grown:
            appliers = {
                (one.namespace, one.name) for resource, one in known.values() if resource.kind == "Kustomization"
            }
            more = {_uid(one): (resource, one) for resource, one in candidates if _applied_by(one) in appliers}
            grown = not more.keys() <= known.keys()
            known |= more
        return known

    def _applied(self, root: KubeObject) -> _Found:
        """What the root Kustomization applied and is still there."""
        found = {}
        for entry in inventory(root):
            resource = self._served.get((entry.group, entry.kind))
            one = self._api.find(resource, entry.name, namespace=entry.namespace or None) if resource else None
            if resource and one:
                found[_uid(one)] = (resource, one)
        return found

    def _served_of(self, resources: Iterable[Resource]) -> Sequence[Resource]:
        return [resource for resource in resources if (resource.group, resource.kind) in self._served]

    def _labelled(self, resources: Iterable[Resource]) -> _Found:
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in self._root.labels.items())}
        found = {}
        for resource in resources:
            try:
                found.update({_uid(one): (resource, one) for one in self._api.list(resource, query=query)})
            except ApiError as error:
                if error.status != HTTPStatus.METHOD_NOT_ALLOWED:  # some can be deleted, and not listed
                    raise
        return found

    def _remove(self, found: _Found, *, asked: Sequence[KubeObject] | None = None) -> None:
        """Delete objects (of which some go by themselves when those `asked` for do), and wait until all are gone."""
        for resource, one in found.values():
            if asked is None or any(_uid(one) == _uid(other) for other in asked):
                self._delete(resource, one)
        remaining = dict(found)

        def gone() -> bool:
            for uid, (resource, one) in list(remaining.items()):
                now = self._api.find(resource, one.name, namespace=one.namespace or None)
                if now is None or _uid(now) != uid:
                    del remaining[uid]
            return not remaining

        def state() -> str:
            names = [str(one) for _, one in remaining.values()]
            return f"still there: {', '.join(names[:SHOWN])}" + (
                f" and {len(names) - SHOWN} more" if names[SHOWN:] else ""
            )

        wait_until(
            gone,
            what=f"what the lab made at {self._api.server} is removed",
            timeout_seconds=REMOVAL_SECONDS,
            state=state,
            interval_seconds=LOOK_SECONDS,
        )

    def _delete(self, resource: Resource, one: KubeObject) -> None:
        path = resource.path(namespace=one.namespace or None, name=one.name)
        options: JsonObject = {"preconditions": {"uid": _uid(one)}, "propagationPolicy": "Background"}
        try:
            self._api.request("DELETE", path, body=options)
        except ApiError as error:
            # Gone meanwhile, or another object of that name is there now, which is none of ours.
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise


def _uid(one: KubeObject) -> str:
    return text_at(one.raw, "metadata", "uid")


def _applied_by(one: KubeObject) -> tuple[str, str]:
    return one.labels.get(f"{_APPLIER}/namespace", ""), one.labels.get(f"{_APPLIER}/name", "")
