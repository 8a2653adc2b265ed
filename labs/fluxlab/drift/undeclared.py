"""Fields of a manifest that its kind does not have, such as misspelt ones. Pure.

Both controllers convert Kubernetes' own kinds to Go's types before they apply or compare them, which loses such fields
without a word (fluxcd/pkg ssa, normalize.go). The API server refuses them, by the words of
sigs.k8s.io/structured-merge-diff: `typed/helpers.go` and `fieldpath/element.go`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

from fluxlab.clusters.managed_fields import entry_of
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.paths import put, step_to_entry, step_to_key, value_at
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json

_TYPED_GROUPS = frozenset({"", "apps", "autoscaling", "batch", "policy"}) | {
    f"{group}.k8s.io"
    for group in (
        "admissionregistration",
        "certificates",
        "coordination",
        "discovery",
        "events",
        "flowcontrol.apiserver",
        "networking",
        "node",
        "rbac.authorization",
        "resource",
        "scheduling",
        "storage",
    )
}
"""The groups of which the controllers have types: client-go's scheme."""
_UNTYPED = frozenset({"Role", "ClusterRole"})
"""What they leave as it is all the same (fluxcd/kustomize-controller issue 1041)."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_NAMED = re.compile(r"(?:\): |^ +)(\..*): field not declared in schema$", re.MULTILINE)
_STEP = re.compile(rf'\.[^.\[]+|\[(?:{_QUOTED}|[^"\]])*\]')
_KEY = re.compile(rf"(\w+)=({_QUOTED}|[^,\]]+)")


def are_lost(resource: Resource) -> bool:
    """Whether Flux's controllers lose what objects of a kind should not have; else they are refused as we are."""
    return resource.group in _TYPED_GROUPS and resource.kind not in _UNTYPED


def without_undeclared(manifest: KubeObject, refusal: str) -> tuple[KubeObject, Mapping[str, Json]]:
    """A manifest without the fields that a refusal names, and these: their values by their paths.

    Of each map it names one only, so that there may be more.
    """
    paths = (_path(_STEP.findall(named), manifest.raw) for named in _NAMED.findall(refusal))
    fields = {path: value_at(path, manifest.raw) for path in paths if path}
    left = deepcopy(dict(manifest.raw))
    for path in fields:
        put(path, left, None)
    return KubeObject(left), fields


def _path(steps: Sequence[str], document: Json) -> str:
    """A path as Kubernetes writes it, from the steps of a refusal; empty when it leads nowhere."""
    path, place = "", document
    for step in steps:
        if step.startswith("."):
            path, place = path + step_to_key(step[1:]), dig(place, step[1:])
        else:
            entries = items_at(place)
            place = _entry(step, entries)
            path += "" if place is None else step_to_entry(place, entries)
    return "" if place is None else path


def _entry(step: str, entries: Sequence[Json]) -> Json:
    """The entry of a list at `[3]`, or `[containerPort=80,protocol="TCP"]`."""
    if (number := step[1:-1]).isdigit():
        return entries[int(number)] if int(number) < len(entries) else None
    keys = dict(_keys(step))
    return entry_of(keys, entries) if keys else None


def _keys(step: str) -> Iterator[tuple[str, Json]]:
    for name, value in _KEY.findall(step):
        try:
            yield name, json.loads(value)
        except ValueError:  # Go quotes some texts otherwise than JSON does
            yield name, value
