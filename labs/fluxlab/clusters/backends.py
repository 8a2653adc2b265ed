"""The backends by name: what each cluster of a lab is made with, checked before, and removed by afterwards.

Most labs are `local`: what the others need is loaded when it is needed.
"""

# ruff: noqa: PLC0415

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from fluxlab.errors import FluxlabError
from fluxlab.ports import Ports
from fluxlab.processes import ProcessGroup
from fluxlab.spec import Backend, ClusterSpec, LabSpec
from fluxlab.state import LabFolder
from fluxlab.toolchain import KIND_COMPONENTS, Toolchain, find

from .capabilities import Footing
from .root import LAB_LABEL, Root

if TYPE_CHECKING:
    from .base import ClusterBackend, MainThread


class NotRemovedError(FluxlabError):
    """Something that a lab made is still in Docker, or in somebody's cluster."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a cluster finds in the supervisor that drives it."""

    lab: LabSpec
    folder: Path
    """The cluster's."""
    toolchain: Toolchain
    processes: ProcessGroup
    ports: Ports
    git_port: int
    gateway_port: int
    main_thread: "MainThread"


_START_SECONDS: Mapping[Backend, float] = {"local": 180.0, "kind": 1800.0, "existing": 900.0}
"""The sum of what its steps may take, each of which has a limit of its own: images may have to be pulled."""


def start_seconds(spec: LabSpec) -> float:
    """After what time the start of a lab has failed, whatever it is at: its clusters are started one after another."""
    return sum(_START_SECONDS[cluster.backend] for cluster in spec.clusters)


def make(spec: ClusterSpec, around: Surroundings) -> "ClusterBackend":
    """The backend of one cluster. Raises ToolchainError when its program is missing."""
    match spec.backend:
        case "kind":
            from .kind import KindCluster

            return KindCluster(
                spec,
                lab=around.lab.name,
                folder=around.folder,
                toolchain=around.toolchain,
                kind=kind_program(),
                gateway_port=around.gateway_port,
                main_thread=around.main_thread,
            )
        case "existing":
            from .existing import ExistingCluster

            return ExistingCluster(
                spec,
                lab=around.lab.name,
                repository=around.lab.repository.name,
                folder=around.folder,
                toolchain=around.toolchain,
                git_port=around.git_port,
                gateway_port=around.gateway_port,
                main_thread=around.main_thread,
            )
        case "local":
            from .local import LocalCluster

            return LocalCluster(
                spec,
                folder=around.folder,
                toolchain=around.toolchain,
                processes=around.processes,
                ports=around.ports,
                gateway_port=around.gateway_port,
                links=around.lab.links,
                main_thread=around.main_thread,
            )


def kind_program() -> Path:
    """The program kind. Raises ToolchainError that says how to get it."""
    return find(components=KIND_COMPONENTS).binary("kind")


def check(spec: LabSpec, toolchain: Toolchain, *, folder: LabFolder) -> None:
    """Raise FluxlabError for what a lab's clusters need and do not find, before anything is made.

    In `folder`, the lab's, are the credentials that are tried, for as long as that takes: made if it is not there yet,
    by whoever holds the lab's lock.
    """
    for cluster in spec.clusters:
        if cluster.backend == "kind":
            from .kind import check_machine

            kind_program()
            check_machine(cluster, lab=spec.name, known=Root.of(folder.cluster(cluster.name)))
        elif cluster.backend == "existing":
            from .existing import connect

            folder.create()
            with TemporaryDirectory(dir=folder.scratch) as scratch:
                connect(cluster, folder=Path(scratch), kubectl=toolchain.binary("kubectl")).close()


def remove(folders: Iterable[Path], *, progress: Callable[[str], object] = lambda _: None) -> None:
    """Remove what clusters (by their folders) left outside these, whatever has become of their lab.

    Raises NotRemovedError, after having tried all.
    """
    troubles = []
    for folder in folders:
        try:
            root = Root.of(folder)
            if root.footing is Footing.LOCAL:
                continue
            progress(f"removing what the lab made for cluster {folder.name}")
            _remove(folder, root)
        except (FluxlabError, OSError) as error:
            troubles.append(f"cluster {folder.name}: {error}")
    if troubles:
        hint = "fluxlab down again, when they answer; with --forget it stays there for good"
        raise NotRemovedError("what the lab made outside its folder is still there", facts=troubles, hint=hint)


def _remove(folder: Path, root: Root) -> None:
    if root.footing is Footing.KIND:
        from .kind import nodes_of
        from .kind_nodes import daemon

        with daemon() as client:
            nodes_of(root, lab=root.labels[LAB_LABEL], cluster=folder.name).remove(client)
    else:
        from .removal import remove_from_cluster

        remove_from_cluster(folder / "kubeconfig", root)
