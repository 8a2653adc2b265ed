"""Compare each object that git wants with what is there. Writes nothing: the API server is asked with dry runs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.differences import without_values
from fluxlab.clusters.loans import as_before
from fluxlab.clusters.objects import KubeObject, dig, having, items_at, text_at
from fluxlab.clusters.resources import SECRET, SERVICE, Resource
from fluxlab.documents import Json, JsonObject
from fluxlab.errors import UnknownError
from fluxlab.timeline.entries import FieldChange

from .aspects import DriftClass
from .desired import APPLIERS, Desired
from .fields import FieldDrift, agrees, compare, is_default, may_be_default
from .live import Live, Served
from .undeclared import are_lost, without_undeclared

MOST_LOOKS = 5
"""How often an object is looked at that changes while it is."""
MOST_UNDECLARED = 20
"""How many fields that its kind does not have an object may have: each costs a request."""
ANOTHER = "fluxlab-"
"""How an object begins its name that is never made: one is asked for in a dry run, beside the one that is there."""
_HEADLESS = "None"
"""The address of a Service that has none, and so other defaults."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One object that git wants, and how what is there differs."""

    desired: Desired
    wanted: KubeObject
    live: KubeObject | None = None
    fields: Sequence[FieldDrift] = ()
    unknown: str = ""
    refused: bool = False
    """Whether it is unknown because the API server does not let it be changed to what git wants."""

    @property
    def differs(self) -> bool:
        """Whether there is something to tell."""
        there = self.live
        return not self.unknown and (there is None or there.deleting or bool(self.fields) or self.never_applied)

    @property
    def never_applied(self) -> bool:
        """Whether it is there, and no controller has written it: another one of that name may have been applied."""
        appliers = set(APPLIERS.values())
        return self.live is not None and not any(
            text_at(entry, "manager") in appliers for entry in items_at(self.live.raw, "metadata", "managedFields")
        )


def placed(wanted: KubeObject, served: Served) -> KubeObject:
    """Where it belongs: a manifest may leave the namespace out, or name one for a kind that is in none."""
    resource = served.get((wanted.api_version, wanted.kind))
    metadata = dig(wanted.raw, "metadata")
    if resource is None or not isinstance(metadata, Mapping):
        return wanted
    place = {"namespace": wanted.namespace or "default"} if resource.namespaced else {}
    kept = {key: value for key, value in metadata.items() if key != "namespace"}
    return KubeObject({**wanted.raw, "metadata": {**kept, **place}})


def disputed(desired: Desired, wanted: KubeObject) -> Compared:
    """An object of which it is not known what it should be."""
    why = f"{desired.owner} failed when it applied it otherwise than before, and how far it came is not known"
    return Compared(desired=desired, wanted=wanted, unknown=f"{wanted} cannot be compared: {why}")


def compare_object(
    api: KubeApi, served: Served, there: Live, desired: Desired, wanted: KubeObject, *, digest_key: bytes
) -> Compared:
    """One object: `wanted` as `placed` has it. Of Secrets only digests under `digest_key` are told."""

    def unknown(why: str) -> Compared:
        return Compared(desired=desired, wanted=wanted, unknown=f"{wanted} cannot be compared: {why}")

    resource = served.get((wanted.api_version, wanted.kind))
    if resource is None:
        return unknown(f"the cluster serves no {wanted.kind} in {wanted.api_version}")
    if resource in there.unread:
        return unknown(there.unread[resource])
    live = there.find(resource, wanted.namespace, wanted.name)
    undeclared: Mapping[str, Json] = {}
    both = None
    try:
        if live:
            both, wanted, undeclared = _as_declared(live, wanted, resource=resource, api=api, applier=desired.applier)
    except ApiError as error:
        return replace(unknown(error.what), live=live and as_before(live), refused=_is_of_the_change(error))
    except (ApiUnreachableError, UnknownError) as error:
        return unknown(error.what)
    if both is None:
        return Compared(desired=desired, wanted=wanted)

    def told(found: KubeObject) -> KubeObject:
        return KubeObject(without_values(found.raw, key=digest_key)) if resource == SECRET else found

    live, merged = (told(as_before(one)) for one in both)  # what report-only does to an object is no drift
    fields = compare(live, told(wanted), merged, applier=desired.applier)
    if any(map(may_be_default, fields)) and (made := _made_anew(api, resource, wanted)):
        fields = [one for one in fields if not is_default(one, told(made))]
    # The values of a Secret may stand at a field that is misspelt.
    values = dig(told(KubeObject({"data": undeclared})).raw, "data")
    fields += [_dropped(path, dig(values, path)) for path in undeclared]
    return Compared(desired=desired, wanted=told(wanted), live=live, fields=fields)


