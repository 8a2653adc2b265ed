"""Commits that cannot be built or applied as they are, and one that leaves a Kustomization nothing to apply."""

from collections.abc import Sequence
from typing import Any, ClassVar

from fluxlab import manifests
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.faults.base import Ground, Injection, NoParameters
from fluxlab.faults.means.deliveries import Manifest, Manifests, delivered, has_applied, path_of, take_back
from fluxlab.repository import Repository

from .commits import KustomizationFault, find_kustomization, first_deployment, patch

UNSET = "FLUXLAB_UNSET"


class RefusedFault(KustomizationFault):
    """Something that kustomize-controller, or the API server, says no to."""

    reason: ClassVar[str]
    says: ClassVar[str]
    """What its message holds."""

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        del ground, injection
        ready = kustomization.condition("Ready")
        if ready is None or ready.status != "False" or ready.reason != self.reason or self.says not in ready.message:
            return ""
        return f"{kustomization}: {ready}"


class SyntaxErrorFault(RefusedFault):
    """No YAML."""

    name = "manifest-syntax-error"
    summary = "a commit leaves a file that is no valid YAML"
    expect = (
        "the Kustomization says BuildFailed with the file's name, and nothing of its path is applied, nor drift "
        "corrected; what runs goes on"
    )
    title = "Tidy up"
    reason, says = "BuildFailed", "yaml"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        file = injection.text("file")
        repository.write(file, f"{repository.read(file).rstrip()}\nspec: [unfinished\n")


_RENAMED = "-renamed"


class PathGone(RefusedFault):
    """Another folder."""

    name = "manifest-path-gone"
    summary = "a commit renames the folder that a Kustomization applies"
    expect = "the Kustomization says ArtifactFailed (kustomization path not found); what runs goes on"
    title = "Rename a folder"
    reason, says = "ArtifactFailed", "path not found"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        path = _path(ground, injection)
        repository.move(path, f"{path}{_RENAMED}")

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        found = find_kustomization(ground, injection.target)
        said = Manifests.at_head(ground).find(found) if found else None
        path = path_of(said.content if said else found) if found else ""
        # Who has led it to the new name would find nothing there after a revert. Any other path in git may lead to the
        # old one, as one with a variable does.
        old = path.removesuffix(_RENAMED)
        mended = old != path and injection.text("file").startswith(f"{old}/")
        take_back(ground, injection, self.title, mended=mended)


class EmptyDirectory(KustomizationFault):
    """Nothing wanted."""

    name = "manifest-empty-directory"
    summary = "a commit removes all manifests from the folder that a Kustomization applies"
    expect = (
        "the Kustomization stays Ready=True and prunes all that it had applied: an event says what was deleted; after "
        "healing everything is made anew"
    )
    title = "Remove what is not needed"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        return super().chosen(kustomization, known) if dig(kustomization.raw, "spec", "prune") is True else None

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        path = _path(ground, injection)
        repository.delete(path)
        repository.write(f"{path}/README.md", "Nothing is here any more.\n")

    def shows(self, ground: Ground, injection: Injection[NoParameters], kustomization: KubeObject) -> str:
        empty = not items_at(kustomization.raw, "status", "inventory", "entries")
        if not empty or not has_applied(ground, kustomization, delivered(ground, injection)):
            return ""
        return f"{kustomization} has nothing in its inventory; {kustomization.condition('Ready')}"


class ImmutableField(RefusedFault):
    """A selector."""

    name = "manifest-immutable-field"
    summary = "a commit changes a Deployment's selector, which cannot be changed"
    expect = (
        "the Kustomization says ReconciliationFailed (dry-run failed, field is immutable) and applies nothing of its "
        "path; with `force` it would delete the Deployment and make it anew"
    )
    title = "Label the pods"
    reason, says = "ReconciliationFailed", "immutable"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        return None if dig(kustomization.raw, "spec", "force") is True else first_deployment(known)

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        labels = {"tier": "fluxlab"}
        selector, template = {"matchLabels": labels}, {"metadata": {"labels": labels}}
        patch(repository, injection, {"spec": {"selector": selector, "template": template}})


class UnsetVariable(RefusedFault):
    """`${...}`."""

    name = "manifest-unset-variable"
    summary = "a commit uses a variable for `postBuild` that nobody sets"
    expect = "the Kustomization says BuildFailed (variable not set, strict mode) and applies nothing of its path"
    title = "Say where it runs"
    reason, says = "BuildFailed", "variable not set"

    def chosen(self, kustomization: KubeObject, known: Sequence[Manifest]) -> Manifest | None:
        # Without any variable nothing is substituted at all.
        return known[0] if known and dig(kustomization.raw, "spec", "postBuild", "substitute") else None

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        annotations = {"fluxlab.dev/unset": f"${{{UNSET}}}"}
        patch(repository, injection, {"metadata": {"annotations": annotations}})


class MissingCrd(RefusedFault):
    """No such kind."""

    name = "manifest-missing-crd"
    summary = "a commit adds a custom resource of which no definition is there"
    expect = "the Kustomization says ReconciliationFailed (no matches for kind) and applies nothing of its path"
    title = "Add a cache"
    reason, says = "ReconciliationFailed", "no matches for kind"

    def change(self, repository: Repository, ground: Ground, injection: Injection[NoParameters]) -> None:
        del ground
        file = injection.text("file")
        added: JsonObject = {"apiVersion": "missing.fluxlab.dev/v1", "kind": "Cache", "metadata": {"name": "missing"}}
        repository.write(file, f"{repository.read(file).rstrip()}\n---\n{manifests.dump(added)}")


def _path(ground: Ground, injection: Injection[Any]) -> str:
    found = find_kustomization(ground, injection.target)
    if found is None:
        raise UsageError(f"Kustomization {injection.target} is not there any more")
    return path_of(found)
