"""A live object as a person would write it to have the same again: without what servers and controllers wrote. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

from fluxlab.clusters.managed_fields import Setter, creators, set_beyond
from fluxlab.clusters.objects import KubeObject, dig, items_at
from fluxlab.clusters.paths import leaves, overlap, put, value_at
from fluxlab.documents import JsonObject
from fluxlab.drift.fields import is_state
from fluxlab.flux.claims import is_platform

_METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
_ASSIGNED: Mapping[str, Sequence[str]] = {
    "Service": (".spec.clusterIP", ".spec.clusterIPs", ".spec.healthCheckNodePort"),
    "PersistentVolumeClaim": (".spec.volumeName",),
    "Pod": (".spec.nodeName",),
    "Job": (
        ".spec.selector",
        *(
            f".spec.template.metadata.labels[{label}]"
            for label in ('"batch.kubernetes.io/controller-uid"', '"batch.kubernetes.io/job-name"')
        ),
        ".spec.template.metadata.labels.controller-uid",
        ".spec.template.metadata.labels.job-name",
    ),
}
"""What the API server assigns while it makes an object: in its managed fields that is its maker's."""
_HEADLESS = (None, "None")


def authored(live: KubeObject) -> KubeObject:
    """The manifest of a live object."""
    document = deepcopy({key: value for key, value in live.raw.items() if key != "status"})
    for path in _not_authored(live):
        put(path, document, None)
    metadata = {key: value for key in _METADATA if (value := dig(document, "metadata", key))}
    first: JsonObject = {"apiVersion": live.api_version, "kind": live.kind, "metadata": metadata}
    return KubeObject({**first, **{key: value for key, value in document.items() if key not in first}})


def _not_authored(live: KubeObject) -> Iterator[str]:
    if value_at(".spec.clusterIP", live.raw) not in _HEADLESS or live.kind != "Service":
        yield from _ASSIGNED.get(live.kind, ())
    # What a person made as a controller, or Flux and left behind, is whole only with what its maker wrote.
    made_by = creators(live.raw)
    makers = made_by if all(map(is_platform, made_by)) else ()
    theirs: list[str] = []
    ours: list[str] = []
    for entry in items_at(live.raw, "metadata", "managedFields"):
        setter = Setter.of(entry)
        added = is_platform(setter.manager) and setter.manager not in makers
        set_by = theirs if added or setter.subresource else ours
        set_by.extend(path for path, _ in set_beyond(dig(entry, "fieldsV1"), live.raw, {}))
    yield from (path for path in theirs if not any(overlap(path, one) for one in ours))
    yield from (path for path, _ in leaves("", live.raw) if path.startswith(".metadata.") and not is_state(path))
