"""Which Kustomization keeps an object, by what its status said of its inventory, as the timeline tells. Pure."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from fluxlab.clusters.inventory import ENTRIES, applied
from fluxlab.clusters.objects import items_at
from fluxlab.clusters.resources import KUSTOMIZATION
from fluxlab.documents import Json
from fluxlab.timeline.attribution import APPLIERS
from fluxlab.timeline.entries import Detail, Entry, ObjectRef, Source

_INVENTORY = ".status.inventory"


class Keepers:
    """The inventories of all Kustomizations, as far as a timeline has come.

    Only they name what git wants and Flux leaves as somebody else made it: such an object bears no label of its owner.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ObjectRef], ObjectRef] = {}

    def of(self, cluster: str, subject: ObjectRef) -> str:
        """The Kustomization that keeps an object; empty when none does."""
        keeper = self._kept.get((cluster, subject))
        return str(keeper) if keeper else ""

    def go_on(self, entry: Entry) -> Sequence[ObjectRef]:
        """One more entry of the timeline: the objects that are kept from now on."""
        if not entry.object or not _is_of_kustomization(entry):
            return ()
        if entry.details.get(Detail.VERB) == "deleted":
            self._kept = {
                (cluster, subject): keeper
                for (cluster, subject), keeper in self._kept.items()
                if (cluster, keeper) != (entry.cluster, entry.object)
            }
            return ()
        begun: list[ObjectRef] = []
        for before, after in _inventories(entry):
            for subject in before:
                if self._kept.get((entry.cluster, subject)) == entry.object:
                    del self._kept[entry.cluster, subject]
            for subject in after:
                self._kept[entry.cluster, subject] = entry.object
            begun += [subject for subject in after if subject not in before]
        return begun


def without_users_of_hubs(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries without the users under whose names a Kustomization applies to another cluster (`kubeConfig`).

    There its controller is whomever the kubeconfig names, mostly an administrator: its inventory, in its own cluster,
    tells that it was no person.
    """
    kept: dict[tuple[str, ObjectRef], set[str]] = defaultdict(set)
    for entry in entries:
        if _is_of_kustomization(entry):
            for _, after in _inventories(entry):
                for subject in after:
                    kept[str(entry.object), subject].add(entry.cluster)

    def by_hub(entry: Entry) -> bool:
        if entry.source is not Source.OBJECT or not entry.object or entry.details.get(Detail.MANAGER) not in APPLIERS:
            return False
        hubs = kept.get((entry.details.get(Detail.OWNER, ""), entry.object), ())
        return bool(hubs) and entry.cluster not in hubs

    return [_as_its_controllers(entry) if by_hub(entry) else entry for entry in entries]


def _as_its_controllers(entry: Entry) -> Entry:
    details = {key: value for key, value in entry.details.items() if key != Detail.USER}
    return replace(entry, actor=details[Detail.MANAGER], details=details)


def _is_of_kustomization(entry: Entry) -> bool:
    return entry.source is Source.OBJECT and bool(entry.object and entry.object.kind == KUSTOMIZATION.kind)


def _inventories(entry: Entry) -> Iterator[tuple[Sequence[ObjectRef], Sequence[ObjectRef]]]:
    """What a Kustomization kept before a change of its inventory, or of a part of that, and what it kept afterwards."""
    for change in entry.changes:
        if change.field == ".status" or change.field.startswith(_INVENTORY):
            yield list(_named(change.field, change.before)), list(_named(change.field, change.after))


def _named(path: str, told: str | None) -> Iterator[ObjectRef]:
    """The objects that are named by an inventory, or by a part of it, at a path."""
    try:
        value: Json = json.loads(told or "null")
    except ValueError:
        return  # masked
    steps = [step for step in path.partition("[")[0].split(".") if step]
    entries = [value] if "[" in path else items_at(value, *ENTRIES[len(steps) :])
    for entry in entries:
        if found := applied(entry):
            yield ObjectRef(kind=found.kind, namespace=found.namespace, name=found.name)
