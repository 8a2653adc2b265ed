"""The `kind` backend: nodes that are containers, made by kind in a network of the lab's own."""

import secrets
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from fluxlab.commands import run
from fluxlab.errors import FluxlabError
from fluxlab.files import make_private
from fluxlab.processes import ManagedProcess, last_words
from fluxlab.spec import ClusterSpec, LabSpec
from fluxlab.toolchain import Toolchain
from fluxlab.toolchain.lookup import cache_store
from fluxlab.waiting import wait_until

from .api import KubeApi
from .base import ComponentStatus, MainThread
from .capabilities import Footing
from .contexts import import_context
from .kind_create import KindOrder
from .kind_nodes import DockerError, Nodes, check, daemon, labels, node_image
from .kubeconfig import read_kubeconfig
from .pod_cluster import PodCluster
from .root import Root

CREATION_SECONDS = 600
"""kind may have to pull its node image first."""
LOAD_SECONDS = 300
API_TIMEOUT_SECONDS = 5
LOOK_SECONDS = 2
"""For Docker to say how the nodes are: who asks for the status waits for no more than that and the API."""


def kind_name(lab: str, cluster: str) -> str:
    """What kind and Docker call a lab's cluster: in the playground as the lab file does, else with the lab's name."""
    return cluster if lab == LabSpec().name else f"{lab}-{cluster}"


def check_machine(spec: ClusterSpec, *, lab: str, known: Root) -> None:
    """Raise FluxlabError or DockerError when Docker cannot run this cluster, or has another one of its name."""
    with daemon() as client:
        check(client, wanted=spec.image)
        nodes_of(known, lab=lab, cluster=spec.name).check_free(client)


def nodes_of(root: Root, *, lab: str, cluster: str) -> Nodes:
    """The nodes of a cluster whose root was written down."""
    name = kind_name(lab, cluster)
    return Nodes(cluster=name, network=f"fluxlab-{name}", labels=root.labels)


def inotify_limits() -> dict[str, str]:
    """What nodes run out of first (kind's list of known issues); nothing where the kernel has no such limits."""
    folder = Path("/proc/sys/fs/inotify")
    return {f"fs.inotify.{file.name}": file.read_text().strip() for file in sorted(folder.glob("max_user_*"))}


def preloads() -> Sequence[Path]:
    """What each new kind cluster gets before Flux: image archives (.tar) and manifests (.yaml) in the cache folder.

    So a machine without an image registry has what the nodes would otherwise pull; `make node-image` puts it there.
    """
    return sorted(file for file in preload_folder().glob("*") if file.suffix in {".tar", ".yaml"})


def preload_folder() -> Path:
    """Where those files are."""
    return cache_store().root.parent / "kind-preload"


