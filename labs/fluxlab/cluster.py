"""One cluster of a running lab, seen from outside: read its objects, and wait for what it says."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .clusters.api import KubeApi
from .clusters.capabilities import Capability
from .clusters.kinds import Kinds
from .clusters.objects import KubeObject
from .clusters.resources import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    GIT_REPOSITORY,
    HELM_RELEASE,
    KUSTOMIZATION,
    STATEFUL_SET,
    Resource,
)
from .clusters.root import Root
from .clusters.secret import set_secret
from .clusters.workloads import Workload
from .commands import run
from .errors import UsageError
from .files import OfFile
from .flux.signals import LogLine, Scene, Signal, expect, forbid
from .flux.subjects import place_of
from .logs import log_files
from .moments import Commit, Moment
from .state import LabFolder
from .timeline.folder import TimelineFolder
from .toolchain import find

EXPECT_SECONDS = 30.0
BRIEFLY = {"GOGC": "400"}
"""Who ends in a moment need not collect garbage: a third of what `flux build` takes, a fifth of kubectl's.
Whoever sets it has chosen otherwise."""
COMMAND_SECONDS = 60.0


class Cluster:
    """A handle on one cluster. Objects are named by kind and place: `cluster.get("HelmRelease", "demo/app")`."""

    def __init__(
        self,
        folder: LabFolder,
        name: str,
        *,
        patience: Callable[[float], float] = lambda seconds: seconds,
        earlier: Callable[[Commit], frozenset[str]] = lambda _: frozenset(),
    ) -> None:
        """`patience` stretches what a test is ready to wait; `earlier` names all commits from before one was pushed."""
        self.name = name
        self.kubeconfig: Path = folder.kubeconfig(name)
        self.root = Root.of(folder.cluster(name))
        """Where the cluster begins to follow the lab's repository."""
        self._folder = folder
        self._patience = patience
        self._earlier = earlier
        self._opened = OfFile(self.kubeconfig, self._open)

    @property
    def api(self) -> KubeApi:
        """The cluster's API, for its administrator: after a resume the one that is there now, maybe at another port."""
        return self._opened()[0]

    @property
    def _kinds(self) -> Kinds:
        return self._opened()[1]

    def _open(self) -> tuple[KubeApi, Kinds]:
        api = KubeApi.from_kubeconfig(self.kubeconfig)
        return api, Kinds(api)

    def lacks(self, capability: Capability) -> str:
        """Why the cluster cannot do something; empty when it can."""
        return self.root.lacks(capability)

    def require(self, capability: Capability) -> None:
        """Raise UnsupportedError, which names the capability, where the cluster lacks it."""
        self.root.require(capability, cluster=self.name)

    def close(self) -> None:
        """Close the connections to the API."""
        if opened := self._opened.take():
            opened[0].close()

    # -- read ----------------------------------------------------------------------------------------------------

    def get(self, kind: str, place: str) -> KubeObject:
        """One object, such as `get("ConfigMap", "shop/settings")`.

        Raises UsageError for a kind that is not served, and ApiError with status 404 when it is not there.
        """
        resource = self._kinds.find(kind)
        return self._get(resource, place)

    def find(self, kind: str, place: str) -> KubeObject | None:
        """As `get`, or None when it is not there."""
        resource = self._kinds.find(kind)
        namespace, name = place_of(resource, place)
        return self.api.find(resource, name, namespace=namespace or None)

    def list(self, kind: str, *, namespace: str = "", labels: Mapping[str, str] | None = None) -> Sequence[KubeObject]:
        """All objects of a kind, in one namespace or everywhere, that carry these labels.

        Raises UsageError for labels that select everything: leave them out.
        """
        if labels is not None and not labels:
            raise UsageError(f"no labels select every {kind}", hint="leave them out, if that is meant")
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else None
        return self.api.list(self._kinds.find(kind), namespace=namespace or None, query=query)

    def deployment(self, place: str) -> Workload:
        """A Deployment at `NAMESPACE/NAME`. Raises ApiError with status 404 when it is not there."""
        return Workload(self._get(DEPLOYMENT, place).raw)

    def stateful_set(self, place: str) -> Workload:
        """As `deployment`, a StatefulSet."""
        return Workload(self._get(STATEFUL_SET, place).raw)

    def daemon_set(self, place: str) -> Workload:
        """As `deployment`, a DaemonSet."""
        return Workload(self._get(DAEMON_SET, place).raw)

    def config_map(self, place: str) -> KubeObject:
        """As `deployment`, a ConfigMap."""
        return self._get(CONFIG_MAP, place)

    def git_repository(self, place: str = "") -> KubeObject:
        """As `deployment`, a GitRepository of Flux; by default the root one, with which Flux was bootstrapped."""
        return self._get(GIT_REPOSITORY, place or self.root.place)

    def kustomization(self, place: str = "") -> KubeObject:
        """As `deployment`, a Kustomization of Flux; by default the root one, with which Flux was bootstrapped."""
        return self._get(KUSTOMIZATION, place or self.root.place)

    def helm_release(self, place: str) -> KubeObject:
        """As `deployment`, a HelmRelease of Flux."""
        return self._get(HELM_RELEASE, place)

    def _get(self, resource: Resource, place: str) -> KubeObject:
        namespace, name = place_of(resource, place)
        return self.api.get(resource, name, namespace=namespace or None)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What the lab's kubectl prints, as administrator: `kubectl("apply", "-f", "-", stdin=text)`.

        Raises CommandError.
        """
        return self._run("kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def flux(self, *arguments: str, cwd: Path | None = None) -> str:
        """What the flux command line prints, as administrator. Raises CommandError."""
        return self._run("flux", f"--kubeconfig={self.kubeconfig}", *arguments, cwd=cwd)

    def _run(self, program: str, *arguments: str, stdin: str | None = None, cwd: Path | None = None) -> str:
        patience = self._patience(COMMAND_SECONDS)
        words = [str(find().binary(program)), *arguments]
        environment = {**({} if "GOGC" in os.environ else BRIEFLY), "KUBECACHEDIR": str(self._folder.discoveries)}
        return run(words, environment=environment, stdin=stdin, cwd=cwd, timeout_seconds=patience).stdout

    # -- change --------------------------------------------------------------------------------------------------

    def set_secret(self, place: str, key: str, value: str, *, create_namespace: bool = False) -> None:
        """Set a key of the Secret at `NAMESPACE/NAME`, which is made if need be; its other keys stay.

        Raises UsageError for what cannot be, or a namespace that is not there.
        """
        set_secret(self.api, place, key, value, create_namespace=create_namespace)

    # -- what it says --------------------------------------------------------------------------------------------

    def expect(self, signal: Signal, *, after: Commit | Moment, within_seconds: float = EXPECT_SECONDS) -> str:
        """Wait until the cluster says something that it had not said before a commit was pushed; returns its words.

        Raises ExpectationError with what came nearest after `within_seconds`.
        """
        self._require_for(signal)
        return expect(signal, self._scene(after), within_seconds=self._patience(within_seconds))

    def forbid(self, signal: Signal, *, after: Commit | Moment, for_seconds: float) -> None:
        """Watch for `for_seconds` that the cluster does not say something after a commit was pushed.

        Raises ExpectationError as soon as it does, and UsageError for what could not be seen in any case.
        """
        self._require_for(signal)
        forbid(signal, self._scene(after), for_seconds=self._patience(for_seconds))

    def _require_for(self, signal: Signal) -> None:
        if isinstance(signal, LogLine):
            self.require(Capability.CONTROLLER_LOGS)

    def _scene(self, after: Commit | Moment) -> Scene:
        prefix = f"{self.name}/"
        return Scene(
            cluster=self.name,
            api=self.api,
            kinds=self._kinds,
            logs={name: file for name, file in log_files(self._folder).items() if name.startswith(prefix)},
            after=after.before if isinstance(after, Commit) else after,
            earlier=self._earlier(after) if isinstance(after, Commit) else frozenset(),
            mask=TimelineFolder(self._folder).redactor().redact,
        )
