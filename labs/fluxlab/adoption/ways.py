"""Ways to have git say something of an object, the smallest change first: they change a draft, and prove nothing."""

import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import PurePosixPath

from fluxlab import manifests
from fluxlab.clusters.objects import KubeObject, items_at
from fluxlab.clusters.paths import put, value_at
from fluxlab.clusters.resources import HELM_RELEASE, KUSTOMIZATION, NAMESPACE
from fluxlab.documents import Json, JsonObject
from fluxlab.drift.places import OVERLAYS, Places
from fluxlab.errors import FluxlabError
from fluxlab.timeline.entries import ObjectRef

from .aims import Aim, Owner
from .draft import Draft
from .patches import patches_for
from .trial import Attempt, Trial

Way = Callable[[Sequence[Aim]], Attempt]
"""Changes the draft for aims of one owner. Raises NoWayError, or UsageError of a file that cannot be changed so."""


class NoWayError(FluxlabError):
    """A way does not lead there."""


class Ways:
    """The ways in one draft."""

    def __init__(self, trial: Trial, draft: Draft, *, places: Callable[[str], Places]) -> None:
        """`places` tells those below a folder, as they were before the draft."""
        self._trial = trial
        self._draft = draft
        self._places = cache(places)

    def to(self, aims: Sequence[Aim]) -> Sequence[Way]:
        """The ways to the aims of one owner: one object of a Kustomization, or any of a HelmRelease."""
        if aims[0].manifest:
            return [self._in_new_file]
        ways: list[Way] = [self._in_file, self._in_overlay, partial(self._through_owner, self._in_file)]
        if aims[0].owner.object.kind == HELM_RELEASE.kind:
            return [partial(self._through_owner, way) for way in ways]
        return ways

    def home_of(self, cluster: str, namespace: str) -> Owner:
        """The Kustomization that fills a namespace, else the one that makes it. Raises NoWayError if none is it."""
        known = {
            owner: built
            for owner, built in self._trial.now.items()
            if owner.cluster == cluster and owner.object.kind == KUSTOMIZATION.kind
        }
        fills = [owner for owner, built in known.items() if any(one.namespace == namespace for one in built)]
        itself = ObjectRef(kind=NAMESPACE.kind, name=namespace)
        for found in (fills, [owner for owner, built in known.items() if itself in built]):
            if len(found) == 1:
                return found[0]
        raise NoWayError(f"{len(fills)} Kustomizations fill namespace {namespace}: it is not clear to which it belongs")

    # -- ways ----------------------------------------------------------------------------------------------------

    def _in_file(self, aims: Sequence[Aim]) -> Attempt:
        """In the file where the manifest stands."""
        for aim in aims:
            folder, built = self._trial.folder(aim.owner), self._trial.now[aim.owner][aim.subject]
            file = self._places(folder).of(built).rpartition(":")[0]
            # What is made from a base beside it may be more than what the lab's Kustomizations build.
            if not file or not PurePosixPath(file).is_relative_to(folder):
                raise NoWayError(f"no single file below {folder or '.'} has it")
            change = self._edit if aim.fields else self._take_out
            change(file, aim, built)
        return Attempt(aims=aims)

    def _in_overlay(self, aims: Sequence[Aim]) -> Attempt:
        """As patches in the kustomization.yaml that the Kustomization builds."""
        owner = aims[0].owner
        overlay = self._overlay(self._trial.folder(owner))
        if not overlay:
            raise NoWayError(f"there is no kustomization.yaml in {self._trial.folder(owner) or '.'}")
        self._extend(overlay, ".patches", self._patches(aims))
        return Attempt(aims=aims)

    def _through_owner(self, way: Way, aims: Sequence[Aim]) -> Attempt:
        """As patches in the manifest of the Kustomization or HelmRelease itself; `way` leads to that."""
        owner, patches = aims[0].owner, self._patches(aims)
        above, path = self._builder_of(owner), ".spec.patches"
        entries: Sequence[JsonObject] = patches
        if owner.object.kind == HELM_RELEASE.kind:
            path, entries = ".spec.postRenderers", [{"kustomize": {"patches": patches}}]
        # By number: what stands before them stays as it is in git, where variables stand for values, also secret ones.
        first = len(items_at(value_at(path, self._trial.now[above][owner.object].raw)))
        fields = {f"{path}[{number}]": entry for number, entry in enumerate(entries, first)}
        made = way([Aim(owner=above, subject=owner.object, fields=fields)])
        return Attempt(aims=[*aims, *made.aims], patches={**made.patches, owner: patches})

    def _in_new_file(self, aims: Sequence[Aim]) -> Attempt:
        """In a file of its own, where its Kustomization finds it."""
        for aim in aims:
            assert aim.manifest  # noqa: S101 # for mypy
            name = f"{aim.subject.kind}-{aim.subject.name}.yaml".lower().replace(":", "-")
            folder = self._trial.folder(aim.owner)
            file = str(PurePosixPath(folder, name))
            if self._draft.has(file):
                raise NoWayError(f"{file} is there already")
            self._draft.write(file, manifests.dump(aim.manifest.raw))
            if overlay := self._overlay(folder):
                self._extend(overlay, ".resources", [name])
        return Attempt(aims=aims)

    # -- what they are made of -----------------------------------------------------------------------------------

    def _edit(self, file: str, aim: Aim, built: KubeObject) -> None:
        def edit(manifest: manifests.Manifest) -> None:
            for path, value in aim.fields.items():
                if value_at(path, manifest) not in (None, value_at(path, built.raw)):
                    raise NoWayError(f"{file} does not say {path} by itself")  # a variable, or an overlay does
                put(path, manifest, manifests.plain(value))

        text = self._draft.read(file)
        text = manifests.edited(text, edit, path=file, kind=built.kind, name=built.name, namespace=built.namespace)
        self._draft.write(file, text)

    def _take_out(self, file: str, aim: Aim, _: KubeObject) -> None:
        subject, text = aim.subject, self._draft.read(file)
        rest = manifests.without(text, path=file, kind=subject.kind, name=subject.name, namespace=subject.namespace)
        self._draft.write(file, rest or None)
        for above in PurePosixPath(file).parents if not rest else ():
            if overlay := self._overlay(str(above)):
                self._unlist(overlay, str(PurePosixPath(file).relative_to(above)))

    def _unlist(self, overlay: str, name: str) -> None:
        """Take a file out of the resources that an overlay lists, if it does."""
        listed: list[Json] = []

        def edit(manifest: manifests.Manifest) -> None:
            listed.extend(one for one in items_at(manifest, "resources") if str(one).removeprefix("./") == name)
            for one in listed:
                put(f".resources[{json.dumps(one)}]", manifest, None)

        text = manifests.edited(self._draft.read(overlay), edit, path=overlay)
        if listed:
            self._draft.write(overlay, text)

    def _extend(self, overlay: str, path: str, entries: Sequence[Json]) -> None:
        def edit(manifest: manifests.Manifest) -> None:
            for entry in entries:
                put(f"{path}[{len(items_at(value_at(path, manifest)))}]", manifest, manifests.plain(entry))

        self._draft.write(overlay, manifests.edited(self._draft.read(overlay), edit, path=overlay))

    def _overlay(self, folder: str) -> str:
        """The file that makes a folder an overlay; empty when there is none, and Flux generates one."""
        files = [str(PurePosixPath(folder, name)) for name in OVERLAYS]
        return next(filter(self._draft.has, files), "")

    def _patches(self, aims: Sequence[Aim]) -> Sequence[JsonObject]:
        return [patch for aim in aims for patch in patches_for(aim, self._trial.now[aim.owner])]

    def _builder_of(self, owner: Owner) -> Owner:
        """The Kustomization that makes a Kustomization or HelmRelease."""
        for found, built in self._trial.now.items():
            if found.cluster == owner.cluster and owner.object in built:
                return found
        raise NoWayError(f"no Kustomization makes {owner}")
