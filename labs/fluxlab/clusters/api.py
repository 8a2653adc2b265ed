"""A small client of the Kubernetes API over plain HTTP: importing the official one takes 0.4 s of a lab's start."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError

from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.waiting import wait_until

from .credentials import headers_of
from .kubeconfig import Access, read_kubeconfig
from .objects import KubeObject, items_at, text_at
from .resources import NAMESPACE, Resource
from .tls import client_context

FIELD_MANAGER = "fluxlab"
BUSY_SECONDS = 10.0
"""For how long a busy server is asked again: whoever looks at a cluster is told of it rather than kept waiting."""
BUSY_INTERVAL_SECONDS = 0.05
NOT_READY = "is forbidden: not yet ready to handle request"
"""What admission says, with 403, after it has waited 10 s for what it decides by to be listed.

Source: k8s.io/apiserver 0.36.3, `WaitForReady` in admission/handler.go and its callers; `NewForbidden` of apimachinery.
"""
WATCH_SECONDS = 120
"""How long a watch lasts. Who goes on where a broken one was needs what etcd keeps: five minutes at least."""
OVERDUE_SECONDS = 30.0
"""How long after the end of a watch nothing may be heard of it: then its connection is dead, and nobody said so."""
AGGREGATED_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ApiError(FluxlabError):
    """The API server answered with an error status."""

    def __init__(self, what: str, *, status: int, message: str) -> None:
        super().__init__(f"{what}: {message or status}", facts=[f"HTTP {status}"])
        self.status = status


class ApiUnreachableError(UnknownError):
    """The API server did not answer at all."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All objects of a resource at one moment."""

    objects: list[KubeObject]
    resource_version: str


def ignore_missing(act: Callable[[], object]) -> None:
    """Do something to an object that may have gone meanwhile."""
    try:
        act()
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise


