"""The programs of a local cluster as processes: how each is started, restarted and ended, and how it is."""

import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fluxlab.errors import UsageError
from fluxlab.files import make_private
from fluxlab.processes import ProcessGroup
from fluxlab.toolchain import Toolchain

from . import control_plane, flux_controllers
from .base import PAUSED, ComponentStatus
from .control_plane import ControlPlaneFiles
from .flux_controllers import CONTROLLERS, NAMESPACE, Wanted, WayOut
from .links import proxy_socket
from .objects import KubeObject
from .wiring import Wiring

STAGES = Path(__file__).parent / "stages.yaml"
ARTIFACTS = "artifacts"
"""The folder, in that of a cluster, in which source-controller keeps what it serves."""
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
ETCD, API_SERVER, KWOK, LINK_PROXY = "etcd", "kube-apiserver", "kwok", "toxiproxy"
CONTROL_PLANE = (ETCD, API_SERVER)
SERVERS = frozenset({LINK_PROXY, *CONTROL_PLANE})
"""What all others need."""
WORKERS = ("kube-controller-manager", "kube-scheduler", KWOK)
PROGRAMS = (LINK_PROXY, *CONTROL_PLANE, *WORKERS, *CONTROLLERS)
"""In the order in which they start; the first only in a lab with links."""


