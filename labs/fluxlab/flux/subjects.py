"""The object that a signal is about: as it was at a moment, and as it is now."""

from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus

from fluxlab.clusters.api import ApiError, KubeApi
from fluxlab.clusters.objects import KubeObject, dig, text_at
from fluxlab.clusters.resources import Resource
from fluxlab.errors import UnknownError, UsageError


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One object of a cluster, or several of the same name one after the other."""

    api: KubeApi
    resource: Resource
    namespace: str
    name: str
    version: int
    """The cluster's resource version at the moment."""

    def now(self) -> KubeObject | None:
        """The object as it is."""
        return self.api.find(self.resource, self.name, namespace=self.namespace or None)

    @cached_property
    def before(self) -> KubeObject | None:
        """The object as it was at the moment. Raises UnknownError when that was more than five minutes ago."""
        query = {
            "fieldSelector": f"metadata.name={self.name}",
            "resourceVersion": str(self.version),
            "resourceVersionMatch": "Exact",
        }
        try:
            found = self.api.list(self.resource, namespace=self.namespace or None, query=query)
        except ApiError as error:
            if error.status in {HTTPStatus.GONE, HTTPStatus.NOT_FOUND}:
                facts = ["the API server forgets what is older than five minutes"]
                raise UnknownError(f"how {self.name} was at that moment is not known any more", facts=facts) from None
            raise
        return found[0] if found else None

    def known(self) -> bool:
        """Whether it was there at the moment, or is now."""
        return bool(self.uids())

    def uids(self) -> set[str]:
        """Its UID at the moment, and now."""
        return {text_at(found.raw, "metadata", "uid") for found in (self.before, self.now()) if found}

    def said_anew(self, now: KubeObject) -> bool:
        """Whether the status of the object as it is now was written after the moment, or it was made then."""
        before = self.before
        if before is None or text_at(before.raw, "metadata", "uid") != text_at(now.raw, "metadata", "uid"):
            return True
        return dig(now.raw, "status") != dig(before.raw, "status")


def place_of(resource: Resource, place: str) -> tuple[str, str]:
    """Namespace and name from `NAMESPACE/NAME`, or from `NAME` for what is in no namespace. Raises UsageError."""
    namespace, _, name = place.rpartition("/")
    if not name or bool(namespace) != resource.namespaced:
        wanted = "NAMESPACE/NAME" if resource.namespaced else "NAME"
        raise UsageError(f"{place!r} names no {resource.kind}", facts=[f"it has to be {wanted}"])
    return namespace, name
