"""Objects that are given back as they were: what they held, and whose it was."""

from collections.abc import Iterator, Mapping, Sequence

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json, JsonObject

_SERVERS = frozenset({"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"})
"""What of an object's metadata the API server sets."""


def original(subject: KubeObject) -> JsonObject:
    """All of an object that can be written again, with its managed fields."""
    kept = {key: value for key, value in _metadata(subject.raw).items() if key not in _SERVERS}
    managed = [entry for entry in _managed(subject) if not text_at(entry, "subresource")]
    return {**_content(subject), "metadata": {**kept, "managedFields": managed}}


def is_original(subject: KubeObject | None, kept: JsonObject) -> bool:
    """Whether an object holds what it held, and everything belongs to whom it belonged."""
    if subject is None:
        return False
    now, then = original(subject), kept
    return _plain(now) == _plain(then) and _owners(now) == _owners(then)


def restore(api: KubeApi, resource: Resource, kept: JsonObject) -> None:
    """Make an object what it was, if it is not. Raises ApiError.

    Whoever writes a value owns it: so the content is written first, and then given to its owners.
    """
    known = KubeObject(kept)
    live = api.find(resource, known.name, namespace=known.namespace or None)
    if live is None:
        live = api.create(resource, _plain(kept), namespace=known.namespace or None)
    elif _plain(original(live)) != _plain(kept):
        live = _put(api, resource, live, _plain(kept))
    if not is_original(live, kept):
        _put(api, resource, live, kept)


def give_back(api: KubeApi, resource: Resource, kept: JsonObject) -> None:
    """Give the fields of an object to those whose they were, where it wants the same as then. Raises ApiError.

    Who has corrected an object owns what it has corrected, and defaults besides.
    """
    known = KubeObject(kept)
    live = api.find(resource, known.name, namespace=known.namespace or None)
    if live and dig(live.raw, "spec") == dig(kept, "spec") and _owners(original(live)) != _owners(kept):
        content = original(live)
        managed = {"managedFields": items_at(kept, "metadata", "managedFields")}
        _put(api, resource, live, {**content, "metadata": {**_metadata(content), **managed}})


def _put(api: KubeApi, resource: Resource, live: KubeObject, content: JsonObject) -> KubeObject:
    """Write an object; who wrote its status stays so."""
    path = resource.path(namespace=live.namespace or None, name=live.name)
    fields = _metadata(content)
    statuses = [entry for entry in _managed(live) if text_at(entry, "subresource")]
    if "managedFields" in fields:
        fields["managedFields"] = [*items_at(content, "metadata", "managedFields"), *statuses]
    fields |= {"resourceVersion": live.resource_version, "uid": text_at(live.raw, "metadata", "uid")}
    return KubeObject(api.request("PUT", path, body={**content, "metadata": fields}))


def _content(subject: KubeObject) -> JsonObject:
    return {key: value for key, value in subject.raw.items() if key not in {"metadata", "status"}}


def _plain(kept: JsonObject) -> JsonObject:
    """Without whose it was."""
    return {**kept, "metadata": {key: value for key, value in _metadata(kept).items() if key != "managedFields"}}


def _metadata(content: JsonObject) -> dict[str, Json]:
    metadata = content["metadata"]
    return dict(metadata) if isinstance(metadata, Mapping) else {}


def _managed(subject: KubeObject) -> Sequence[Json]:
    return items_at(subject.raw, "metadata", "managedFields")


def _owners(kept: JsonObject) -> Mapping[tuple[str, str], Json]:
    return dict(_owned(kept))


def _owned(kept: JsonObject) -> Iterator[tuple[tuple[str, str], Json]]:
    for entry in items_at(kept, "metadata", "managedFields"):
        yield (text_at(entry, "manager"), text_at(entry, "operation")), dig(entry, "fieldsV1")
