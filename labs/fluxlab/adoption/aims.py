"""What an owner should want of an object from now on, and whether it does in what it builds. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fluxlab.clusters.differences import differences
from fluxlab.clusters.objects import KubeObject
from fluxlab.clusters.paths import overlap, value_at
from fluxlab.documents import Json
from fluxlab.drift.fields import contains
from fluxlab.timeline.entries import ObjectRef


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A Kustomization or HelmRelease of a cluster."""

    cluster: str
    object: ObjectRef

    def __str__(self) -> str:
        return f"{self.object} of {self.cluster}"


Built = Mapping[ObjectRef, KubeObject]
"""What an owner wants, by its place in the cluster."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What an owner should want of one object: some fields, or a whole manifest, or (with neither) that it is gone."""

    owner: Owner
    subject: ObjectRef
    fields: Mapping[str, Json] = field(default_factory=dict)
    """By path, as Kubernetes writes it; None: git should not name it."""
    manifest: KubeObject | None = None

    def missed(self, built: Built) -> str:
        """Why it is not so in what the owner builds; empty when it is."""
        found = built.get(self.subject)
        if self.manifest:
            return (
                ""
                if found and contains(found.raw, self.manifest.raw)
                else f"{self.owner} does not build it as it is there"
            )
        if not self.fields:
            return f"{self.owner} builds it all the same" if found else ""
        if not found:
            return f"{self.owner} does not build it"
        wrong = [path for path, value in self.fields.items() if value_at(path, found.raw) != value]
        return f"{self.owner} builds something else at {wrong[0]} all the same" if wrong else ""

    def explains(self, path: str) -> bool:
        """Whether a change of the object at a path is one that is wanted."""
        return not self.fields or any(overlap(path, one) for one in self.fields)


def not_held(aims: Sequence[Aim], before: Mapping[Owner, Built], after: Mapping[Owner, Built]) -> Iterator[str]:
    """Why what is built is not what is wanted: what was missed, and what would change beside it."""
    for aim in aims:
        if missed := aim.missed(after.get(aim.owner, {})):
            yield missed
    for owner, built in after.items():
        yield from _beside([aim for aim in aims if aim.owner == owner], owner, before.get(owner, {}), built)


def _beside(aims: Iterable[Aim], owner: Owner, before: Built, after: Built) -> Iterator[str]:
    for subject in dict.fromkeys((*before, *after)):
        meant = [aim for aim in aims if aim.subject == subject]
        was, is_ = (found.raw if found else None for found in (before.get(subject), after.get(subject)))
        for change in differences(was, is_):
            if not any(aim.explains(change.field) for aim in meant):
                yield f"{owner} would build another {subject}, too"
                break