class KindCluster(PodCluster):
    """One cluster of a lab on the `kind` backend."""

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        lab: str,
        folder: Path,
        toolchain: Toolchain,
        kind: Path,
        gateway_port: int,
        main_thread: MainThread,
    ) -> None:
        """`kind` is the program."""
        super().__init__(
            spec.name, folder=folder, toolchain=toolchain, gateway_port=gateway_port, main_thread=main_thread
        )
        self._spec = spec
        self._lab = lab
        self._kind = kind
        self._image = ""
        self._creation: ManagedProcess | None = None

    @property
    def _nodes(self) -> Nodes:
        return nodes_of(self.root, lab=self._lab, cluster=self.name)

    def launch(self) -> None:
        """Write down what is about to be made, make the network, and have kind make the nodes meanwhile."""
        known = Root.of(self._folder)
        if known.labels:
            self._root = known
        else:
            made = labels(self._lab, secrets.token_hex(8))
            self._root = Root(footing=Footing.KIND, labels=made, simulated=False).save(self._folder)
        words = [sys.executable, "-m", "fluxlab.clusters.kind_create"]
        creation = self._creation = ManagedProcess(f"{self.name}/kind", words, log=self._log, held_back=True)
        with daemon() as client:
            self._nodes.check_free(client)
            self._image = node_image(client, self._spec.image)
            self.address = self._nodes.make_network(client)
            nodes = self._nodes.all(client)
            self.resumed = bool(nodes) and self.kubeconfig.exists()
            if self.resumed:
                creation.stop()
                self._creation = None
                self._nodes.wake(client)
                return
            for node in nodes:  # half-made by a start that was killed
                node.remove(force=True, v=True)
        creation.let_go(self._order.to_line())

    @property
    def _log(self) -> Path:
        return self._folder / "logs" / "kind.log"

    @property
    def _order(self) -> KindOrder:
        return KindOrder(
            name=self._nodes.cluster,
            folder=str(make_private(self._folder / "kind")),
            kind=str(self._kind),
            kubectl=str(self._toolchain.binary("kubectl")),
            image=self._image,
            workers=self._spec.nodes - 1,
            network=self._nodes.network,
        )

    def await_api(self) -> None:
        """Wait for kind, then for the API; and load the images that Docker has for it."""
        if self._creation:
            self._await_creation(self._creation)
            kubectl = self._toolchain.binary("kubectl")
            import_context("", kubeconfig=str(self._order.kubeconfig), folder=self._folder, kubectl=kubectl)
            self._preload()
        self._api = KubeApi(read_kubeconfig(self.kubeconfig), timeout_seconds=API_TIMEOUT_SECONDS)
        wait_until(
            self.api.healthy,
            what=f"cluster {self.name}: the API server is ready",
            timeout_seconds=self.patience_seconds,
            interval_seconds=0.1,
            hint=f"docker logs {self._nodes.cluster}-control-plane",
        )

    def _await_creation(self, creation: ManagedProcess) -> None:
        wait_until(
            lambda: not creation.running,
            what=f"kind makes cluster {self._nodes.cluster}",
            timeout_seconds=CREATION_SECONDS,
            interval_seconds=0.1,
            state=lambda: "\n".join(last_words(self._log)),
        )
        if creation.ending != "exit code 0":
            limits = [f"{name} is {value}" for name, value in inotify_limits().items()]
            raise FluxlabError(
                f"kind could not make cluster {self._nodes.cluster}",
                facts=[*last_words(self._log), *limits],
                hint="where many nodes run, kind asks for: sysctl -w fs.inotify.max_user_instances=512",
            )

    def _preload(self) -> None:
        for file in preloads():
            if file.suffix == ".tar":
                name = f"--name={self._nodes.cluster}"
                run([self._kind, "load", "image-archive", file, name], timeout_seconds=LOAD_SECONDS)
            else:
                kubectl = self._toolchain.binary("kubectl")
                run([kubectl, f"--kubeconfig={self.kubeconfig}", "apply", "--server-side", f"--filename={file}"])

    # -- while it runs -----------------------------------------------------------------------------------------

    def repair(self, *, held: Collection[str] = ()) -> Sequence[str]:  # noqa: ARG002
        """Start the nodes that were stopped."""
        with daemon() as client:
            woken = self._nodes.wake(client)
        if woken:
            self._await_answer(f"cluster {self.name} answers")
        return [self._node_name(name) for name in woken]

    def components(self) -> Sequence[ComponentStatus]:
        """The nodes, the API server, and each of Flux's controllers."""
        try:
            with daemon(timeout_seconds=LOOK_SECONDS) as client:
                nodes = [(str(node.name), str(node.status)) for node in self._nodes.all(client)]
        except DockerError as error:
            return [ComponentStatus(name="docker", state="dead", detail=str(error))]
        told = [
            ComponentStatus(
                name=self._node_name(name),
                state="running" if status == "running" else "dead",
                detail="" if status == "running" else f"container {name} is {status}",
            )
            for name, status in sorted(nodes)
        ]
        if dead := [part.name for part in told if not part.well]:  # who asks a node that is paused waits
            return [*told, ComponentStatus(name="api", state="dead", detail=f"see {', '.join(dead)}")]
        return [*told, *super().components()]

    def _node_name(self, container: str) -> str:
        return container.removeprefix(f"{self._nodes.cluster}-")

    def restart(self, component: str) -> None:
        """As for other pods; and a node, by the name that `components` gives it."""
        with daemon() as client:
            for node in self._nodes.all(client):
                if self._node_name(str(node.name)) == component:
                    node.restart(timeout=1)
                    break
            else:
                super().restart(component)
                return
        self._await_answer(f"{self.name}/{component} runs again")

    def _await_answer(self, what: str) -> None:
        def answers() -> bool:
            self._main_thread.meanwhile()
            return self.api.healthy()

        wait_until(answers, what=what, timeout_seconds=self.patience_seconds)

    def abort(self) -> None:
        """End kind, and with it what it waits for."""
        if self._creation:
            self._creation.request_stop()

    def stop(self) -> None:
        """Let go; the nodes go with the lab (`removal`)."""
        if self._creation:
            self._creation.stop()
        super().stop()
