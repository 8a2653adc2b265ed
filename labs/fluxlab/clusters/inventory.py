"""What a Kustomization has applied, or left as it found it, as its status tells."""

from collections.abc import Iterator
from dataclasses import dataclass

from fluxlab.documents import Json

from .objects import KubeObject, items_at, text_at

ENTRIES = ("status", "inventory", "entries")
"""Where a Kustomization has it."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """One entry of a Kustomization's inventory."""

    group: str
    kind: str
    namespace: str
    name: str


def inventory(kustomization: KubeObject) -> Iterator[Applied]:
    """The entries of a Kustomization."""
    for entry in items_at(kustomization.raw, *ENTRIES):
        if found := applied(entry):
            yield found


def applied(entry: Json) -> Applied | None:
    """One entry. Source: fluxcd/cli-utils, `object.ParseObjMetadata`: `namespace_name_group_kind`, where a colon in a
    name is written as two underscores.
    """
    namespace, _, rest = text_at(entry, "id").partition("_")
    rest, _, kind = rest.rpartition("_")
    name, _, group = rest.rpartition("_")
    if not (name and kind):
        return None
    return Applied(group=group, kind=kind, namespace=namespace, name=name.replace("__", ":"))
