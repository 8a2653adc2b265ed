"""What every backend of a cluster offers, and how the state of its parts is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    """One part of a cluster or of the lab: whether it runs, and if not, why."""

    name: str
    state: str
    """`running`, `stopped` (on purpose) or `dead`."""
    detail: str = ""
    pid: int | None = None
    log: str = ""

    @property
    def well(self) -> bool:
        """Whether it is as it should be."""
        return self.state != "dead"


class ClusterBackend(Protocol):
    """One Kubernetes control plane with Flux, as the supervisor drives it."""

    name: str
    kubeconfig: Path

    def launch(self) -> None:
        """Start what everything else waits for, without waiting."""

    def await_api(self) -> None:
        """Wait until the API serves Kubernetes' and Flux's resources. Raises FluxlabError with the reason."""

    def start_workers(self) -> None:
        """Start the controllers, once what they find at their start is in place."""

    def repair(self) -> Sequence[str]:
        """Start again what died; returns the names."""

    def restart(self, component: str) -> None:
        """Stop and start one component. Raises UsageError on an unknown name."""

    def components(self) -> Sequence[ComponentStatus]:
        """The state of each part."""

    def stop(self) -> None:
        """End everything, in order; also half-made states."""