def _dropped(path: str, value: Json) -> FieldDrift:
    change = FieldChange(field=path, before=None, after=json.dumps(value, ensure_ascii=False))
    return FieldDrift(class_=DriftClass.REMOVED, change=change, undeclared=True)


def _made_anew(api: KubeApi, resource: Resource, wanted: KubeObject) -> KubeObject | None:
    """What the API server would make of a manifest if there were nothing yet; None where it makes no second one.

    So it is with kinds whose names follow from what they hold, such as CustomResourceDefinitions, and where a quota is
    full or one must not create: then everything that may be a default is told as added.
    """
    another = having(having(wanted.raw, ("metadata", "name"), None), ("metadata", "generateName"), ANOTHER)
    if resource == SERVICE:
        another = _without_what_is_taken(another)
    try:
        return api.create(resource, another, namespace=wanted.namespace or None, dry_run=True)
    except (ApiError, ApiUnreachableError):
        return None


def _without_what_is_taken(service: JsonObject) -> JsonObject:
    """A Service without the ports and addresses of which there is one only: they are refused in a dry run, too."""
    if text_at(service, "spec", "clusterIP") != _HEADLESS:
        for field in ("clusterIP", "clusterIPs"):
            service = having(service, ("spec", field), None)
    ports = [having(port, ("nodePort",), None) for port in items_at(service, "spec", "ports")]
    return having(having(service, ("spec", "healthCheckNodePort"), None), ("spec", "ports"), ports or None)


def _as_declared(
    live: KubeObject, wanted: KubeObject, *, resource: Resource, api: KubeApi, applier: str
) -> tuple[tuple[KubeObject, KubeObject] | None, KubeObject, Mapping[str, Json]]:
    """As `_live_and_merged`, of what is wanted as far as its kind has it; that; and the fields that it has not."""
    undeclared: dict[str, Json] = {}
    while True:
        try:
            both = _live_and_merged(live, wanted, resource=resource, api=api, applier=applier)
        except ApiError as error:
            left, more = without_undeclared(wanted, error.what)
            if not more or not are_lost(resource) or len(undeclared) >= MOST_UNDECLARED:
                raise
            wanted = left
            undeclared.update(more)
        else:
            return both, wanted, undeclared


def _live_and_merged(
    live: KubeObject, wanted: KubeObject, *, resource: Resource, api: KubeApi, applier: str
) -> tuple[KubeObject, KubeObject] | None:
    """An object that was `live` a moment ago, and what the API server would make of the same state for git; None when
    it is gone.

    What somebody else changes between the two is none of what git would. Raises UnknownError for an object that never
    rests, ApiError and ApiUnreachableError.
    """
    for _ in range(MOST_LOOKS):
        if agrees(as_before(live), wanted, applier=applier):
            return live, live
        path = resource.path(namespace=wanted.namespace, name=wanted.name)
        merged = api.apply(path, wanted.raw, field_manager=applier, dry_run=True)
        if merged.resource_version == live.resource_version:
            return live, merged
        newer = api.find(resource, wanted.name, namespace=wanted.namespace or None)
        if newer is None:
            return None
        live = newer
    raise UnknownError(f"it was changed each of {MOST_LOOKS} times that it was looked at")


def _is_of_the_change(error: ApiError) -> bool:
    """Whether a change was refused for what it changes: what kustomize-controller takes for an immutable field."""
    invalid = error.status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}
    return invalid or any(words in error.what for words in ("is immutable", "immutable field"))
