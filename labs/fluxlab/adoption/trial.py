"""Try out a draft: what Kustomizations and HelmReleases would make of it, built as they build it."""

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from fluxlab import manifests
from fluxlab.cluster import Cluster
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION
from fluxlab.commands import CommandError
from fluxlab.documents import JsonObject
from fluxlab.drift.artifacts import keep_artifact
from fluxlab.drift.builds import Files, Trees, built, path_of
from fluxlab.drift.comparing import placed
from fluxlab.drift.desired import elsewhere
from fluxlab.drift.live import served_by
from fluxlab.drift.manifests import manifests_in
from fluxlab.drift.releases import rendered
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.files import write_private
from fluxlab.repository import Repository

from .aims import Aim, Built, Owner, not_held

Patches = Mapping[Owner, Sequence[JsonObject]]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A change of the draft, and what should come of it."""

    aims: Sequence[Aim]
    patches: Patches = field(default_factory=dict)
    """What owners would have in git from then on, and do not have in the cluster yet."""


class Trial:
    """All Kustomizations that are built from one branch, in all clusters, and some HelmReleases."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        *,
        tree: Path,
        releases: Iterable[Owner],
        repository: Repository,
        trees: Trees,
        threads: ThreadPoolExecutor,
    ) -> None:
        """`tree` has the files of a commit, as they are before anything is changed there.

        Raises ApiError or ApiUnreachableError: what would change in a cluster that cannot be read is not known.
        """
        self._tree = tree
        self._clusters = clusters
        self._threads = threads
        self._served = {name: served_by(cluster.api) for name, cluster in clusters.items()}
        self._owners: dict[Owner, KubeObject] = {}
        self._ignore: dict[Owner, str] = {}
        """The rules of their sources by which these leave files out."""
        for name, cluster in clusters.items():
            for found in cluster.api.list(KUSTOMIZATION):
                if files := _applied_from(repository, found, cluster=cluster, trees=trees):
                    owner = Owner(cluster=name, object=found.reference)
                    self._owners[owner], self._ignore[owner] = found, files.ignore
        for owner in releases:
            place = f"{owner.object.namespace}/{owner.object.name}"
            if release := clusters[owner.cluster].find(HELM_RELEASE.kind, place):
                self._owners[owner] = release
        self._held: list[Attempt] = []
        first = self._build({})
        self._before = {owner: wants for owner, wants in first.items() if not isinstance(wants, str)}
        self.now: Mapping[Owner, Built] = self._before
        """What each owner wants, with all that held."""
        self.untold = {owner: why for owner, why in first.items() if isinstance(why, str)}
        """Why it cannot be told what others want."""

    def folder(self, kustomization: Owner) -> str:
        """The folder that a Kustomization builds, below the repository's root."""
        return path_of(self._owners[kustomization])

    def why_not(self, attempts: Sequence[Attempt]) -> str:
        """Why attempts do not hold in the tree as it is now; when they do (empty), they belong to it from now on."""
        together = [*self._held, *attempts]
        patches: dict[Owner, list[JsonObject]] = defaultdict(list)
        for attempt in together:
            for owner, more in attempt.patches.items():
                patches[owner] += more
        found = self._build(patches)
        after = {}
        for owner in self._before:
            wants = found[owner]
            if isinstance(wants, str):
                return wants
            after[owner] = wants
        why = next(not_held([aim for attempt in together for aim in attempt.aims], self._before, after), "")
        if not why:
            self._held, self.now = together, after
        return why

    def _build(self, patches: Patches) -> Mapping[Owner, Built | str]:
        """What each owner wants, or why that cannot be told."""

        def wanted(owner: Owner) -> Built | str:
            try:
                found = self._manifests(owner, patches.get(owner, ()))
            except FluxlabError as error:
                return error.what
            at_place = [placed(one, self._served[owner.cluster]) for one in found]
            return {one.reference: one for one in at_place}

        return dict(zip(self._owners, self._threads.map(wanted, self._owners), strict=True))

    def _manifests(self, owner: Owner, patches: Sequence[JsonObject]) -> Sequence[KubeObject]:
        subject, cluster = self._owners[owner], self._clusters[owner.cluster]
        with TemporaryDirectory(dir=self._tree.parent) as folder:
            if subject.kind == HELM_RELEASE.kind:
                found = rendered(subject, api=cluster.api)
                return _post_rendered(found, patches, folder=Path(folder), cluster=cluster) if patches else found
            definition = _patched(subject, patches, folder=Path(folder)) if patches else None
            artifact = Path(
                shutil.copytree(self._tree, Path(folder) / "artifact", symlinks=True, copy_function=os.link)
            )
            keep_artifact(artifact, ignore=self._ignore[owner])
            return built(subject, cluster=cluster, tree=artifact, definition=definition)


def _applied_from(repository: Repository, kustomization: KubeObject, *, cluster: Cluster, trees: Trees) -> Files | None:
    """What a Kustomization has applied of a repository's branch, if it is built from that."""
    if elsewhere(kustomization):
        return None
    try:
        files = trees.applied(kustomization, cluster=cluster)[-1]
        return files if repository.since(files.commit) else None
    except UnknownError:
        return None  # from another source, or never applied: a report says so


def _patched(kustomization: KubeObject, patches: Sequence[JsonObject], *, folder: Path) -> Path:
    """A file with a Kustomization that has more patches."""
    spec = dig(kustomization.raw, "spec")
    more = {"patches": [*items_at(spec, "patches"), *patches]}
    raw = {**kustomization.raw, "spec": {**(spec if isinstance(spec, Mapping) else {}), **more}}
    return write_private(folder / "kustomization.json", json.dumps(raw))


def _post_rendered(
    found: Sequence[KubeObject], patches: Sequence[JsonObject], *, folder: Path, cluster: Cluster
) -> Sequence[KubeObject]:
    """As helm-controller's post-renderer has it (its internal/postrender/kustomize.go). Raises UnknownError."""
    overlay: JsonObject = {"resources": ["rendered.yaml"], "patches": patches}
    write_private(folder / "rendered.yaml", manifests.dump(*(one.raw for one in found)))
    write_private(folder / "kustomization.yaml", manifests.dump(overlay))
    try:
        return list(manifests_in(cluster.kubectl("kustomize", str(folder))))
    except CommandError as error:
        raise UnknownError(f"kustomize refuses the patches: {error.facts[-1] if error.facts else error.what}") from None
