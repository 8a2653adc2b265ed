"""The `existing` backend: somebody's cluster, given to fluxlab by a label, in which a lab is a guest."""

import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fluxlab.documents import JsonObject
from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.ports import LOOPBACK
from fluxlab.spec import ClusterSpec
from fluxlab.toolchain import Toolchain
from fluxlab.waiting import wait_until

from . import consent, flux_pods
from .api import ApiError, ApiUnreachableError, KubeApi
from .base import ComponentStatus, Door
from .capabilities import Capability, Footing
from .contexts import import_context
from .flux_components import install
from .flux_controllers import CONTROLLERS, NAMESPACE, WayOut
from .kubeconfig import read_kubeconfig
from .links import Link
from .objects import KubeObject, dig, number_at, text_at
from .resources import DEPLOYMENT, FLUX_RESOURCES, GIT_REPOSITORY, KUSTOMIZATION, NODE, POD, SERVICE
from .resources import NAMESPACE as NAMESPACES
from .resources import SECRET as SECRETS
from .root import ID_LABEL, LAB_LABEL, Root

API_TIMEOUT_SECONDS = 5
RESTART_SECONDS = 60
KWOK_NODE = "kwok.x-k8s.io/node"
"""The annotation of nodes whose pods KWOK plays."""
OF_FLUX = {"labelSelector": "app.kubernetes.io/part-of=flux"}


def connect(spec: ClusterSpec, *, folder: Path, kubectl: Path) -> KubeApi:
    """A connection to a cluster that may be used, whose kubeconfig is written into `folder`.

    Raises UsageError for a context that is not there or was not given to fluxlab, and UnknownError when it does not
    answer, or refuses.
    """
    file = import_context(spec.context, kubeconfig=spec.kubeconfig, folder=folder, kubectl=kubectl)
    api = KubeApi(read_kubeconfig(file), timeout_seconds=API_TIMEOUT_SECONDS)
    with _told_of(spec):
        consent.check(api, context=_context(spec), hint=f"fluxlab consent {_context(spec)}{_option(spec)}")
    return api


def _context(spec: ClusterSpec) -> str:
    return spec.context or "(current)"


def _option(spec: ClusterSpec) -> str:
    return f" --kubeconfig={shlex.quote(spec.kubeconfig)}" if spec.kubeconfig else ""


@contextmanager
def _told_of(spec: ClusterSpec) -> Iterator[None]:
    """Have errors of the API name the context, and what to ask kubectl."""
    context, kubectl = _context(spec), f"kubectl{_option(spec)} --context={spec.context}"
    try:
        yield
    except ApiUnreachableError as error:
        hint = f"{kubectl} get --raw /readyz"
        raise UnknownError(f"context {context} does not answer", facts=error.facts, hint=hint) from None
    except ApiError as error:
        raise UnknownError(f"context {context} refuses: {error.what}", hint=f"{kubectl} auth whoami") from None


