"""An OCI registry: the upstream program on a private socket, and what answers for a public host in front of it."""

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from fluxlab.files import make_private, write_private
from fluxlab.host import socket_address
from fluxlab.processes import ManagedProcess, ProcessGroup, last_words
from fluxlab.unix_http import Answer, ask
from fluxlab.waiting import wait_until

from .asgi import Header, answer, asked_by
from .forward import Forwarder

NAME = "registry"
SOCKET = "registry.sock"
READY_TIMEOUT_SECONDS = 20
ASK_TIMEOUT_SECONDS = 1
PAUSE_SECONDS = 10
"""For how long one that runs is waited for before it is started again: it may be slow, and under a push."""
LISTING_SECONDS = 1
STOP_GRACE_SECONDS = 1
READING = frozenset({"GET", "HEAD"})
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One tag of a repository in the registry."""

    host: str
    repository: str
    tag: str
    digest: str
    chart: Mapping[str, object] | None
    """The metadata of a Helm chart, None for any other artifact."""


class Registry:
    """The registry of a lab: one program for all public hosts, each with repositories of its own.

    Its door is a socket in the lab's private folder: whoever comes from elsewhere comes through the gateway.
    """

    def __init__(self, folder: Path, *, program: Path, processes: ProcessGroup, log: Path) -> None:
        self._folder = make_private(folder)
        self._program = program
        self._processes = processes
        self._log = log
        self._doors = contextlib.ExitStack()
        self._forwarder: Forwarder | None = None
        self._known: dict[str, Mapping[str, object] | None] = {}

    @property
    def process(self) -> ManagedProcess | None:
        """The program, dead or alive; None before the first `start`."""
        return self._processes.get(NAME)

    def start(self) -> None:
        """Have the program run. From a thread that lives as long as the lab; safe to repeat."""
        if self.process and self.process.running:
            return
        address = self._folder / SOCKET
        address.unlink(missing_ok=True)
        config = write_private(self._folder / "config.json", json.dumps(_config(self._folder)))
        self._processes.start(
            NAME,
            [self._program, "serve", config],
            log=self._log,
            # The socket's whole path may be longer than the kernel takes.
            cwd=self._folder,
            environment={"PATH": "", "HOME": str(self._folder), "OTEL_TRACES_EXPORTER": "none"},
        )

    def await_answer(self) -> None:
        """Wait until it answers. From any thread that may wait.

        Raises ProcessDiedError when it ended, WaitTimeoutError when it does not answer.
        """
        wait_until(
            self._answers,
            what="the registry answers",
            timeout_seconds=READY_TIMEOUT_SECONDS,
            state=lambda: "\n".join(last_words(self._log)),
        )

    def _answers(self) -> bool:
        if self.process and not self.process.running:  # also one that was told to end
            raise self.process.died()
        return self.trouble() == ""

    def trouble(self, *, timeout_seconds: float = ASK_TIMEOUT_SECONDS) -> str:
        """Why it does not serve; empty when it does, or was never started."""
        if self.process is None:
            return ""
        if not self.process.running:
            return str(self.process.died())
        try:
            status = self._ask("/v2/", timeout_seconds=timeout_seconds).status
        except OSError as error:
            return f"it does not answer: {error}"
        return "" if status == HTTPStatus.OK else f"it answers {status}"

    def _ask(self, path: str, *, accept: str = "*/*", timeout_seconds: float = ASK_TIMEOUT_SECONDS) -> Answer:
        return ask(self._folder / SOCKET, "GET", path, accept=accept, timeout=timeout_seconds)

    def stop(self) -> None:
        """End the program."""
        self._processes.stop(NAME, grace_seconds=STOP_GRACE_SECONDS)

    def release(self) -> None:
        """Let go of its socket."""
        self._doors.close()

    async def close(self) -> None:
        """Close the connections to it."""
        if self._forwarder:
            await self._forwarder.close()

    def application(self, host: str) -> ASGIApp:
        """What answers below `https://<host>/v2`. From the loop that serves."""
        if self._forwarder is None:
            address = self._doors.enter_context(socket_address(self._folder / SOCKET))
            self._forwarder = Forwarder(unix_socket=Path(address))
        return _Host(host, self._forwarder)

    # -- what is in it -------------------------------------------------------------------------------------------

    def stored(self) -> list[Stored]:
        """All tags, in order, as far as they can be read in LISTING_SECONDS; what is damaged is left out."""
        deadline = time.monotonic() + LISTING_SECONDS
        found: list[Stored] = []
        for name in self._list("/v2/_catalog?n=1000", "repositories"):
            for tag in self._list(f"/v2/{name}/tags/list", "tags"):
                if time.monotonic() > deadline:
                    return found
                try:
                    found.append(self._stored(name, tag))
                except (OSError, KeyError) as error:
                    logger.info("%s:%s cannot be read: %s", name, tag, error)
        return found

    def _list(self, path: str, field: str) -> list[str]:
        try:
            found = self._ask(path).json().get(field)
        except OSError as error:
            logger.info("%s: %s", path, error)
            return []
        return sorted(str(entry) for entry in found) if isinstance(found, list) else []

    def _stored(self, name: str, tag: str) -> Stored:
        heard = self._ask(f"/v2/{name}/manifests/{tag}", accept=MANIFEST)
        digest = heard.headers.get("docker-content-digest", "")
        if digest not in self._known:
            self._known[digest] = self._chart(name, heard.json())
        host, _, repository = name.partition("/")
        return Stored(host=host, repository=repository, tag=tag, digest=digest, chart=self._known[digest])

    def _chart(self, name: str, manifest: Mapping[str, object]) -> Mapping[str, object] | None:
        config = manifest.get("config")
        if not isinstance(config, Mapping) or config.get("mediaType") != CHART_CONFIG:
            return None
        return self._ask(f"/v2/{name}/blobs/{config['digest']}").json()


def _config(folder: Path) -> dict[str, object]:
    """Source: distribution's configuration reference; JSON is YAML."""
    return {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"net": "unix", "addr": SOCKET, "relativeurls": True, "secret": secrets.token_urlsafe(24)},
    }


class _Host:
    """One public host in front of the registry: its repositories are kept below its name."""

    def __init__(self, host: str, forwarder: Forwarder) -> None:
        self._host = host
        self._forwarder = forwarder
        self._below = f"/v2/{host}/".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        who = asked_by(scope)
        path = str(scope["path"]).removeprefix("/v2").removeprefix("/")
        if {".", ".."} & set(path.split("/")) or "//" in f"/{path}":
            await answer(send, 404, f"no path in a registry: {path!r}")  # it would leave the host's own repositories
        elif path.startswith("_"):
            await answer(send, 404, "a public registry does not list its repositories")
        elif scope["method"] not in READING and "." in who:  # a cluster's controller, which would not push elsewhere
            await answer(send, 403, f"{who} may only read here: push with `fluxlab helm push` or `fluxlab flux push`")
        else:
            await self._forwarder.forward(self._inside(path, scope), scope, receive, send, change=self._outside)

    def _inside(self, path: str, scope: Scope) -> str:
        asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        # A blob may be mounted from another repository of the same host.
        query = [(name, f"{self._host}/{value}" if name == "from" else value) for name, value in asked]
        below = f"{self._host}/{quote(path)}" if path else ""
        return f"http://registry/v2/{below}" + (f"?{urlencode(query)}" if query else "")

    def _outside(self, header: Header) -> Header:
        name, value = header
        return (name, value.replace(self._below, b"/v2/", 1)) if name in {b"location", b"link"} else header
