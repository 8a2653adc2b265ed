"""Objects that are given back as they were: what they held, and whose it was."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.managed_fields import Setter
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.documents import Json, JsonObject

from .borrowing import BORROWER

_SERVERS = frozenset({"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink"})
"""What of an object's metadata the API server sets."""
MAKER = "fluxlab-heal"
"""The field manager of what is made anew, until that is given to its owners: no person writes by this name."""
_OURS = (MAKER, "Update")


def original(subject: KubeObject) -> JsonObject:
    """All of an object that can be written again, with its managed fields."""
    kept = {key: value for key, value in _metadata(subject.raw).items() if key not in _SERVERS}
    managed = [entry for entry in _managed(subject) if not text_at(entry, "subresource")]
    return {**_content(subject), "metadata": {**kept, "managedFields": managed}}


def is_original(subject: KubeObject | None, kept: JsonObject) -> bool:
    """Whether an object holds what it held, and that belongs to whom it belonged.

    What its metadata says besides may be another thing: admission may put the time into whatever is made.
    """
    if subject is None or _content(subject) != _content(KubeObject(kept)):
        return False
    return _holders(original(subject)) == _holders(kept)


def written_since(subject: KubeObject, kept: JsonObject, field: Sequence[str] = ()) -> Sequence[str]:
    """Who has written into an object since, or set a field of it (`f:data`, `f:key`): no fault, and no healing of one.

    Whoever only takes something away leaves no trace.
    """
    owned = [one for one in _managed(subject) if dig(one, "fieldsV1", *field) is not None]
    before = {Setter.of(one) for one in items_at(kept, "metadata", "managedFields")}
    found = {Setter.of(one) for one in owned if not text_at(one, "subresource")} - before
    return sorted({one.manager for one in found} - {MAKER, BORROWER})


def recreate(api: KubeApi, resource: Resource, kept: JsonObject, *, besides: str = "") -> None:
    """Make an object what it was, if it is not there: what somebody has made since stays. Raises ApiError.

    Whoever makes an object owns it: so it is made first, and then given to its owners, with what admission has put into
    its metadata. What its controller writes into an annotation (`besides`) is left to that.
    """
    known, wanted = KubeObject(kept), without_annotation(kept, besides)
    namespace = known.namespace or None
    live = api.find(resource, known.name, namespace=namespace) or api.create(
        resource, _plain(wanted), namespace=namespace, field_manager=MAKER
    )
    now = without_annotation(original(live), besides)
    if _content(live) == _content(known) and _OURS in _holders(now):
        theirs = [one for one in _managed(KubeObject(now)) if _who(one) not in {_OURS, *_owners(wanted)}]
        managed = [*items_at(wanted, "metadata", "managedFields"), *theirs]
        _put(api, resource, live, {**now, "metadata": {**_metadata(now), "managedFields": managed}})


def give_back(api: KubeApi, resource: Resource, kept: JsonObject, *, besides: Collection[str]) -> None:
    """Give the fields of an object to those whose they were, where it holds the same as then. Raises ApiError.

    Who has corrected an object owns what it has corrected, and defaults besides. Others (`besides`) keep what they own.
    """
    known = KubeObject(kept)
    live = api.find(resource, known.name, namespace=known.namespace or None)
    if live is None or _content(live) != _content(known):
        return
    content = original(live)
    theirs = [one for one in items_at(content, "metadata", "managedFields") if text_at(one, "manager") in besides]
    managed = [*items_at(kept, "metadata", "managedFields"), *theirs]
    given: JsonObject = {**content, "metadata": {**_metadata(content), "managedFields": managed}}
    if _owners(content) != _owners(given):
        _put(api, resource, live, given)


def without_annotation(kept: JsonObject, name: str) -> JsonObject:
    """An object that is given back without one of its annotations."""
    metadata = _metadata(kept)
    annotations = metadata.pop("annotations", None)
    left = {key: value for key, value in annotations.items() if key != name} if isinstance(annotations, Mapping) else {}
    return {**kept, "metadata": {**metadata, **({"annotations": left} if left else {})}}


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


def _holders(kept: JsonObject) -> Mapping[tuple[str, str], Json]:
    """Who owns what of an object besides its metadata."""
    of_content = {
        who: {key: below for key, below in fields.items() if key != "f:metadata"}
        for who, fields in _owned(kept)
        if isinstance(fields, Mapping)
    }
    return {who: fields for who, fields in of_content.items() if fields}


def _owned(kept: JsonObject) -> Iterator[tuple[tuple[str, str], Json]]:
    for entry in items_at(kept, "metadata", "managedFields"):
        yield _who(entry), dig(entry, "fieldsV1")


def _who(entry: Json) -> tuple[str, str]:
    return text_at(entry, "manager"), text_at(entry, "operation")