class ExistingCluster:
    """One cluster of a lab on the `existing` backend. Whatever it makes there carries the labels of its root."""

    def __init__(
        self,
        spec: ClusterSpec,
        *,
        lab: str,
        repository: str,
        folder: Path,
        toolchain: Toolchain,
        git_port: int,
        gateway_port: int,
    ) -> None:
        """`repository` is the name of the root objects where Flux is somebody else's."""
        self.name = spec.name
        self.kubeconfig = folder / "kubeconfig"
        self.address = spec.address or LOOPBACK
        self.receiver_port = None
        self.resumed = False
        self._spec = spec
        self._lab = lab
        self._repository = repository
        self._folder = folder
        self._toolchain = toolchain
        self._git_port = git_port
        self._gateway_port = gateway_port
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

    def launch(self) -> None:
        """See that the cluster is there and may be used, and whose Flux it has. Raises FluxlabError or UsageError."""
        self._api = connect(self._spec, folder=self._folder, kubectl=self._toolchain.binary("kubectl"))
        with _told_of(self._spec):
            self._root = self._known_root() or self._new_root().save(self._folder)

    def _known_root(self) -> Root | None:
        """That of an earlier supervisor of the lab."""
        known = Root.of(self._folder)
        if not known.labels:
            return None
        self._check_namespace(known)
        self.resumed = bool(self.api.find(GIT_REPOSITORY, known.name, namespace=known.namespace))
        return known

    def _new_root(self) -> Root:
        labels = {LAB_LABEL: self._lab, ID_LABEL: secrets.token_hex(8)}
        nodes = self.api.list(NODE)
        simulated = any(dig(node.raw, "metadata", "annotations", KWOK_NODE) is not None for node in nodes)
        if self._has_flux():
            url = f"http://{self.address}:{self._git_port}/{self._repository}.git"
            namespace = f"fluxlab-{self._lab}"
            root = Root(
                footing=Footing.GUEST,
                simulated=simulated,
                namespace=namespace,
                name=self._repository,
                url=url,
                labels=labels,
            )
        else:
            root = Root(footing=Footing.INSTALLED, labels=labels, simulated=simulated)
        self._check_namespace(root)
        return root

    def _has_flux(self) -> bool:
        needed = {GIT_REPOSITORY.path(), KUSTOMIZATION.path()}
        missing = needed - self.api.discover()
        if missing == needed:
            return False
        deployments = [one.name for one in self.api.list(DEPLOYMENT, query=OF_FLUX)]
        absent = [*missing, *({"source-controller", "kustomize-controller"} - set(deployments))]
        if absent:
            facts = [f"missing: {', '.join(sorted(absent))}"]
            raise FluxlabError(f"cluster {self.name} has a part of Flux only", facts=facts, hint="flux check")
        return True

    def _check_namespace(self, root: Root) -> None:
        """Raise UsageError when the place of the root objects is somebody else's."""
        found = self.api.find(NAMESPACES, root.namespace)
        if found and found.labels.get(ID_LABEL) != root.labels[ID_LABEL]:
            whose = found.labels.get(LAB_LABEL)
            raise UsageError(
                f"cluster {self.name} has a namespace {root.namespace} already",
                facts=[f"it belongs to another lab {whose}" if whose else "it was not made by a lab"],
                hint="fluxlab up --name ANOTHER" if root.footing is Footing.GUEST else "",
            )

    def await_api(self) -> None:
        """The API was asked at launch already."""

    def start_flux(self, way_out: WayOut) -> None:
        """Make the namespace of the root objects; without a Flux, install it, with the way out by Secrets."""
        api, root = self.api, self.root
        metadata: JsonObject = {"name": root.namespace, "labels": root.labels}
        namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        api.apply(NAMESPACES.path(name=root.namespace), namespace, field_manager="flux")
        if root.footing is Footing.GUEST:
            return
        address = text_at(api.get(SERVICE, "kubernetes", namespace="default").raw, "spec", "clusterIP")
        for secret in flux_pods.secrets(way_out, api_address=address, labels=root.labels):
            api.apply(SECRETS.path(namespace=NAMESPACE, name=secret.name), secret.raw)
        kubectl, manifests = self._toolchain.binary("kubectl"), self._toolchain.flux_manifests
        components = flux_pods.components(manifests, root.labels, kubectl=kubectl)
        install(api, components, what=f"cluster {self.name}", check=lambda: None)
        self._await_definitions()

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
        """A real cluster has its own."""

    # -- while it runs -----------------------------------------------------------------------------------------

    def _deployments(self) -> Iterator[KubeObject]:
        """Of Flux's controllers, wherever they are."""
        for deployment in self.api.list(DEPLOYMENT, query=OF_FLUX):
            if deployment.name in CONTROLLERS:
                yield deployment

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""
        return any(one.name == controller and number_at(one.raw, "spec", "replicas") > 0 for one in self._deployments())

    def repair(self) -> Sequence[str]:
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
            with suppress(ApiError):  # it is gone: that is what was wanted
                self.api.delete(POD, name, namespace=NAMESPACE)

        def replaced() -> bool:
            pods = self.api.list(POD, namespace=NAMESPACE, query=query)
            ready = {pod.name for pod in pods if (state := pod.condition("Ready")) and state.status == "True"}
            return bool(ready) and ready.isdisjoint(before)

        wait_until(replaced, what=f"{self.name}/{component} runs again", timeout_seconds=RESTART_SECONDS)

    def components(self) -> Sequence[ComponentStatus]:
        """The API server, and each of Flux's controllers."""
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
    available = deployment.condition("Available")
    if available and available.status == "True":
        return ComponentStatus(name=deployment.name, state="running")
    detail = available.message if available else "it has not been looked at yet"
    return ComponentStatus(name=deployment.name, state="dead", detail=detail)
