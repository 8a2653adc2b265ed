"""The `existing` backend: somebody's cluster, given to fluxlab by a label, in which a lab is a guest."""

import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fluxlab.errors import FluxlabError, UnknownError, UsageError
from fluxlab.ports import LOOPBACK
from fluxlab.spec import ClusterSpec
from fluxlab.toolchain import Toolchain

from . import consent
from .api import ApiError, ApiUnreachableError, KubeApi
from .base import MainThread
from .capabilities import Footing
from .contexts import import_context
from .kubeconfig import read_kubeconfig
from .objects import dig
from .pod_cluster import OF_FLUX, PodCluster
from .resources import DEPLOYMENT, GIT_REPOSITORY, KUSTOMIZATION, NODE
from .resources import NAMESPACE as NAMESPACES
from .root import FLUX_SYSTEM, ID_LABEL, LAB_LABEL, Root

API_TIMEOUT_SECONDS = 5
KWOK_NODE = "kwok.x-k8s.io/node"
"""The annotation of nodes whose pods KWOK plays."""


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


class ExistingCluster(PodCluster):
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
        main_thread: MainThread,
    ) -> None:
        """`repository` is the name of the root objects where Flux is somebody else's."""
        super().__init__(
            spec.name, folder=folder, toolchain=toolchain, gateway_port=gateway_port, main_thread=main_thread
        )
        self.address = spec.address or LOOPBACK
        self._spec = spec
        self._lab = lab
        self._repository = repository
        self._git_port = git_port

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
        self._check_no_other_lab()
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

    def _check_no_other_lab(self) -> None:
        """Raise UsageError where another lab has installed Flux: it goes with that lab."""
        found = self.api.find(NAMESPACES, FLUX_SYSTEM)
        if found and (whose := found.labels.get(LAB_LABEL)):
            hint = f"fluxlab down {whose}, where that lab was started"
            raise UsageError(f"the Flux in cluster {self.name} was installed by lab {whose}, for itself", hint=hint)

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