class Programs:
    """The programs of one cluster, known by the names of their executables. Main thread of the supervisor only."""

    def __init__(
        self,
        cluster: str,
        *,
        folder: Path,
        files: ControlPlaneFiles,
        wiring: Wiring,
        toolchain: Toolchain,
        processes: ProcessGroup,
    ) -> None:
        self.names = PROGRAMS if wiring.links.enabled else PROGRAMS[1:]
        self.data = folder / "etcd"
        self._cluster = cluster
        self._folder = folder
        self._files = files
        self._wiring = wiring
        self._toolchain = toolchain
        self._processes = processes
        self._wanted: dict[str, Wanted] = {}
        self._followed: dict[str, Wanted] = {}
        """What the process of each controller is: not what is wanted, when that could not be started."""
        self._changing = False
        self._way_out: WayOut | None = None

    def process_name(self, program: str) -> str:
        """The name under which a program's process is known in the lab."""
        return f"{self._cluster}/{program}"

    def log(self, program: str) -> Path:
        """Where a program's output goes."""
        return self._folder / "logs" / f"{program}.log"

    def kubeconfig_of(self, controller: str) -> Path:
        """What a Flux controller reaches the API with."""
        # The name of its service account, so that RBAC and the audit log are as in a real cluster.
        user = f"system:serviceaccount:{NAMESPACE}:{controller}"
        return self._files.kubeconfig(user, port=self._wiring.api(controller))

    # -- start and end -------------------------------------------------------------------------------------------

    def start(self, program: str) -> None:
        """Start one of Kubernetes' programs, KWOK or the links' proxy; Flux's controllers follow their Deployments."""
        if program == LINK_PROXY:
            self._start_link_proxy()
        else:
            self._spawn(program, self._arguments(program))

    def _arguments(self, program: str) -> Sequence[str]:
        files, ports, links = self._files, self._wiring.control_plane, self._wiring.links
        match program:
            case "etcd":
                return control_plane.etcd(files, ports, data=self.data)
            case "kube-apiserver":
                return control_plane.api_server(files, ports, links=links)
            case "kube-controller-manager":
                return control_plane.controller_manager(files, ports, links=links)
            case "kube-scheduler":
                return control_plane.scheduler(files, ports, links=links)
            case "kwok":
                kubelet = self._wiring.kubelet
                return control_plane.kwok(files, ports, links=links, stages=STAGES, kubelet_port=kubelet)
        raise AssertionError(f"{program} is started otherwise")

    def _start_link_proxy(self) -> None:
        socket = proxy_socket(self._folder)
        folder = make_private(socket.parent)
        socket.unlink(missing_ok=True)
        config = self._wiring.links.write_config(folder / "links.json")
        # From its folder: the socket's whole path may be longer than the kernel takes.
        self._spawn(LINK_PROXY, control_plane.link_proxy(socket=socket, config=config), cwd=folder)

    def _spawn(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._processes.start(
            self.process_name(program),
            [self._toolchain.binary(program), *arguments],
            log=self.log(program),
            environment=environment if environment is not None else {"PATH": SYSTEM_PATH, "HOME": str(self._folder)},
            cwd=cwd,
        )

    def stop(self, *programs: str, grace_seconds: float) -> None:
        """End programs, all at once; those that do not run are none."""
        self._processes.stop(*map(self.process_name, programs), grace_seconds=grace_seconds)

    def expect(self, program: str) -> None:
        """Raise UsageError on an unknown name, and for a controller that is scaled to 0."""
        if program not in self.names:
            facts = [f"it has {', '.join(self.names)}"]
            raise UsageError(f"cluster {self._cluster} has no component {program!r}", facts=facts)
        if program in CONTROLLERS and not self.wants(program):
            hint = f"kubectl -n {NAMESPACE} scale deployment {program} --replicas=1"
            raise UsageError(f"{program} of cluster {self._cluster} is scaled to 0", hint=hint)

    def restart(self, program: str) -> None:
        """Stop and start one that is wanted."""
        with self.changing():
            self.stop(program, grace_seconds=0 if program == API_SERVER else 2)  # which keeps nothing but what etcd has
            if program in CONTROLLERS:
                self._start_controller(program)
            else:
                self.start(program)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """For as long as programs that are wanted are stopped on purpose: afterwards such a one is dead."""
        before, self._changing = self._changing, True
        try:
            yield
        finally:
            self._changing = before

    def kill_api_server(self) -> None:
        """Have every request to the API fail at once instead of waiting for what will not come. From any thread."""
        process = self._processes.get(self.process_name(API_SERVER))
        if process and process.running:  # one that died by itself is the news, not the consequence
            process.expected_to_end = True
            process.signal(signal.SIGKILL)

    # -- Flux's controllers --------------------------------------------------------------------------------------

    def use_way_out(self, way_out: WayOut) -> None:
        """How Flux's controllers reach the world; known before the first of them is started."""
        self._way_out = way_out

    def follow(self, deployment: KubeObject) -> None:
        """Make a Flux controller's process what its Deployment now asks for."""
        name = deployment.name
        if name not in CONTROLLERS:
            return
        now = self._wanted[name] = flux_controllers.wanted(deployment)
        if now == self._followed.pop(name, None):
            self._followed[name] = now
            return
        with self.changing():
            self._processes.stop(self.process_name(name))
            if now.running:
                self._start_controller(name)
        self._followed[name] = now

    def forget(self, deployment: KubeObject) -> None:
        """End the process of a Flux controller whose Deployment was deleted."""
        self._followed.pop(deployment.name, None)
        if self._wanted.pop(deployment.name, None):
            self._processes.stop(self.process_name(deployment.name))

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""
        now = self._wanted.get(controller)
        return now is not None and now.running

    def _start_controller(self, name: str) -> None:
        now = self._wanted[name]
        if self._way_out is None:
            raise AssertionError("use_way_out comes first")
        scratch = self._folder / "scratch" / name
        storage = self._folder / ARTIFACTS
        for folder in (scratch, storage):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spawn(
            name,
            flux_controllers.arguments(
                name,
                now.arguments,
                flux=self._wiring.flux,
                own=self._wiring.controllers[name],
                storage=storage,
                links=self._wiring.links,
            ),
            environment=flux_controllers.environment(
                name,
                now.environment,
                kubeconfig=self.kubeconfig_of(name),
                scratch=scratch,
                way_out=self._way_out,
                path=SYSTEM_PATH,
            ),
        )
        self._followed[name] = now

    # -- how they are --------------------------------------------------------------------------------------------

    def check(self, *programs: str) -> None:
        """Raise ProcessDiedError when one of these is dead; without any, when any process of the lab is."""
        self._processes.check(*map(self.process_name, programs))

    def broken(self, *, held: Collection[str] = ()) -> Sequence[str]:
        """The programs that are dead, or paused and not `held`, in the order in which they start."""
        states = {name: self._status(name).state for name in self.names}
        return [name for name, state in states.items() if state == "dead" or (state == "paused" and name not in held)]

    def status(self) -> Sequence[ComponentStatus]:
        """The state of each."""
        return [self._status(name) for name in self.names]

    def _status(self, program: str) -> ComponentStatus:
        name, log = self.process_name(program), str(self.log(program))
        process = self._processes.get(name)
        if process is None:
            return ComponentStatus(name=name, state="stopped", detail="not started", log=log)
        if process.running:
            state, detail = ("paused", PAUSED) if process.paused else ("running", "")
            return ComponentStatus(name=name, state=state, detail=detail, pid=process.identity.pid, log=log)
        if not process.expected_to_end:
            return ComponentStatus(name=name, state="dead", detail=str(process.died()), log=log)
        if program in CONTROLLERS and not self.wants(program):
            return ComponentStatus(name=name, state="stopped", detail="scaled to 0", log=log)
        if self._changing:
            return ComponentStatus(name=name, state="stopped", detail="about to be started again", log=log)
        return ComponentStatus(name=name, state="dead", detail="was stopped and could not be started again", log=log)
