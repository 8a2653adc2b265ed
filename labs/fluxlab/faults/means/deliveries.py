"""Faults that are delivered as commits: found in git, pushed, taken back by a revert that names what it takes back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, TypeAlias

import yaml

from fluxlab.clusters.inventory import inventory
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import GIT_REPOSITORY, HELM_RELEASE, KUSTOMIZATION
from fluxlab.documents import JsonObject, ManifestLoader, check_nesting
from fluxlab.faults.base import Ground, Injection, left_of
from fluxlab.flux.overlays import is_kustomization_file
from fluxlab.flux.ownership import KUSTOMIZE_LABEL, owner
from fluxlab.repository import Repository

from .places import find_at

Change: TypeAlias = Callable[[Repository], object]
"""What prepares a commit."""
_WITHOUT_SUFFIX = "Kustomization"
"""As a kustomization.yaml may be called, too."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One manifest in a file of the repository."""

    file: str
    content: KubeObject


@dataclass(frozen=True)
class Manifests:
    """All manifests of a commit that can be read, but for what kustomize changes others with."""

    _all: Sequence[Manifest]

    @classmethod
    def at_head(cls, ground: Ground) -> "Manifests":
        """Those that the branch has now. Raises FluxlabError while nobody serves it."""
        repository = ground.repository
        with ground.scratch_folder() as scratch:
            tree = scratch / "tree"
            repository.check_out(repository.head(), tree)
            known = [Manifest(file=file, content=one) for file, one in _read(tree)]
        patches = {file for one in known for file in _patches(one)}
        return cls([one for one in known if one.file not in patches])

    def of(self, kustomization: KubeObject) -> Sequence[Manifest]:
        """The manifests of what a Kustomization has applied, which lie below its path."""
        below = f"{path_of(kustomization)}/"
        applied = {(entry.kind, entry.name) for entry in inventory(kustomization)}
        return [
            one for one in self._all if one.file.startswith(below) and (one.content.kind, one.content.name) in applied
        ]

    def find(self, subject: KubeObject) -> Manifest | None:
        """The only manifest of an object; None when it is written down twice, or not as it is."""
        found = [
            one
            for one in self._all
            if (one.content.kind, one.content.name) == (subject.kind, subject.name)
            and one.content.namespace in {"", subject.namespace}
        ]
        return found[0] if len(found) == 1 else None


def _read(tree: Path) -> Iterator[tuple[str, KubeObject]]:
    for file in sorted(tree.rglob("*")):
        named = file.suffix in {".yaml", ".yml"} or file.name == _WITHOUT_SUFFIX
        if named and file.is_file() and file.resolve().is_relative_to(tree.resolve()):
            for document in _documents(file):
                yield str(file.relative_to(tree)), KubeObject(document)


def _patches(manifest: Manifest) -> Iterator[str]:
    """The files that hold patches, if this is a kustomization.yaml: they look like manifests."""
    overlay = manifest.content.raw
    if is_kustomization_file(overlay):
        patches = [*items_at(overlay, "patches"), *items_at(overlay, "patchesJson6902")]
        named = [*(text_at(one, "path") for one in patches), *map(str, items_at(overlay, "patchesStrategicMerge"))]
        yield from (normpath(join(dirname(manifest.file), name)) for name in named)


def _documents(file: Path) -> Sequence[JsonObject]:
    try:
        text = file.read_text()
        check_nesting(text)
        return [one for one in yaml.load_all(text, Loader=ManifestLoader) if isinstance(one, dict)]  # a safe one
    except (yaml.YAMLError, UnicodeDecodeError):
        return ()  # nobody's to break any further


def path_of(kustomization: KubeObject) -> str:
    """The folder that a Kustomization applies, as git names it."""
    return text_at(kustomization.raw, "spec", "path").removeprefix("./").strip("/")


