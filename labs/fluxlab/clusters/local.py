"""The `local` backend: a control plane and Flux's controllers as processes on loopback, pods simulated by KWOK."""

import shutil
import signal
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path

from fluxlab.errors import UsageError
from fluxlab.files import make_private
from fluxlab.ports import Ports
from fluxlab.processes import ProcessGroup
from fluxlab.spec import ClusterSpec
from fluxlab.toolchain import Platform, Toolchain
from fluxlab.waiting import wait_until

from . import control_plane, etcd_data, flux_controllers
from .addresses import readdress
from .api import ApiError, KubeApi
from .base import ComponentStatus
from .control_plane import ADMINISTRATORS, ControlPlaneFiles, ControlPlanePorts
from .flux_components import install, read_manifests
from .flux_controllers import CONTROLLERS, NAMESPACE, ControllerPorts, FluxPorts, Wanted, WayOut, artifacts_port
from .kubeconfig import read_kubeconfig
from .links import Links
from .objects import JsonObject, KubeObject
from .resources import CONFIG_MAP, DEPLOYMENT, FLUX_RESOURCES, GIT_REPOSITORY, NODE, SECRET, Resource
from .seed import Seed

STAGES = Path(__file__).parent / "stages.yaml"
SEED_FORMAT = "4"
API_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.025
CONTROL_PLANE = ("etcd", "kube-apiserver")
KWOK = "kwok"
WORKERS = ("kube-controller-manager", "kube-scheduler", KWOK)
LINK_PROXY = "toxiproxy"
COMPONENTS = (LINK_PROXY, *CONTROL_PLANE, *WORKERS, *CONTROLLERS)
"""In the order in which they start; the first only in a lab with links."""
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


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
    ) -> None:
        """With `links` the hops between its parts, and to the gateway, lead through toxiproxy."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = spec.name
        self._spec = spec
        self._folder = folder
        self._toolchain = toolchain
        self._processes = processes
        self._reservations = ports
        self._files = ControlPlaneFiles(folder, name=spec.name)
        self._ports = ControlPlanePorts.reserve(ports, self.name)
        self.flux_ports = FluxPorts.reserve(ports, self.name)
        self._own_ports = {
            name: ControllerPorts(
                health=ports.reserve(f"{self.name}/{name}/health"), metrics=ports.reserve(f"{self.name}/{name}/metrics")
            )
            for name in CONTROLLERS
        }
        self.links = Links(enabled=links, reserve=lambda name: ports.reserve(f"{self.name}/{name}"))
        self.kubelet_port = ports.reserve(f"{self.name}/kubelet")
        self._gateway_port = gateway_port
        self._declare_links()
        self.kubeconfig = self._files.kubeconfig(
            "admin", port=self._ports.api, group=ADMINISTRATORS, file=folder / "kubeconfig"
        )
        self.api = KubeApi(read_kubeconfig(self.kubeconfig))
        self._seed = Seed(key=f"{toolchain.key}-{SEED_FORMAT}", etcdutl=toolchain.binary("etcdutl"))
        self._installed = folder / "flux-installed"
        self.resumed = False
        """Whether it began with data of its own, or of a snapshot."""
        self._controllers: dict[str, Wanted] = {}
        self._way_out: WayOut | None = None

    def _declare_links(self) -> None:
        """Name all hops: toxiproxy begins with them."""
        self.links.port("api", "etcd", self._ports.etcd)
        for consumer in (*WORKERS, *CONTROLLERS):
            self.api_port(consumer)
        for controller in CONTROLLERS:
            self.gateway_port(controller)
            if controller != "notification-controller":
                self.links.port(controller, "events", self.flux_ports.events)
        artifacts_port(self.flux_ports, self.links)
        self.receiver_port()

    def api_port(self, consumer: str) -> int:
        """Where a consumer reaches the API."""
        return self.links.port(consumer, "api", self._ports.api)

    def gateway_port(self, controller: str) -> int:
        """Where a controller reaches the gateway."""
        return self.links.port(controller, "gateway", self._gateway_port)

    def receiver_port(self) -> int:
        """Where the news of pushes goes."""
        return self.links.port("pushes", "receiver", self.flux_ports.receiver)

    # -- start -------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start etcd and the API server, from the cluster's own data, else from a seed, else empty."""
        data = self._folder / "etcd"
        self.resumed = self._installed.exists()
        if self.snapshot.exists():
            self._plant_snapshot(data)
        elif not self.resumed:
            shutil.rmtree(data, ignore_errors=True)  # half-made by a start that was killed
            if self._seed.plant(data, self._ports):
                self._installed.touch()
        self._start("etcd", control_plane.etcd(self._files, self._ports, data=data))
        self._start_links()
        self._start("kube-apiserver", control_plane.api_server(self._files, self._ports, links=self.links))

    def _plant_snapshot(self, data: Path) -> None:
        """Begin with what another lab held: from here on it is as if this one were resumed."""
        shutil.rmtree(data, ignore_errors=True)
        peer_url = f"https://127.0.0.1:{self._ports.etcd_peer}"
        etcd_data.plant(self.snapshot, data, peer_url=peer_url, etcdutl=self._toolchain.binary("etcdutl"))
        self._installed.touch()
        self.snapshot.unlink()
        self.resumed = True

    @property
    def snapshot(self) -> Path:
        """Where a cluster that is restored finds its etcd's data."""
        return self._folder / "snapshot.db"

    def save_state(self, target: Path, *, leave_out: Sequence[str]) -> None:
        """Write what etcd holds now, without some Secrets of flux-system. From a thread that may wait."""
        raw = target.with_suffix(".raw")
        scratch = target.with_suffix(".scratch")
        try:
            etcd_data.save(self._files, self._ports, raw)
            cleaned = etcd_data.without(
                raw,
                [f"/registry/secrets/{NAMESPACE}/{name}" for name in leave_out],
                etcd=self._toolchain.binary("etcd"),
                etcdutl=self._toolchain.binary("etcdutl"),
                scratch=scratch,
            )
            cleaned.replace(target)
        finally:
            raw.unlink(missing_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)

    def await_api(self) -> None:
        """Wait for the API to serve Kubernetes' and Flux's resources; without a seed, install Flux and make one."""
        self._await_paths("/api/v1", "/apis/apps/v1")
        if self._installed.exists():
            # It names the authority of the lab that made the seed; the API server writes its own at once.
            self._ignore_missing(CONFIG_MAP, "extension-apiserver-authentication", namespace="kube-system")
        else:
            text = self._toolchain.flux_manifests.read_text()
            install(self.api, read_manifests(text), what=f"cluster {self.name}", check=self._processes.check)
        self._await_discovery()
        if not self._installed.exists():
            # Only now: a definition that is seeded before it is established never becomes so, and what the API server
            # itself writes at its first start (roles, priorities) is then in the seed.
            self._await_paths("/readyz")
            self._seed.take(self._files, self._ports)
            self._installed.touch()

    def _await_discovery(self) -> None:
        """Wait until a Flux controller would find all that it looks for: it exits when a kind or a right is missing."""
        wanted = {resource.path() for resource in FLUX_RESOURCES}
        missing = wanted

        def served() -> bool:
            nonlocal missing
            try:
                missing = wanted - api.discover()
                return self._checked(result=not missing and api.healthy(GIT_REPOSITORY.path()))
            except ApiError:
                return self._checked(result=False)  # RBAC does not know the controller's rights yet

        with KubeApi(read_kubeconfig(self._kubeconfig_of("source-controller"))) as api:
            wait_until(
                served,
                what=f"cluster {self.name}: the API server serves Flux's resources to its controllers",
                timeout_seconds=API_TIMEOUT_SECONDS,
                state=lambda: f"missing: {', '.join(sorted(missing)) or 'the right to list'}",
                interval_seconds=POLL_SECONDS,
            )

    def _await_paths(self, *paths: str) -> None:
        def served() -> bool:
            self._processes.check(*map(self.process_name, CONTROL_PLANE))
            return all(self.api.healthy(path) for path in paths)

        wait_until(
            served,
            what=f"cluster {self.name}: the API server serves {', '.join(sorted(paths))}",
            timeout_seconds=API_TIMEOUT_SECONDS,
            interval_seconds=POLL_SECONDS,
            hint=f"less {self._log('kube-apiserver')}",
        )

    def _checked(self, *, result: bool) -> bool:
        self._processes.check()
        return result

    def _ignore_missing(self, resource: Resource, name: str, *, namespace: str) -> None:
        if self.api.find(resource, name, namespace=namespace):
            self.api.delete(resource, name, namespace=namespace)

    def start_flux(self, way_out: WayOut) -> None:
        """Start Flux's controllers, each as its Deployment wants it, and warm the lists that they begin with."""
        self._way_out = way_out
        with ThreadPoolExecutor(16) as pool:
            lists = [pool.submit(self._warm, resource) for resource in (*FLUX_RESOURCES, SECRET, CONFIG_MAP)]
            if self.resumed:
                readdress(self.api, f"127.0.0.1:{artifacts_port(self.flux_ports, self.links)}")
            for deployment in sorted(self.api.list(DEPLOYMENT, namespace=NAMESPACE), key=_start_order):
                self.follow(deployment)
            for future in lists:
                future.result()

    def start_workers(self) -> None:
        """Start what makes Deployments into running pods: controllers, the scheduler, KWOK and its nodes."""
        for name in WORKERS:
            self._start_worker(name)
        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(self._create_node, range(self._spec.nodes)):
                pass

    def _warm(self, resource: Resource) -> None:
        # The first LIST of a resource finds the API server's storage for it not ready and is told to come back
        # after a second, twice: asked here in parallel, the controllers' informers find it ready.
        self.api.list(resource, query={"resourceVersion": "0", "limit": "1"})

    def _create_node(self, number: int) -> None:
        name = f"{self.name}-node-{number}"
        manifest: JsonObject = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake", "fluxlab.dev/simulated": "kwok"},
                "labels": {
                    "kubernetes.io/hostname": name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": Platform.native().architecture,
                    "type": "kwok",
                },
            },
        }
        try:
            self.api.create(NODE, manifest)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            # A resumed cluster has its nodes, which know where their kubelet was.
            status: JsonObject = {"daemonEndpoints": {"kubeletEndpoint": {"Port": self.kubelet_port}}}
            self.api.merge(NODE, name, {"status": status}, subresource="status")

    def controller_logs(self) -> dict[str, Path]:
        """The log file of each Flux controller."""
        return {name: self._log(name) for name in CONTROLLERS}

    def kubelet_tls(self) -> ssl.SSLContext:
        """The kubelet endpoint's side of mutual TLS: only this cluster's API server gets in."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self._files.authority))
        context.load_cert_chain(self._files.kubelet.certificate, self._files.kubelet.key)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    # -- processes ---------------------------------------------------------------------------------------------

    def _log(self, name: str) -> Path:
        return self._folder / "logs" / f"{name}.log"

    def process_name(self, component: str) -> str:
        """The name under which a component's process is known in the lab."""
        return f"{self.name}/{component}"

    def _start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._processes.start(
            self.process_name(name),
            [self._toolchain.binary(name), *argv],
            log=self._log(name),
            environment=environment if environment is not None else {"PATH": SYSTEM_PATH, "HOME": str(self._folder)},
            cwd=cwd,
        )

    def _start_links(self) -> None:
        if not self.links.enabled:
            return
        folder = make_private(self._folder / "links")
        socket = folder / "toxiproxy.sock"
        socket.unlink(missing_ok=True)
        config = self.links.write_config(folder / "links.json")
        # From its folder: the socket's whole path may be longer than the kernel takes.
        self._start(LINK_PROXY, control_plane.link_proxy(socket=socket, config=config), cwd=folder)

    def _start_worker(self, name: str) -> None:
        if name == "kube-controller-manager":
            self._start(name, control_plane.controller_manager(self._files, self._ports, links=self.links))
        elif name == "kube-scheduler":
            self._start(name, control_plane.scheduler(self._files, self._ports, links=self.links))
        else:
            argv = control_plane.kwok(
                self._files, self._ports, links=self.links, stages=STAGES, kubelet_port=self.kubelet_port
            )
            self._start(name, argv)

    def follow(self, deployment: KubeObject) -> None:
        """Make a Flux controller's process what its Deployment now asks for."""
        name = deployment.name
        if name not in CONTROLLERS:
            return
        now, before = flux_controllers.wanted(deployment), self._controllers.get(name)
        self._controllers[name] = now
        if before == now:
            return
        self._processes.stop(self.process_name(name))
        if now.running:
            self._start_controller(name)

    def forget(self, deployment: KubeObject) -> None:
        """End the process of a Flux controller whose Deployment was deleted."""
        if self._controllers.pop(deployment.name, None):
            self._processes.stop(self.process_name(deployment.name))

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""
        now = self._controllers.get(controller)
        return now is not None and now.running

    def _start_controller(self, name: str) -> None:
        now = self._controllers[name]
        if self._way_out is None:
            raise AssertionError("start_flux comes first")
        scratch = self._folder / "scratch" / name
        storage = self._folder / "artifacts"
        for folder in (scratch, storage):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._start(
            name,
            flux_controllers.arguments(
                name,
                now.arguments,
                flux=self.flux_ports,
                own=self._own_ports[name],
                storage=storage,
                links=self.links,
            ),
            environment=flux_controllers.environment(
                name,
                now.environment,
                kubeconfig=self._kubeconfig_of(name),
                scratch=scratch,
                way_out=self._way_out,
                path=SYSTEM_PATH,
            ),
        )

    def _kubeconfig_of(self, controller: str) -> Path:
        # The name of its service account, so that RBAC and the audit log are as in a real cluster.
        return self._files.kubeconfig(f"system:serviceaccount:{NAMESPACE}:{controller}", port=self.api_port(controller))

    def restart(self, component: str) -> None:
        """Stop and start one component. Raises UsageError on an unknown name."""
        if component not in self._parts:
            facts = [f"it has {', '.join(self._parts)}"]
            raise UsageError(f"cluster {self.name} has no component {component!r}", facts=facts)
        if component in CONTROLLERS and not self.wants(component):
            hint = f"kubectl -n {NAMESPACE} scale deployment {component} --replicas=1"
            raise UsageError(f"{component} of cluster {self.name} is scaled to 0", hint=hint)
        self._processes.stop(self.process_name(component), grace_seconds=2)
        if component == LINK_PROXY:
            self._start_links()
        elif component == "etcd":
            self._start(component, control_plane.etcd(self._files, self._ports, data=self._folder / "etcd"))
        elif component == "kube-apiserver":
            self._start(component, control_plane.api_server(self._files, self._ports, links=self.links))
        elif component in WORKERS:
            self._start_worker(component)
        else:
            self._start_controller(component)

    def repair(self) -> Sequence[str]:
        """Start again what died; returns the components' names."""
        prefix = f"{self.name}/"
        names = [process.name for process in self._processes.dead() if process.name.startswith(prefix)]
        dead = sorted((name.removeprefix(prefix) for name in names), key=COMPONENTS.index)
        for component in dead:
            self.restart(component)
            if component in CONTROL_PLANE and not {*CONTROL_PLANE} & {*dead[dead.index(component) + 1 :]}:
                self._await_paths("/readyz")  # what is started next would find nothing to talk to
        if {*CONTROL_PLANE} & {*dead} and KWOK not in dead:
            # It does not try again what the API server could not write meanwhile (kwok 0.8, `shouldRetry`).
            self.restart(KWOK)
        return dead

    def components(self) -> Sequence[ComponentStatus]:
        """The state of each process."""
        return [self._status(name) for name in self._parts]

    @property
    def _parts(self) -> Sequence[str]:
        return COMPONENTS if self.links.enabled else [name for name in COMPONENTS if name != LINK_PROXY]

    def _status(self, component: str) -> ComponentStatus:
        name, log = self.process_name(component), str(self._log(component))
        process = self._processes.get(name)
        if process is None:
            return ComponentStatus(name=name, state="stopped", detail="not started", log=log)
        if process.running:
            return ComponentStatus(name=name, state="running", pid=process.identity.pid, log=log)
        if process.expected_to_end:
            return ComponentStatus(name=name, state="stopped", detail="scaled to 0", log=log)
        return ComponentStatus(name=name, state="dead", detail=str(process.died()), log=log)

    def abort(self) -> None:
        """Have every request to the API fail at once instead of waiting for what will not come. From any thread."""
        process = self._processes.get(self.process_name("kube-apiserver"))
        if process and process.running:  # one that died by itself is the news, not the consequence
            process.expected_to_end = True
            process.signal(signal.SIGKILL)

    def stop(self) -> None:
        """End everything in order. The API server keeps nothing but what etcd has: it need not take its time."""
        self._processes.stop(*map(self.process_name, (*CONTROLLERS, *WORKERS)), grace_seconds=0.3)
        self._processes.stop(self.process_name("kube-apiserver"), grace_seconds=0)
        self._processes.stop(*map(self.process_name, ("etcd", LINK_PROXY)), grace_seconds=1)
        self.api.close()


def _start_order(deployment: KubeObject) -> int:
    """The order of COMPONENTS: what is fetched first is applied first."""
    return COMPONENTS.index(deployment.name) if deployment.name in COMPONENTS else len(COMPONENTS)
