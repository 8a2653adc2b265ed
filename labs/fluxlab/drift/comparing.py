"""Compare each object that git wants with what is there. Writes nothing: the API server is asked with dry runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, ApiUnreachableError, KubeApi
from fluxlab.clusters.differences import without_values
from fluxlab.clusters.loans import as_before
from fluxlab.clusters.objects import KubeObject, dig, items_at, text_at
from fluxlab.clusters.resources import SECRET, Resource
from fluxlab.errors import UnknownError

from .desired import APPLIERS, Desired
from .fields import FieldDrift, agrees, compare, is_default, may_be_default
from .live import Live, Served

MOST_LOOKS = 5
"""How often an object is looked at that changes while it is."""
ANOTHER = "fluxlab-"
"""How an object begins its name that is never made: one is asked for in a dry run, beside the one that is there."""


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
        return not self.unknown and (self.live is None or bool(self.fields) or self.never_applied)

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
    try:
        both = _live_and_merged(live, wanted, resource=resource, api=api, applier=desired.applier) if live else None
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
    return Compared(desired=desired, wanted=told(wanted), live=live, fields=fields)


def _made_anew(api: KubeApi, resource: Resource, wanted: KubeObject) -> KubeObject | None:
    """What the API server would make of a manifest if there were nothing yet; None where it makes no second one.

    So it is with kinds whose names follow from what they hold, such as CustomResourceDefinitions, and where a quota is
    full or one must not create: then everything that may be a default is told as added.
    """
    named = dig(wanted.raw, "metadata")
    metadata = {key: value for key, value in named.items() if key != "name"} if isinstance(named, Mapping) else {}
    another = {**wanted.raw, "metadata": {**metadata, "generateName": ANOTHER}}
    try:
        return api.create(resource, another, namespace=wanted.namespace or None, dry_run=True)
    except (ApiError, ApiUnreachableError):
        return None


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
