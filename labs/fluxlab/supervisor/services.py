"""What a lab serves from within its supervisor: gateway, git, charts, kubelets and the control socket, in one loop."""

import asyncio
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from fluxlab.clusters.flux_controllers import CONTROLLERS, WayOut
from fluxlab.clusters.kubelet import Kubelet
from fluxlab.clusters.local import LocalCluster
from fluxlab.files import write_private
from fluxlab.flux import bootstrap
from fluxlab.gateway import Gateway, RequestLog, Routes
from fluxlab.host import socket_address
from fluxlab.pki import Authority
from fluxlab.ports import Ports
from fluxlab.redaction import Redactor
from fluxlab.servers.chart_server import ChartServer
from fluxlab.servers.charts import ChartRepository
from fluxlab.servers.git import GitServer
from fluxlab.servers.git_repositories import GitRepositories, GitRepository
from fluxlab.servers.http import HttpServer, bind_loopback, serve
from fluxlab.servers.webhook import Delivery, Webhook
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.toolchain import Toolchain

from .charts import chart_folder
from .control_app import Verbs, control_app

T = TypeVar("T")
STOP_TIMEOUT_SECONDS = 5


class Services:
    """The servers of a lab, in a thread with one event loop. Called from the main thread, except where noted."""

    def __init__(self, *, folder: LabFolder, spec: LabSpec, toolchain: Toolchain, ports: Ports) -> None:
        self._folder = folder
        self._spec = spec
        self._toolchain = toolchain
        self._doors = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services", daemon=True)
        self._servers: list[HttpServer] = []
        self._redactor = Redactor()
        self._authority = Authority(folder.pki)
        self._receiver_token = self._secret()
        self._passwords = {
            f"{cluster.name}.{controller}": self._secret() for cluster in spec.clusters for controller in CONTROLLERS
        }
        self._listeners = self._reserve(ports)
        self._git = GitServer(GitRepositories(folder.repositories, redactor=self._redactor))
        self._webhooks: list[Webhook] = []
        self.routes = Routes()
        self.charts: dict[str, ChartRepository] = {}
        self._gateway = Gateway(
            authority=self._authority,
            routes=self.routes,
            clients=self._passwords,
            log=RequestLog(folder.gateway_log, self._redactor),
        )

    def _secret(self) -> str:
        value = secrets.token_urlsafe(24)
        self._redactor.add(value)
        return value

    def _reserve(self, ports: Ports) -> dict[str, int]:
        """Ports that stay the same when a lab is resumed: clones on this machine remember them."""
        return {name: ports.reserve(name) for name in ("git", "gateway")}

    # -- what clusters need to know ------------------------------------------------------------------------------

    def way_out(self, cluster: str) -> WayOut:
        """How the controllers of a cluster reach the gateway, each with its own credentials."""
        return WayOut(
            proxy_url={
                controller: f"http://{cluster}.{controller}:{self._passwords[f'{cluster}.{controller}']}"
                f"@127.0.0.1:{self._listeners['gateway']}"
                for controller in CONTROLLERS
            },
            authorities=self._authorities(),
        )

    def _authorities(self) -> Path:
        """The gateway's authority and, for hosts that are allowed through, the system's."""
        bundle = self._folder.pki / "authorities.pem"
        system = ssl.get_default_verify_paths().cafile
        known = Path(system).read_bytes() if system and self._spec.gateway.allow else b""
        return write_private(bundle, known + self._authority.certificate_pem)

    @property
    def repository(self) -> GitRepository:
        """The repository that the lab's clusters reconcile."""
        spec = self._spec.repository
        return self._git.repositories.create(spec.name, url=spec.url, branch=spec.branch)

    def sync(self, cluster: str) -> bootstrap.Sync:
        """What a cluster reconciles."""
        path = self._spec.cluster(cluster).path
        return bootstrap.Sync(repository=self._spec.repository, path=path, token=self.repository.token)

    @property
    def receiver_token(self) -> str:
        """What signs the news of a push."""
        return self._receiver_token

    # -- start and stop ------------------------------------------------------------------------------------------

    def start(self, clusters: list[LocalCluster], verbs: Verbs) -> None:
        """Serve everything. Raises FluxlabError when a port is taken."""
        self._prepare_repository()
        self._map_hosts()
        for cluster in clusters:
            self._connect_pushes(cluster)
        self._thread.start()
        self.run(self._listen(clusters, verbs))

    def _prepare_repository(self) -> None:
        components = self._toolchain.flux_manifests.read_text()
        for cluster in self._spec.clusters:
            version = f"v{self._toolchain.versions['flux'].removeprefix('v')}"
            bootstrap.commit_components(
                self.repository.path, self.sync(cluster.name), components=components, version=version
            )

    def _map_hosts(self) -> None:
        repository = self.repository
        for url in repository.urls:
            self.routes.mount(url, self._git.application(repository.name))
        for host in self._spec.gateway.allow:
            self.routes.allow(host)
        for charts in self._spec.charts:
            self.serve_charts(charts.url)
        for folder in sorted(self._folder.charts.glob("*/url")):  # those added while an earlier supervisor ran
            self.serve_charts(folder.read_text())

    def serve_charts(self, url: str) -> None:
        """Answer for the chart repository at a public URL, from its folder. From any thread; safe to repeat."""
        if url not in self.charts:
            self.charts[url] = ChartRepository(chart_folder(self._folder, url))
            self.routes.mount(url, ChartServer(self.charts[url]))

    def _connect_pushes(self, cluster: LocalCluster) -> None:
        path = bootstrap.receiver_path(self._receiver_token)
        webhook = Webhook(
            url=f"http://127.0.0.1:{cluster.flux_ports.receiver}{path}",
            token=self._receiver_token,
        )
        self._webhooks.append(webhook)
        self._git.subscribe(webhook)

    async def _listen(self, clusters: list[LocalCluster], verbs: Verbs) -> None:
        await self._gateway.start(port=self._listeners["gateway"])
        self._servers.append(await serve(self._git, bind_loopback(self._listeners["git"])))
        for cluster in clusters:
            bound = bind_loopback(cluster.kubelet_port)
            self._servers.append(await serve(Kubelet(logs=cluster.controller_logs()), bound, tls=cluster.kubelet_tls()))
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
        """End all servers; also half-started ones."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=STOP_TIMEOUT_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_TIMEOUT_SECONDS)
        self._doors.close()
        self._folder.control_socket.unlink(missing_ok=True)

    async def _end(self) -> None:
        await self._git.stop()
        await asyncio.gather(
            self._gateway.stop(),
            *(server.stop(grace_seconds=0.2) for server in self._servers),
            *(webhook.close() for webhook in self._webhooks),
        )

    # -- what is told of them ------------------------------------------------------------------------------------

    @property
    def clone_url(self) -> str:
        """Where the repository is reached on this machine."""
        return f"http://127.0.0.1:{self._listeners['git']}/{self.repository.name}.git"

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports of the gateway and the git server."""
        return self._listeners

    def deliveries(self) -> list[Delivery]:
        """How the news of the newest push fared at each cluster's Receiver."""
        return [delivery for webhook in self._webhooks for delivery in webhook.deliveries]