def follows(ground: Ground, kustomization: KubeObject) -> bool:
    """Whether a Kustomization, which is not the root, is well and applies a folder of the lab's repository."""
    root, source = ground.cluster.root, dig(kustomization.raw, "spec", "sourceRef")
    ready = kustomization.condition("Ready")
    return (
        (kustomization.namespace, kustomization.name) != (root.namespace, root.name)
        and (text_at(source, "kind"), text_at(source, "name")) == (GIT_REPOSITORY.kind, root.name)
        and not kustomization.suspended
        and bool(path_of(kustomization))
        and ready is not None
        and ready.status == "True"
    )


def deliver(ground: Ground, injection: Injection[Any], title: str, change: Change) -> None:
    """Push a commit with a change, from a clone of its own: what somebody prepares meanwhile stays out of it."""
    shared = ground.repository
    with closing(shared.on(shared.branch, whose=left_of(injection.id))) as repository:
        change(repository)
        repository.commit(f"{title}\n\n{_delivered(injection)}")


def take_back(ground: Ground, injection: Injection[Any], title: str, *, mended: bool = False) -> None:
    """Push the revert of what was delivered, unless nothing was, or it was taken back. Raises CommandError.

    Where somebody has undone it, the revert changes nothing: it says from when on that is so. Lines that somebody has
    changed since stay: whether the fault is out with them is for Flux to say. Where all has been `mended` in a way that
    a revert would break, nothing is reverted, and only that it is out is said.
    """
    if (commit := delivered(ground, injection)) and not taken_back(ground, injection):
        shared, message = ground.repository, f'Revert "{title}"\n\n{_taken_back(injection)}'
        with closing(shared.on(shared.branch, whose=left_of(injection.id))) as repository:
            if mended:
                repository.commit(message, allow_empty=True)
                return
            repository.revert(commit, message=message, allow_empty=True, yielding=True)


def delivered(ground: Ground, injection: Injection[Any]) -> str:
    """The commit that was delivered; empty when none was, or the branch does not have it any more."""
    return _only(ground.repository.saying(_delivered(injection), after=injection.text("head")))


def taken_back(ground: Ground, injection: Injection[Any]) -> str:
    """The commit that took it back; empty when there is none."""
    return _only(ground.repository.saying(_taken_back(injection), after=injection.text("head")))


def revert_by_hand(ground: Ground, injection: Injection[Any]) -> Sequence[str]:
    """The commands that take back what was delivered; none when that is done."""
    commit = "" if taken_back(ground, injection) else delivered(ground, injection)
    return [f"fluxlab clone --lab {ground.folder.name}", f"git revert {commit} && git push"] if commit else []


def has_applied(ground: Ground, kustomization: KubeObject, commit: str) -> bool:
    """Whether a Kustomization has applied a commit or a later one, and is Ready."""
    applied = text_at(kustomization.raw, "status", "lastAppliedRevision").rpartition(":")[2]
    return kustomization.ready and applied in ground.repository.since(commit)


def applied_by(ground: Ground, release: KubeObject) -> KubeObject | None:
    """The Kustomization that applies a HelmRelease; None when it is not there."""
    namespace, name = owner(release, KUSTOMIZE_LABEL)
    return ground.api.find(KUSTOMIZATION, name, namespace=namespace)


def touched_above(ground: Ground, release: str) -> frozenset[str]:
    """What applies a HelmRelease: where another fault suspends that, no revert would be applied."""
    found = find_at(ground.api, HELM_RELEASE, release)
    above = applied_by(ground, found) if found else None
    return frozenset({f"object:{above}"} if above else ())


def held_back(ground: Ground, *appliers: KubeObject | None) -> str:
    """What somebody has suspended, the source or one of those that apply it, so that Flux does not apply a revert.

    Nothing where Flux does. Raises ApiError.
    """
    root = ground.cluster.root
    source = ground.api.find(GIT_REPOSITORY, root.name, namespace=root.namespace)
    held = [one for one in (source, *appliers) if one and one.suspended]
    return f"git has the revert; Flux applies it when {held[0]} goes on, which somebody has suspended" if held else ""


def _only(commits: Sequence[str]) -> str:
    return commits[0] if commits else ""


def _delivered(injection: Injection[Any]) -> str:
    return f"Fluxlab-fault: {injection.id}"


def _taken_back(injection: Injection[Any]) -> str:
    return f"Fluxlab-healed: {injection.id}"
