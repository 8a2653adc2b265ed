"""What a lab serves from within its supervisor: gateway, git, charts, kubelets and the control socket, in one loop."""

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from fluxlab.clusters.base import ClusterBackend
from fluxlab.clusters.capabilities import Capability
from fluxlab.clusters.flux_controllers import CONTROLLERS, WayOut
from fluxlab.errors import UsageError
from fluxlab.files import make_private, write_private
from fluxlab.flux import bootstrap
from fluxlab.gateway import Gateway, RequestLog, Routes
from fluxlab.host import socket_address
from fluxlab.pki import Authority
from fluxlab.ports import LOOPBACK
from fluxlab.processes import ProcessGroup
from fluxlab.servers.chart_server import ChartServer
from fluxlab.servers.charts import ChartRepository
from fluxlab.servers.git import GitServer
from fluxlab.servers.git_repositories import GitRepositories
from fluxlab.servers.http import HttpServer, bind_address, bind_loopback, serve
from fluxlab.servers.oci import registry_host
from fluxlab.servers.pushes import Push
from fluxlab.servers.registry import NAME as REGISTRY
from fluxlab.servers.registry import PAUSE_SECONDS, Registry
from fluxlab.servers.sinks import SINKS
from fluxlab.servers.webhook import Delivery, Webhook
from fluxlab.spec import LabSpec, SinkSpec, host_of
from fluxlab.state import LabFolder
from fluxlab.timeline.folder import TimelineFolder
from fluxlab.toolchain import Toolchain

from .authorities import bundle
from .charts import chart_folder, chart_place, chart_urls
from .chronicle import Chronicle
from .control_app import Verbs, control_app
from .way_out import tell_way_out

T = TypeVar("T")
STOP_TIMEOUT_SECONDS = 5
OCI = "oci://"
YOU = "you"
"""Whom the gateway calls the person at this machine."""


