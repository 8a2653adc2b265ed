"""The `local` backend: a control plane and Flux's controllers as processes on loopback, pods simulated by KWOK."""

import shutil
import ssl
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fluxlab.ports import LOOPBACK, Ports
from fluxlab.processes import ProcessGroup
from fluxlab.spec import ClusterSpec
from fluxlab.state import PLANTED
from fluxlab.toolchain import Toolchain
from fluxlab.waiting import wait_until

from . import etcd_data
from .addresses import readdress
from .api import ApiError, KubeApi
from .base import ComponentStatus, Door, MainThread
from .control_plane import ADMINISTRATORS, ControlPlaneFiles
from .flux_components import install, read_manifests
from .flux_controllers import CONTROLLERS, NAMESPACE, WayOut
from .following import Following
from .kubeconfig import read_kubeconfig
from .links import Link
from .nodes import create_nodes
from .objects import KubeObject
from .programs import API_SERVER, CONTROL_PLANE, ETCD, LINK_PROXY, PROGRAMS, SERVERS, WORKERS, Programs
from .resources import CONFIG_MAP, DEPLOYMENT, FLUX_RESOURCES, GIT_REPOSITORY, SECRET, Resource
from .root import Root
from .seed import Seed
from .wiring import Wiring

SEED_FORMAT = "4"
API_TIMEOUT_SECONDS = 60
SERVING_SECONDS = 10
"""For an API server that has served before."""
ANSWER_SECONDS = 5
"""For one answer: an API server that is a second late at etcd asks it several things, one after the other."""
ACTING_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.025