class KubeApi:
    """A connection to one API server. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, access: Access, *, timeout_seconds: float = 30, busy_seconds: float = BUSY_SECONDS) -> None:
        """`timeout_seconds` is for each part of an answer, `busy_seconds` for a server that says that it is busy."""
        self.server = access.server
        self._credentials = headers_of(access)
        self._timeout = urllib3.Timeout(timeout_seconds)
        self._busy_seconds = busy_seconds
        address = urllib3.util.parse_url(access.server)
        self._prefix = (address.path or "").rstrip("/")  # of a server that stands in front of several
        self._pool = urllib3.HTTPSConnectionPool(
            address.host or "",
            address.port,
            ssl_context=client_context(access),
            server_hostname=access.server_name or None,
            assert_hostname=None if access.verified else False,
            maxsize=64,
            retries=False,
        )

    @classmethod
    def from_kubeconfig(cls, file: Path) -> "KubeApi":
        """The client for a kubeconfig that fluxlab wrote."""
        return cls(read_kubeconfig(file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: JsonObject | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout_seconds: float | None = None,
    ) -> JsonObject:
        """One request and its JSON answer; asked again while the server is too busy, or not ready for this resource.

        `timeout_seconds` is for each part of the answer (default: the connection's). Raises ApiError or
        ApiUnreachableError.
        """
        headers = {
            **self._own_headers(),
            "Accept": accept,
            **({"Content-Type": content_type} if body is not None else {}),
        }
        content = json.dumps(body) if body is not None else None
        timeout = self._timeout if timeout_seconds is None else urllib3.Timeout(timeout_seconds)
        deadline = time.monotonic() + self._busy_seconds

        def heard() -> urllib3.BaseHTTPResponse | None:
            try:
                answer = self._pool.request(
                    method, self._url(path, query), body=content, headers=headers, timeout=timeout
                )
            except HTTPError as error:
                facts = [f"{method} {path}: {error}"]
                raise ApiUnreachableError(f"{self.server} does not answer", facts=facts) from error
            return None if self._is_busy(answer) and time.monotonic() < deadline else answer

        # The server asks for a second's patience; what it is busy with takes a tenth of that.
        answer = wait_until(heard, what=path, timeout_seconds=math.inf, interval_seconds=BUSY_INTERVAL_SECONDS)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(f"{method} {path}", answer)
        return self._json(answer)

    def _own_headers(self) -> Mapping[str, str]:
        return {"User-Agent": FIELD_MANAGER, **self._credentials()}

    def _url(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._prefix}{path}?{urlencode(query)}" if query else f"{self._prefix}{path}"

    def _refusal(self, what: str, answer: urllib3.BaseHTTPResponse) -> ApiError:
        message = text_at(self._json(answer), "message") or answer.data.decode(errors="replace")[:200]
        return ApiError(what, status=answer.status, message=message)

    def _is_busy(self, answer: urllib3.BaseHTTPResponse) -> bool:
        if answer.status == HTTPStatus.FORBIDDEN:
            return text_at(self._json(answer), "message").endswith(NOT_READY)
        return answer.status == HTTPStatus.TOO_MANY_REQUESTS

    @staticmethod
    def _json(answer: urllib3.BaseHTTPResponse) -> JsonObject:
        try:
            content = json.loads(answer.data)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    def healthy(self, path: str = "/readyz", *, timeout_seconds: float = 2) -> bool:
        """Whether a health endpoint answers 200."""
        try:
            answer = self._pool.request("GET", self._url(path), headers=self._own_headers(), timeout=timeout_seconds)
            return answer.status == HTTPStatus.OK
        except HTTPError:
            return False

    def discover(self) -> set[str]:
        """The paths of all collections in named groups, from the aggregated discovery document that clients read."""
        return {resource.path() for resource in self.resources(groups=("/apis",))}

    def resources(self, *, groups: Sequence[str] = ("/api", "/apis"), verb: str = "") -> Iterator[Resource]:
        """What is served, in all versions, the preferred one of each group first; with `verb` what allows that."""
        for root in groups:
            answer = self.request("GET", root, accept=AGGREGATED_DISCOVERY)
            for group, version in ((g, v) for g in items_at(answer, "items") for v in items_at(g, "versions")):
                for served in items_at(version, "resources"):
                    if not verb or verb in items_at(served, "verbs"):
                        yield Resource(
                            kind=text_at(served, "responseKind", "kind"),
                            plural=text_at(served, "resource"),
                            group=text_at(group, "metadata", "name"),
                            version=text_at(version, "version"),
                            namespaced=text_at(served, "scope") == "Namespaced",
                        )

    def version(self, *, timeout_seconds: float) -> int:
        """The cluster's own count of changes, now. Raises ApiError or ApiUnreachableError."""
        answer = self.request("GET", NAMESPACE.path(), query={"limit": "1"}, timeout_seconds=timeout_seconds)
        return int(text_at(answer, "metadata", "resourceVersion"))

    def get(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject:
        """One object. Raises ApiError with status 404 when it is not there."""
        return KubeObject(self.request("GET", resource.path(namespace=namespace, name=name)))

    def find(self, resource: Resource, name: str, *, namespace: str | None = None) -> KubeObject | None:
        """One object, or None when it is not there."""
        try:
            return self.get(resource, name, namespace=namespace)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def list(
        self, resource: Resource, *, namespace: str | None = None, query: Mapping[str, str] | None = None
    ) -> list[KubeObject]:
        """All objects of a resource (an entry of a list carries no kind of its own: it is filled in)."""
        return self.listing(resource, namespace=namespace, query=query).objects

    def listing(
        self, resource: Resource, *, namespace: str | None = None, query: Mapping[str, str] | None = None
    ) -> Listing:
        """As `list`, with the resource version at which that was so."""
        answer = self.request("GET", resource.path(namespace=namespace), query=query)
        fill = {"apiVersion": resource.api_version, "kind": resource.kind}
        objects = [KubeObject({**fill, **item}) for item in items_at(answer, "items") if isinstance(item, Mapping)]
        return Listing(objects=objects, resource_version=text_at(answer, "metadata", "resourceVersion"))

    def create(
        self,
        resource: Resource,
        manifest: JsonObject,
        *,
        namespace: str | None = None,
        field_manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> KubeObject:
        """Create an object; returns what it became. Raises ApiError with status 409 when it exists."""
        query = {"fieldManager": field_manager, **({"dryRun": "All"} if dry_run else {})}
        return KubeObject(self.request("POST", resource.path(namespace=namespace), body=manifest, query=query))

    def apply(
        self, path: str, manifest: JsonObject, *, field_manager: str = FIELD_MANAGER, dry_run: bool = False
    ) -> KubeObject:
        """Server-side apply of one manifest at its path, taking over fields that others own; returns what it makes."""
        query = {"fieldManager": field_manager, "force": "true", **({"dryRun": "All"} if dry_run else {})}
        content_type = "application/apply-patch+yaml"
        return KubeObject(self.request("PATCH", path, body=manifest, query=query, content_type=content_type))

    def merge(
        self, resource: Resource, name: str, patch: JsonObject, *, namespace: str | None = None, subresource: str = ""
    ) -> KubeObject:
        """JSON merge patch of one object."""
        path = resource.path(namespace=namespace, name=name, subresource=subresource)
        query = {"fieldManager": FIELD_MANAGER}
        return KubeObject(
            self.request("PATCH", path, body=patch, query=query, content_type="application/merge-patch+json")
        )

    def delete(self, resource: Resource, name: str, *, namespace: str | None = None) -> None:
        """Delete one object. Raises ApiError with status 404 when it is not there."""
        self.request("DELETE", resource.path(namespace=namespace, name=name))

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str = "",
        timeout_seconds: int = WATCH_SECONDS,
    ) -> Iterator[tuple[str, KubeObject]]:
        """Changes of a resource as (ADDED | MODIFIED | DELETED | BOOKMARK | ERROR, object), until the server ends it.

        Without a resource version it begins with all that is there. Raises ApiError when the server refuses, and
        ApiUnreachableError when the stream breaks, or does not end when it should.
        """
        query = {"watch": "true", "timeoutSeconds": str(timeout_seconds), "allowWatchBookmarks": "true"}
        if resource_version:
            query["resourceVersion"] = resource_version
        path = resource.path(namespace=namespace)
        try:
            answer = self._pool.request(
                "GET",
                self._url(path, query),
                headers=self._own_headers(),
                preload_content=False,
                timeout=urllib3.Timeout(connect=10, read=timeout_seconds + OVERDUE_SECONDS),
            )
            try:
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise self._refusal(f"watch of {path}", answer)
                for line in answer:
                    event = json.loads(line)
                    yield text_at(event, "type"), KubeObject(event["object"])
            finally:
                answer.close()  # in the middle of its answer a connection is of no further use
        except (HTTPError, ValueError) as error:
            raise ApiUnreachableError(f"{self.server}: watch of {resource.plural} broke", facts=[str(error)]) from error
