"""After a resume on other ports: sources say where their artifacts are, and consumers would wait there for minutes."""

from urllib.parse import urlsplit

from .api import KubeApi
from .objects import text_at
from .resources import SOURCES


def readdress(api: KubeApi, address: str) -> None:
    """Have the artifacts of all sources be found at `address` (host:port), where source-controller serves them now."""
    for resource in SOURCES:
        for source in api.list(resource):
            url = urlsplit(text_at(source.raw, "status", "artifact", "url"))
            if url.netloc and url.netloc != address:
                status = {"artifact": {"url": url._replace(netloc=address).geturl()}}
                api.merge(resource, source.name, {"status": status}, namespace=source.namespace, subresource="status")
