"""What clusters with nodes of their own have in common: Flux's controllers are pods there."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from fluxlab.documents import JsonObject
from fluxlab.errors import UsageError
from fluxlab.toolchain import Toolchain
from fluxlab.waiting import wait_until

from . import flux_pods
from .api import ApiError, ApiUnreachableError, KubeApi, ignore_missing
from .base import ComponentStatus, Door, MainThread
from .capabilities import Capability
from .flux_components import install
from .flux_controllers import CONTROLLERS, NAMESPACE, WayOut
from .links import Link
from .objects import KubeObject, number_at, text_at
from .resources import DEPLOYMENT, FLUX_RESOURCES, POD, SERVICE
from .resources import NAMESPACE as NAMESPACES
from .resources import SECRET as SECRETS
from .root import Root

RESTART_SECONDS = 60
OF_FLUX = {"labelSelector": "app.kubernetes.io/part-of=flux"}


class PodCluster:
    """A cluster of a lab whose control plane runs elsewhere. How it comes to be there is for its backend to say."""

    receiver_port = None
    patience_seconds = 300.0
    """Images may have to be pulled."""

    def __init__(
        self, name: str, *, folder: Path, toolchain: Toolchain, gateway_port: int, main_thread: MainThread
    ) -> None:
        self.name = name
        self.kubeconfig = folder / "kubeconfig"
        self.address = ""
        self.resumed = False
        self._folder = folder
        self._toolchain = toolchain
        self._gateway_port = gateway_port
        self._main_thread = main_thread
        self._api: KubeApi | None = None
        self._root: Root | None = None

    @property
    def api(self) -> KubeApi:
        """The cluster's API."""
        if self._api is None:
            raise AssertionError("launch comes first")
        return self._api

    @property
    def root(self) -> Root:
        """Where it begins to follow the lab's repository."""
        if self._root is None:
            raise AssertionError("launch comes first")
        return self._root

    # -- start -------------------------------------------------------------------------------------------------

    def start_flux(self, way_out: WayOut) -> None:
        """Make the namespace of the root objects; without a Flux, install it, with the way out by Secrets."""
        api, root = self.api, self.root
        metadata: JsonObject = {"name": root.namespace, "labels": root.labels}
        namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        api.apply(NAMESPACES.path(name=root.namespace), namespace, field_manager="flux")
        if root.lacks(Capability.BOOTSTRAP):
            return
        address = text_at(api.get(SERVICE, "kubernetes", namespace="default").raw, "spec", "clusterIP")
        for secret in flux_pods.secrets(way_out, api_address=address, labels=root.labels):
            api.apply(SECRETS.path(namespace=NAMESPACE, name=secret.name), secret.raw)
        kubectl, manifests = self._toolchain.binary("kubectl"), self._toolchain.flux_manifests
        components = flux_pods.components(manifests, root.labels, kubectl=kubectl)
        install(api, components, what=f"cluster {self.name}", check=lambda: None)
        self._await_definitions()
        if self.resumed:  # they go by the variables of an earlier supervisor, whose passwords hold no longer
            for pod in self.api.list(POD, namespace=NAMESPACE, query=OF_FLUX):
                self._delete_pod(pod.name)

    def _await_definitions(self) -> None:
        missing = wanted = {resource.path() for resource in FLUX_RESOURCES}

        def served() -> bool:
            nonlocal missing
            missing = wanted - self.api.discover()
            return not missing

        wait_until(
            served,
            what=f"cluster {self.name} serves Flux's resources",
            timeout_seconds=RESTART_SECONDS,
            state=lambda: f"missing: {', '.join(sorted(missing))}",
        )

    def start_workers(self) -> None:
        """A real cluster has its own; but all of the lab's controllers are to be there when it is ready."""
        if self.root.lacks(Capability.BOOTSTRAP):
            return
        waiting: list[str] = []

        def available() -> bool:
            nonlocal waiting
            found = {one.name: one for one in self._deployments()}
            waiting = [name for name in CONTROLLERS if name not in found or not _available(found[name])]
            return not waiting

        wait_until(
            available,
            what=f"cluster {self.name}: all of Flux's controllers run",
            timeout_seconds=self.patience_seconds,
            state=lambda: f"waiting for {', '.join(waiting)}",
            hint=f"kubectl --kubeconfig={self.kubeconfig} -n {NAMESPACE} describe pods",
        )

    # -- while it runs -----------------------------------------------------------------------------------------

    def _deployments(self) -> Iterator[KubeObject]:
        """Of Flux's controllers, wherever they are."""
        for deployment in self.api.list(DEPLOYMENT, query=OF_FLUX):
            if deployment.name in CONTROLLERS:
                yield deployment

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""
        return any(one.name == controller and number_at(one.raw, "spec", "replicas") > 0 for one in self._deployments())

    def repair(self, *, held: Collection[str] = ()) -> Sequence[str]:  # noqa: ARG002
        """Nothing: the cluster starts its pods again by itself."""
        return ()

    def restart(self, component: str) -> None:
        """Delete the pods of a Flux controller, and wait for others."""
        self.root.require(Capability.RESTART, cluster=self.name)
        if component not in CONTROLLERS:
            raise UsageError(f"cluster {self.name} has no component {component!r}", facts=[", ".join(CONTROLLERS)])
        query = {"labelSelector": f"app={component}"}
        before = {pod.name for pod in self.api.list(POD, namespace=NAMESPACE, query=query)}
        for name in before:
            self._delete_pod(name)

        def replaced() -> bool:
            self._main_thread.meanwhile()
            pods = self.api.list(POD, namespace=NAMESPACE, query=query)
            ready = {pod.name for pod in pods if pod.ready}
            return bool(ready) and ready.isdisjoint(before)

        wait_until(replaced, what=f"{self.name}/{component} runs again", timeout_seconds=RESTART_SECONDS)

    def _delete_pod(self, name: str) -> None:
        ignore_missing(lambda: self.api.delete(POD, name, namespace=NAMESPACE))

    def components(self) -> Sequence[ComponentStatus]:
        """The API server, and each of Flux's controllers."""
        if self._api is None:
            return [ComponentStatus(name="api", state="stopped", detail="not there yet")]
        try:
            return [ComponentStatus(name="api", state="running"), *map(_status, self._deployments())]
        except (ApiError, ApiUnreachableError) as error:
            return [ComponentStatus(name="api", state="dead", detail=str(error))]

    def process_name(self, component: str) -> str:
        """The name by which a component is known in the lab."""
        return f"{self.name}/{component}"

    def save_state(self, target: Path, *, leave_out: Sequence[str]) -> None:
        """Raises UnsupportedError: etcd is not the lab's."""
        del target, leave_out
        self.root.require(Capability.SNAPSHOT, cluster=self.name)

    def load_state(self, data: Path) -> None:
        """Raises UnsupportedError: etcd is not the lab's."""
        del data
        self.root.require(Capability.SNAPSHOT, cluster=self.name)

    def abort(self) -> None:
        """Every wait of the start is short already."""

    def stop(self) -> None:
        """Close the connections; what the lab made there is removed with the lab (`removal`)."""
        if self._api:
            self._api.close()

    # -- how it and the lab's servers reach each other -----------------------------------------------------------

    def gateway(self, controller: str) -> str:
        """HOST:PORT at which a controller reaches the gateway."""
        del controller
        return f"{self.address}:{self._gateway_port}"

    def doors(self) -> Sequence[Door]:
        """None: the cluster has its own kubelets."""
        return ()

    def links(self) -> Sequence[Link]:
        """None."""
        return ()


def _status(deployment: KubeObject) -> ComponentStatus:
    if number_at(deployment.raw, "spec", "replicas") == 0:
        return ComponentStatus(name=deployment.name, state="stopped", detail="scaled to 0")
    if _available(deployment):
        return ComponentStatus(name=deployment.name, state="running")
    said = deployment.condition("Available")
    detail = said.message if said else "it has not been looked at yet"
    return ComponentStatus(name=deployment.name, state="dead", detail=detail)


def _available(deployment: KubeObject) -> bool:
    found = deployment.condition("Available")
    return bool(found and found.status == "True")
