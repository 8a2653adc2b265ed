"""Links: the TCP hops between the parts of a cluster that a fault may break, each through an endpoint of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fluxlab.files import write_private

_TO = "-to-"


def link_name(consumer: str, provider: str) -> str:
    """How the link is called over which one part of a cluster reaches another, if the lab has links."""
    return f"{consumer}{_TO}{provider}"


def provider_of(link: str) -> str:
    """Who is reached over a link."""
    return link.rpartition(_TO)[2]


@dataclass(frozen=True, kw_only=True)
class Link:
    """One hop: `name` tells who reaches whom, `kustomize-controller-to-api`."""

    name: str
    port: int
    """Where the consumer connects, on loopback."""
    upstream: int
    """Where that leads."""


class Links:
    """The links of one cluster; without links every consumer reaches its provider directly."""

    def __init__(self, *, enabled: bool, reserve: Callable[[str], int]) -> None:
        """`reserve` gives the port for a link's name."""
        self.enabled = enabled
        self._reserve = reserve
        self._links: dict[str, Link] = {}

    def port(self, consumer: str, provider: str, upstream: int) -> int:
        """The port at which a consumer reaches a provider that listens on `upstream`. Safe to repeat."""
        if not self.enabled:
            return upstream
        name = link_name(consumer, provider)
        if name not in self._links:
            self._links[name] = Link(name=name, port=self._reserve(f"link/{name}"), upstream=upstream)
        return self._links[name].port

    def all(self) -> tuple[Link, ...]:
        """The links by name."""
        return tuple(link for _, link in sorted(self._links.items()))

    def write_config(self, file: Path) -> Path:
        """What toxiproxy begins with."""
        proxies = [
            {
                "name": link.name,
                "listen": f"127.0.0.1:{link.port}",
                "upstream": f"127.0.0.1:{link.upstream}",
                "enabled": True,
            }
            for link in self.all()
        ]
        return write_private(file, json.dumps(proxies, indent=1))


def proxy_socket(folder: Path) -> Path:
    """Where the toxiproxy of the cluster in that folder listens for its orders."""
    return folder / "links" / "toxiproxy.sock"
