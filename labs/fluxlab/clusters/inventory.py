"""What a Kustomization has applied, as its status tells."""

from collections.abc import Iterator
from dataclasses import dataclass

from .objects import KubeObject, items_at, text_at


@dataclass(frozen=True, kw_only=True)
class Applied:
    """One entry of a Kustomization's inventory."""

    group: str
    kind: str
    namespace: str
    name: str


def inventory(kustomization: KubeObject) -> Iterator[Applied]:
    """The entries. Source: fluxcd/cli-utils, `object.ParseObjMetadata`: `namespace_name_group_kind`, where a colon in
    a name is written as two underscores.
    """
    for entry in items_at(kustomization.raw, "status", "inventory", "entries"):
        namespace, _, rest = text_at(entry, "id").partition("_")
        rest, _, kind = rest.rpartition("_")
        name, _, group = rest.rpartition("_")
        if name and kind:
            yield Applied(group=group, kind=kind, namespace=namespace, name=name.replace("__", ":"))