class Services:
    """The servers of a lab, in a thread with one event loop. Called from the main thread, except where noted."""

    def __init__(
        self,
        *,
        folder: LabFolder,
        spec: LabSpec,
        toolchain: Toolchain,
        git_port: int,
        gateway_port: int,
        processes: ProcessGroup,
        chronicle: Chronicle,
    ) -> None:
        self._folder = folder
        self._spec = spec
        self._toolchain = toolchain
        self._doors = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services", daemon=True)
        self._servers: list[HttpServer] = []
        self._chronicle = chronicle
        self._redactor = chronicle.redactor
        self._authority = Authority(folder.pki)
        self._receiver_token = self._secret()
        self._passwords = {
            f"{cluster.name}.{controller}": self._secret() for cluster in spec.clusters for controller in CONTROLLERS
        }
        self._passwords[YOU] = self._secret()
        self._git_port, self._gateway_port = git_port, gateway_port
        self.registry = Registry(
            folder.registry, program=toolchain.binary("registry"), processes=processes, log=folder.registry_log
        )
        repositories, wanted = GitRepositories(folder.repositories, redactor=self._redactor), spec.repository
        self.repository = repositories.create(wanted.name, url=wanted.url, branch=wanted.branch)
        """The one that the lab's clusters reconcile."""
        self._git = GitServer(repositories, lab=spec.name)
        self._webhooks: list[Webhook] = []
        self.routes = Routes()
        self.charts: dict[str, ChartRepository] = {}
        self.sinks: dict[str, SinkSpec] = {}
        """What is at each host at which alerts end."""
        self._sink_tokens: dict[str, str] = {}
        self.gateway = Gateway(
            authority=self._authority,
            routes=self.routes,
            clients=self._passwords,
            log=RequestLog(folder.gateway_log, self._redactor),
        )

    def _secret(self) -> str:
        value = secrets.token_urlsafe(24)
        self._redactor.add(value)
        return value

    # -- what clusters need to know ------------------------------------------------------------------------------

    def way_out(self, cluster: ClusterBackend) -> WayOut:
        """How the controllers of a cluster reach the gateway, each with its own credentials."""
        proxy_url = {
            controller: self._proxy_url(f"{cluster.name}.{controller}", at=cluster.gateway(controller))
            for controller in CONTROLLERS
        }
        return WayOut(proxy_url=proxy_url, authorities=self._authorities())

    def _proxy_url(self, client: str, *, at: str) -> str:
        return f"http://{client}:{self._passwords[client]}@{at}"

    def _authorities(self) -> Path:
        known = bundle(self._authority.certificate_pem, allowed=self._spec.gateway.allow)
        return write_private(self._folder.pki / "authorities.pem", known)

    def sync(self, cluster: ClusterBackend) -> bootstrap.Sync:
        """What a cluster reconciles."""
        path = self._spec.cluster(cluster.name).path
        token = self.repository.token
        return bootstrap.Sync(repository=self._spec.repository, path=path, token=token, root=cluster.root)

    def receiver_token(self, cluster: ClusterBackend) -> str:
        """What signs the news of a push, where a cluster has a Receiver for it."""
        return "" if cluster.receiver_port is None else self._receiver_token

    # -- start and stop ------------------------------------------------------------------------------------------

    def start(self, clusters: Sequence[ClusterBackend], verbs: Verbs) -> None:
        """Serve everything. Raises FluxlabError when a port is taken."""
        self._prepare_repository(clusters)
        self._map_hosts()
        proxy_url = self._proxy_url(YOU, at=f"{LOOPBACK}:{self._gateway_port}")
        tell_way_out(self._folder, proxy_url=proxy_url, authorities=self._authorities())
        for cluster in clusters:
            self._connect_pushes(cluster)
        self._thread.start()
        self.run(self._listen(clusters, verbs))

    def _prepare_repository(self, clusters: Sequence[ClusterBackend]) -> None:
        self._git.subscribe(self._chronicle.pushed)
        new = self.repository.served_commit() is None
        if new and self.repository.used:
            return  # its branch was deleted: a new one with Flux alone would have Flux remove all else
        components = self._toolchain.flux_manifests.read_text()
        for cluster in clusters:
            version = f"v{self._toolchain.versions['flux'].removeprefix('v')}"
            bootstrap.commit_components(
                self.repository.path, self.sync(cluster), components=components, version=version
            )
        if new:
            self._chronicle.begin(self.repository)

    def _map_hosts(self) -> None:
        repository = self.repository
        for url in repository.urls:
            self.routes.mount(url, self._git.application(repository.name))
        for host in self._spec.gateway.allow:
            self.routes.allow(host)
        for charts in self._spec.charts:
            if not charts.url.startswith(OCI):
                self.serve_charts(charts.url)
        for url in chart_urls(self._folder):  # those added while an earlier supervisor ran
            self.serve_charts(url)
        for sink in self._spec.alerts:
            self.serve_sink(sink)
        for sink in TimelineFolder(self._folder).sinks():
            self.serve_sink(sink)

    def serve_charts(self, url: str) -> None:
        """Answer for the chart repository at a public URL, from its folder. From any thread; safe to repeat."""
        self._keep_from_sinks(url)
        if url not in self.charts:
            charts = ChartRepository(chart_place(self._folder, url))
            self.routes.mount(url, ChartServer(charts))  # first: what is refused must not be remembered
            chart_folder(self._folder, url)
            self.charts[url] = charts

    def serve_sink(self, sink: SinkSpec) -> None:
        """Answer for a public host at which alerts end. From any thread; safe to repeat.

        Raises UsageError for a host at which there is something else.
        """
        if self.sinks.get(sink.host) == sink:
            return
        if there := [url for url in self.routes.mapped() if host_of(url) == sink.host]:
            facts = [*there, *(f"as alerts: {one.kind}" for one in self.sinks.values() if one.host == sink.host)]
            hint = "give alerts a host at which nothing else is served"
            what = f"alerts ({sink.kind}) need a host of their own: {sink.host} is served"
            raise UsageError(what, facts=facts, hint=hint)
        self._redactor.hide_below(sink.host)  # first: no word of an address must come before it
        token = self._sink_token(sink.secret)
        self.routes.mount(f"https://{sink.host}", SINKS[sink.kind](sink.host, self._chronicle.alerted, token))
        write_private(self._folder.sinks / sink.host, sink.model_dump_json())
        self.sinks[sink.host] = sink

    def _sink_token(self, secret: str) -> str:
        """The token in a Secret that the lab makes; the same for all sinks that name it."""
        if secret and secret not in self._sink_tokens:
            self._sink_tokens[secret] = self._secret()
        return self._sink_tokens.get(secret, "")

    @property
    def sink_tokens(self) -> Mapping[str, str]:
        """The Secrets that the lab makes for sinks, NAMESPACE/NAME, and what their key token holds."""
        return dict(self._sink_tokens)

    def _keep_from_sinks(self, url: str) -> None:
        """Raises UsageError for a URL at whose host alerts end."""
        if sink := self.sinks.get(host_of(url)):
            raise UsageError(f"{url} cannot be served: alerts ({sink.kind}) end at {sink.host}", hint="another host")

    async def serve_registry(self, host: str) -> None:
        """Answer for an OCI registry at a public host. In the loop, whose thread lives as long as the lab."""
        self._keep_from_sinks(f"https://{host}")
        self.registry.start()
        self.routes.mount(f"https://{host}/v2", self.registry.application(host))
        make_private(self._folder.registry / "hosts" / host)
        await asyncio.to_thread(self.registry.await_answer)

    async def _serve_registries(self) -> None:
        wanted = {registry_host(charts.url) for charts in self._spec.charts if charts.url.startswith(OCI)}
        known = {path.name for path in self._folder.registry.glob("hosts/*")}  # from while an earlier supervisor ran
        for host in sorted(wanted | known | set(self._spec.registries)):
            await self.serve_registry(host)

    def repair(self) -> list[str]:
        """Start again what died, or has hung for a while; returns the names."""
        return [REGISTRY] if self.registry.trouble(timeout_seconds=PAUSE_SECONDS) and self.restart(REGISTRY) else []

    def restart(self, part: str) -> bool:
        """Stop and start the registry, if that is meant and it was ever started."""
        if part != REGISTRY or self.registry.process is None:
            return False

        async def start() -> None:  # in the loop, whose thread lives as long as the lab
            self.registry.start()

        self.registry.stop()
        self.run(start())
        self.registry.await_answer()
        return True

    def _connect_pushes(self, cluster: ClusterBackend) -> None:
        if (port := cluster.receiver_port) is None:
            self._git.subscribe(partial(self._ask_to_fetch, cluster))
            return
        path = bootstrap.receiver_path(self._receiver_token)
        webhook = Webhook(url=f"http://{LOOPBACK}:{port}{path}", token=self._receiver_token)
        self._webhooks.append(webhook)
        self._git.subscribe(webhook)

    @staticmethod
    async def _ask_to_fetch(cluster: ClusterBackend, push: Push) -> None:
        """The news of a push for a cluster whose notification-controller cannot be reached from here."""
        await asyncio.to_thread(bootstrap.request_fetch, cluster.api, cluster.root, push.time.isoformat())

    async def _listen(self, clusters: Sequence[ClusterBackend], verbs: Verbs) -> None:
        await self._serve_registries()
        through, direct = {LOOPBACK}, {LOOPBACK}
        for cluster in clusters:  # no door that no cluster needs
            (direct if cluster.root.lacks(Capability.MAPPED_HOSTS) else through).add(cluster.address)
        await self.gateway.start(port=self._gateway_port, addresses=sorted(through))
        for address in sorted(direct):
            self._servers.append(await serve(self._git, bind_address(address, self._git_port)))
        for door in (door for cluster in clusters for door in cluster.doors()):
            self._servers.append(await serve(door.app, bind_loopback(door.port), tls=door.tls))
        self._servers.append(await serve(control_app(verbs), self._control_socket()))

    def _control_socket(self) -> socket.socket:
        self._folder.control_socket.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.settimeout(0)
        mask = os.umask(0o177)
        try:
            bound.bind(self._doors.enter_context(socket_address(self._folder.control_socket)))
        finally:
            os.umask(mask)
        return bound

    def run(self, work: Coroutine[object, object, T]) -> T:
        """Have the loop do some work and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def stop(self) -> None:
        """End all servers; also half-started ones. What one of them raises is raised when all is done."""
        with ExitStack() as last:
            last.callback(self._folder.control_socket.unlink, missing_ok=True)
            last.enter_context(self._doors)
            last.callback(self.registry.release)
            last.callback(self._end_loop)
            self.registry.stop()  # while the thread that started it lives

    def _end_loop(self) -> None:
        if not self._thread.is_alive():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=STOP_TIMEOUT_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT_SECONDS)

    async def _end(self) -> None:
        await self._git.stop()
        await asyncio.gather(
            self.gateway.stop(),
            *(server.stop(grace_seconds=0.2) for server in self._servers),
            *(webhook.close() for webhook in self._webhooks),
            self.registry.close(),
        )

    # -- what is told of them ------------------------------------------------------------------------------------

    @property
    def clone_url(self) -> str:
        """Where the repository is reached on this machine."""
        return f"http://{LOOPBACK}:{self._git_port}/{self.repository.name}.git"

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports of the gateway and the git server."""
        return {"git": self._git_port, "gateway": self._gateway_port}

    def deliveries(self) -> list[Delivery]:
        """How the news of the newest push fared at each cluster's Receiver."""
        return [delivery for webhook in self._webhooks for delivery in webhook.deliveries]
