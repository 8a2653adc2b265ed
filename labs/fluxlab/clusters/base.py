"""What every backend of a cluster offers, and how the state of its parts is told."""

import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .api import KubeApi
from .flux_controllers import WayOut
from .links import Link
from .root import Root

if TYPE_CHECKING:
    from starlette.types import ASGIApp


PAUSED = "its process was stopped by a signal, and does nothing until it goes on"


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    """One part of a cluster or of the lab: whether it runs, and if not, why."""

    name: str
    state: str
    """`running`, `stopped` (on purpose), `paused` (its process stands still) or `dead`."""
    detail: str = ""
    pid: int | None = None
    log: str = ""

    @property
    def well(self) -> bool:
        """Whether it is as it should be."""
        return self.state in {"running", "stopped"}


@dataclass(frozen=True, kw_only=True)
class Door:
    """Something that a cluster has the supervisor serve on loopback."""

    app: "ASGIApp"
    port: int
    tls: ssl.SSLContext


class MainThread(Protocol):
    """The supervisor's main thread, which drives clusters: only a process spawned there dies with the supervisor."""

    def call(self, act: Callable[[], object]) -> object:
        """Have something done there, soon. From any thread."""

    def meanwhile(self) -> None:
        """Do what cannot wait; called there, again and again, for as long as something is waited for.

        What it raises, as when the lab is told to end, ends the wait.
        """


class ClusterBackend(Protocol):
    """One Kubernetes control plane with Flux, as the supervisor drives it, from its main thread.

    The first four are its start, in this order; each may raise FluxlabError with the reason.
    """

    name: str
    patience_seconds: float
    """How long its Flux may take to act."""
    resumed: bool
    """Whether it was there before, so that what its status says may be of an earlier life. Known after `launch`."""

    @property
    def kubeconfig(self) -> Path:
        """An administrator's, readable by its owner only. There after `launch`."""

    @property
    def api(self) -> KubeApi:
        """The cluster's API. There after `launch`."""

    @property
    def root(self) -> Root:
        """Where it begins to follow the lab's repository. Known after `launch`."""

    def launch(self) -> None:
        """Start what everything else waits for, without waiting; or see that the cluster is there and may be used."""

    def await_api(self) -> None:
        """Wait until the API serves Kubernetes' resources, and Flux's where Flux is there before `start_flux`."""

    def start_flux(self, way_out: WayOut) -> None:
        """Have Flux's controllers run, which leave the cluster by that way, and follow their Deployments."""

    def start_workers(self) -> None:
        """Start what nothing needs before Flux has applied something."""

    def wants(self, controller: str) -> bool:
        """Whether the Deployment of a Flux controller is there and not scaled to 0."""

    def repair(self, *, held: Collection[str] = ()) -> Sequence[str]:
        """Start again what died, and what is paused unless it is `held` by somebody; returns the names."""

    def restart(self, component: str) -> None:
        """Stop and start one component, and whoever had to do without it.

        Raises UsageError on an unknown name, UnsupportedError, and FluxlabError where there is no API to start it for.
        """

    def components(self) -> Sequence[ComponentStatus]:
        """The state of each part. From any thread."""

    def process_name(self, component: str) -> str:
        """The name by which a component is known in the lab."""

    def save_state(self, target: Path, *, leave_out: Sequence[str]) -> None:
        """Write all objects, without some Secrets (NAMESPACE/NAME). From any thread. Raises UnsupportedError."""

    def load_state(self, data: Path) -> None:
        """Have etcd go on with the data in a folder, which is taken. Raises UnsupportedError."""

    def abort(self) -> None:
        """Have a start fail at once instead of waiting for what will not come. From any thread."""

    def stop(self) -> None:
        """Let go of everything that runs here, in order; also of half-made states."""

    # -- how it and the lab's servers reach each other -----------------------------------------------------------

    def gateway(self, controller: str) -> str:
        """HOST:PORT at which a controller reaches the gateway."""

    @property
    def address(self) -> str:
        """This machine's, as the cluster's controllers reach it."""

    @property
    def receiver_port(self) -> int | None:
        """Where the news of pushes goes; None where no Receiver can be reached from here, and the API is asked."""

    def doors(self) -> Sequence[Door]:
        """What it has the supervisor serve."""

    def links(self) -> Sequence[Link]:
        """The links of its parts; none unless the lab has links."""
