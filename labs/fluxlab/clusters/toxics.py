"""Toxics: what is wrong with links on purpose, told to their toxiproxy on its private socket."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from fluxlab.errors import FluxlabError
from fluxlab.unix_http import Answer, ask

from .links import proxy_socket

TIMEOUT_SECONDS = 30.0
"""To take out a toxic, toxiproxy waits until what it holds is through."""


class Stream(StrEnum):
    """Which way the bytes go that a toxic acts on."""

    UPSTREAM = "upstream"
    """From the consumer to the provider."""
    DOWNSTREAM = "downstream"


@dataclass(frozen=True, kw_only=True)
class Toxic:
    """One of toxiproxy's ways to spoil a stream, with its attributes; the name is unique in the link."""

    name: str
    type: str
    stream: Stream
    attributes: Mapping[str, int]


class LinkProxy:
    """The toxiproxy of one cluster. Whoever may read the cluster's folder may ask it; toxics go with its process."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the cluster's."""
        self._socket = proxy_socket(folder)

    def add(self, link: str, toxic: Toxic) -> None:
        """Put a toxic into a link, unless one of its name is there. Raises FluxlabError."""
        answer = self._ask("POST", f"/proxies/{quote(link)}/toxics", content=json.dumps(asdict(toxic)))
        if answer is None:
            raise FluxlabError(f"toxiproxy does not run, so link {link} cannot be broken", hint="fluxlab status")
        _check(answer, HTTPStatus.CONFLICT, what=f"link {link} cannot be broken")

    def remove(self, link: str, name: str) -> None:
        """Take a toxic out of a link, if it is there. Raises FluxlabError."""
        if answer := self._ask("DELETE", f"/proxies/{quote(link)}/toxics/{quote(name)}"):
            _check(answer, HTTPStatus.NOT_FOUND, what=f"link {link} cannot be mended")

    def toxics(self) -> Iterator[tuple[str, str]]:
        """The links that are spoilt, each with the name of a toxic. Raises FluxlabError."""
        if answer := self._ask("GET", "/proxies"):
            _check(answer, what="the links cannot be listed")
            for link, proxy in sorted(json.loads(answer.content).items()):
                yield from ((link, str(toxic["name"])) for toxic in proxy["toxics"])

    def _ask(self, method: str, path: str, *, content: str | None = None) -> Answer | None:
        """Its answer; None when nobody listens, and so nothing is in."""
        try:
            return ask(self._socket, method, path, content=content, timeout=TIMEOUT_SECONDS)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise FluxlabError(f"toxiproxy gives no answer to {method} {path}", facts=[str(error)]) from error


def _check(answer: Answer, *expected: int, what: str) -> None:
    if answer.status >= HTTPStatus.BAD_REQUEST and answer.status not in expected:
        raise FluxlabError(what, facts=[f"toxiproxy: {answer.content.decode(errors='replace').strip()}"])