class LocalCluster:
    """One cluster of a lab on the `local` backend. Driven from the supervisor's main thread."""

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        folder: Path,
        toolchain: Toolchain,
        processes: ProcessGroup,
        ports: Ports,
        gateway_port: int,
        links: bool,
        main_thread: MainThread,
    ) -> None:
        """With `links` the hops between its parts, and to the gateway, lead through toxiproxy."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = spec.name
        self.root = Root()
        self.patience_seconds = float(ACTING_TIMEOUT_SECONDS)
        self.address = LOOPBACK
        self._spec = spec
        self._main_thread = main_thread
        self._following: Following | None = None
        self._toolchain = toolchain
        self._files = ControlPlaneFiles(folder, name=spec.name)
        self._wiring = Wiring(spec.name, ports, gateway_port=gateway_port, links=links)
        self._programs = Programs(
            spec.name,
            folder=folder,
            files=self._files,
            wiring=self._wiring,
            toolchain=toolchain,
            processes=processes,
        )
        self.kubeconfig = self._files.kubeconfig(
            "admin", port=self._wiring.control_plane.api, group=ADMINISTRATORS, file=folder / "kubeconfig"
        )
        # As long as its start: until then an API server that is not ready for everything is no trouble.
        self.api = KubeApi(read_kubeconfig(self.kubeconfig), busy_seconds=API_TIMEOUT_SECONDS)
        self._seed = Seed(key=f"{toolchain.key}-{SEED_FORMAT}", etcdutl=toolchain.binary("etcdutl"))
        self._snapshot = folder / PLANTED
        self._loaded = folder / "etcd-loaded"
        self._installed = folder / "flux-installed"
        self._owed: frozenset[str] = frozenset()
        """Who has lost a server and was not started anew yet."""
        self.resumed = False
        """Whether it began with data of its own, or of a snapshot."""

    # -- start -------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start etcd and the API server, from the cluster's own data, else from a seed, else empty."""
        data = self._programs.data
        self.resumed = self._installed.exists()
        if self._loaded.exists():  # by a supervisor that was killed meanwhile
            self._take_loaded()
        if self._snapshot.exists():
            self._plant_snapshot(data)
        elif not self.resumed:
            shutil.rmtree(data, ignore_errors=True)  # half-made by a start that was killed
            if self._seed.plant(data, self._wiring.control_plane):
                self._installed.touch()
        self._programs.start(ETCD)
        if self._wiring.links.enabled:
            self._programs.start(LINK_PROXY)
        self._programs.start(API_SERVER)

    def _plant_snapshot(self, data: Path) -> None:
        """Begin with what another lab held: from here on it is as if this one were resumed."""
        shutil.rmtree(data, ignore_errors=True)
        peer_url = f"https://127.0.0.1:{self._wiring.control_plane.etcd_peer}"
        etcd_data.plant(self._snapshot, data, peer_url=peer_url, etcdutl=self._toolchain.binary("etcdutl"))
        self._installed.touch()
        self._snapshot.unlink()
        self.resumed = True

    def _take_loaded(self) -> None:
        """Have etcd begin with data that somebody else prepared."""
        shutil.rmtree(self._programs.data, ignore_errors=True)
        self._loaded.replace(self._programs.data)

    def await_api(self) -> None:
        """Wait for the API to serve Kubernetes' and Flux's resources; without a seed, install Flux and make one."""
        self._await_paths("/api/v1", "/apis/apps/v1")
        if self.resumed:
            # Its data may hold an alarm: etcd would take no write, and no lab could start. One that is really full
            # raises it again.
            etcd_data.api_of(self._files, self._wiring.control_plane).disarm()
        if self._installed.exists():
            # It names the authority of the lab that made the seed; the API server writes its own at once.
            self._ignore_missing(CONFIG_MAP, "extension-apiserver-authentication", namespace="kube-system")
        else:
            text = self._toolchain.flux_manifests.read_text()
            install(self.api, read_manifests(text), what=f"cluster {self.name}", check=self._programs.check)
        self._await_discovery()
        if not self._installed.exists():
            # Only now: a definition that is seeded before it is established never becomes so, and what the API server
            # itself writes at its first start (roles, priorities) is then in the seed.
            self._await_paths("/readyz")
            self._seed.take(self._files, self._wiring.control_plane)
            self._installed.touch()

    def _await_discovery(self) -> None:
        """Wait until a Flux controller would find all that it looks for: it exits when a kind or a right is missing."""
        wanted = {resource.path() for resource in FLUX_RESOURCES}
        missing = wanted

        def served() -> bool:
            nonlocal missing
            self._programs.check()
            try:
                missing = wanted - api.discover()
                return not missing and api.healthy(GIT_REPOSITORY.path())
            except ApiError:
                return False  # RBAC does not know the controller's rights yet

        with KubeApi(read_kubeconfig(self._programs.kubeconfig_of("source-controller"))) as api:
            wait_until(
                served,
                what=f"cluster {self.name}: the API server serves Flux's resources to its controllers",
                timeout_seconds=API_TIMEOUT_SECONDS,
                state=lambda: f"missing: {', '.join(sorted(missing)) or 'the right to list'}",
                interval_seconds=POLL_SECONDS,
            )

    def _await_paths(
        self, *paths: str, needed: Sequence[str] = (), timeout_seconds: float = API_TIMEOUT_SECONDS
    ) -> None:
        """Raises WaitTimeoutError, and ProcessDiedError when one of what is needed is dead: of all, unless told."""

        def served() -> bool:
            self._main_thread.meanwhile()
            self._programs.check(*needed)
            return all(self.api.healthy(path, timeout_seconds=ANSWER_SECONDS) for path in paths)

        wait_until(
            served,
            what=f"cluster {self.name}: the API server serves {', '.join(sorted(paths))}",
            timeout_seconds=timeout_seconds,
            interval_seconds=POLL_SECONDS,
            hint=f"less {self._programs.log(API_SERVER)}",
        )

    def _ignore_missing(self, resource: Resource, name: str, *, namespace: str) -> None:
        if self.api.find(resource, name, namespace=namespace):
            self.api.delete(resource, name, namespace=namespace)

    def start_flux(self, way_out: WayOut) -> None:
        """Start Flux's controllers, each as its Deployment wants it, and warm the lists that they begin with."""
        self._programs.use_way_out(way_out)
        with ThreadPoolExecutor(16) as pool:
            lists = [pool.submit(self._warm, resource) for resource in (*FLUX_RESOURCES, SECRET, CONFIG_MAP)]
            if self.resumed:
                readdress(self.api, f"127.0.0.1:{self._wiring.artifacts()}")
            for deployment in sorted(self.api.list(DEPLOYMENT, namespace=NAMESPACE), key=_start_order):
                self._programs.follow(deployment)
            for future in lists:
                future.result()
        self._following = Following(
            self.api,
            changed=lambda deployment: self._main_thread.call(lambda: self._programs.follow(deployment)),
            deleted=lambda deployment: self._main_thread.call(lambda: self._programs.forget(deployment)),
        )
        self._following.start()

    def _warm(self, resource: Resource) -> None:
        # The first LIST of a resource finds the API server's storage for it not ready and is told to come back
        # after a second, twice: asked here in parallel, the controllers' informers find it ready.
        self.api.list(resource, query={"resourceVersion": "0", "limit": "1"})

    def start_workers(self) -> None:
        """Start what makes Deployments into running pods: controllers, the scheduler, KWOK and its nodes."""
        # On a busy machine the API server's roles alone take more than 10 s (`poststarthook/rbac/bootstrap-roles`).
        self._await_paths("/readyz")
        for name in WORKERS:
            self._programs.start(name)
        create_nodes(self.api, self.name, count=self._spec.nodes, kubelet_port=self._wiring.kubelet)

    # -- while it runs -----------------------------------------------------------------------------------------

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""
        return self._programs.wants(controller)

    def save_state(self, target: Path, *, leave_out: Sequence[str]) -> None:
        """Write what etcd holds now, without some Secrets (NAMESPACE/NAME). From a thread that may wait."""
        etcd_data.save_without(
            self._files,
            self._wiring.control_plane,
            target,
            keys=[f"/registry/secrets/{place}" for place in leave_out],
            etcd=self._toolchain.binary("etcd"),
            etcdutl=self._toolchain.binary("etcdutl"),
        )

    def restart(self, component: str) -> None:
        """Stop and start one component, and whoever had to do without it.

        Raises UsageError on an unknown name, and ProcessDiedError or WaitTimeoutError when the API does not serve.
        """
        self._programs.expect(component)
        self._start_anew(self._after(component) | {component})

    def repair(self, *, held: Collection[str] = ()) -> Sequence[str]:
        """Start again what died or is paused, unless it is held, and what had to do without it; returns the former."""
        broken = self._programs.broken(held=held)
        if ETCD in broken and self._loaded.exists():  # it was stopped for data that it did not get
            self._take_loaded()
        self._start_anew(self._after(*broken).union(self._owed, broken))
        return broken

    def load_state(self, data: Path) -> None:
        """Have etcd go on with other data, whose folder is taken, and start anew whoever knows what was."""
        data.replace(self._loaded)  # from here on also a start that follows a crash goes on with it
        with self._programs.changing():
            self._programs.stop(API_SERVER, ETCD, grace_seconds=0)
            self._take_loaded()
            self._start_anew(self._after(ETCD) | {ETCD})

    def _after(self, *programs: str) -> frozenset[str]:
        """Who is started anew after these are.

        Who has lost a server tries again after pauses that grow to a minute (client-go's reflectors, the API server's
        connections to etcd), and KWOK never (kwok 0.8, `shouldRetry`).
        """
        lost = SERVERS.intersection(programs)
        return frozenset({API_SERVER, *WORKERS, *CONTROLLERS}) if lost else frozenset()

    def _start_anew(self, programs: frozenset[str]) -> None:
        """Start programs anew, in their order. With who has lost a server by that, the next `repair` goes on.

        Whoever asks the API ends when it does not answer: kube-controller-manager after 10 s (its WaitForAPIServer),
        KWOK after 15 s (its waitForReady), a Flux controller at once (controller-runtime's IndexField).
        """
        self._owed |= self._after(*programs)
        for program in filter(programs.__contains__, self._programs.names):
            if program not in SERVERS:
                self._await_paths("/healthz", needed=CONTROL_PLANE, timeout_seconds=SERVING_SECONDS)
            if program not in CONTROLLERS or self.wants(program):
                self._programs.restart(program)
            if program == API_SERVER:
                self._await_paths("/readyz", needed=CONTROL_PLANE)
            self._owed -= {program}

    def stop(self) -> None:
        """End everything in order. The API server keeps nothing but what etcd has: it need not take its time."""
        if self._following:
            self._following.stopping.set()
        self._programs.stop(*CONTROLLERS, *WORKERS, grace_seconds=0.3)
        self._programs.stop(API_SERVER, grace_seconds=0)
        self._programs.stop(ETCD, LINK_PROXY, grace_seconds=1)
        self.api.close()

    def abort(self) -> None:
        """Have a start fail at once instead of waiting for what will not come. From any thread."""
        self._programs.kill_api_server()

    # -- what others need to know ------------------------------------------------------------------------------

    def components(self) -> Sequence[ComponentStatus]:
        """The state of each process."""
        return self._programs.status()

    def process_name(self, component: str) -> str:
        """The name under which a component's process is known in the lab."""
        return self._programs.process_name(component)

    def links(self) -> Sequence[Link]:
        """The links of its parts; none unless the lab has links."""
        return self._wiring.links.all()

    def gateway(self, controller: str) -> str:
        """HOST:PORT at which a controller reaches the gateway."""
        return f"{LOOPBACK}:{self._wiring.gateway(controller)}"

    @property
    def receiver_port(self) -> int:
        """Where the news of pushes goes."""
        return self._wiring.receiver()

    def doors(self) -> Sequence[Door]:
        """The kubelet endpoint of every node."""
        from .kubelet import Kubelet  # noqa: PLC0415 # its library loads while the API server does

        logs = {name: self._programs.log(name) for name in CONTROLLERS}
        return [Door(app=Kubelet(logs=logs), port=self._wiring.kubelet, tls=self._kubelet_tls())]

    def _kubelet_tls(self) -> ssl.SSLContext:
        """The kubelet endpoint's side of mutual TLS: only this cluster's API server gets in."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._files.authority))
        context.load_cert_chain(self._files.kubelet.certificate, self._files.kubelet.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def _start_order(deployment: KubeObject) -> int:
    """The order of PROGRAMS: what is fetched first is applied first."""
    return PROGRAMS.index(deployment.name) if deployment.name in PROGRAMS else len(PROGRAMS)
