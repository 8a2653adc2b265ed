"""What a cluster can be asked for, and why not: one table for all backends, proven by tests/backends."""

from collections.abc import Mapping
from enum import StrEnum

from fluxlab.errors import UnknownError


class Footing(StrEnum):
    """How fluxlab stands in a cluster: what it made itself, and whose Flux it uses."""

    LOCAL = "local"
    """Processes of fluxlab's, on loopback."""
    KIND = "kind"
    """Containers of the lab's own, made by kind."""
    INSTALLED = "existing"
    """Somebody's cluster, in which fluxlab has installed Flux for as long as the lab lives."""
    GUEST = "existing, with its own Flux"
    """Somebody's cluster, whose own Flux follows one more repository."""


class Capability(StrEnum):
    """Something that a test or a command may need of a cluster."""

    BOOTSTRAP = "bootstrap"
    """Flux itself is in the lab's repository, and its root objects are flux-system/flux-system."""
    MAPPED_HOSTS = "mapped-hosts"
    """The public URLs in manifests are answered by the lab's gateway."""
    CONTAINERS = "containers"
    """Pods have containers that run."""
    RESTART = "restart"
    """A component can be stopped and started."""
    CONTROLLER_LOGS = "controller-logs"
    """What Flux's controllers log is in the lab's timeline, and can be expected."""
    AUDIT = "audit"
    """Who changed something is known by the API server's audit log, and not by field managers only."""
    SNAPSHOT = "snapshot"
    """The cluster can be written to a file, and start from it."""
    LINKS = "links"
    """TCP hops between its parts can be broken."""
    PROCESSES = "processes"
    """Its programs are processes of this machine, which can be stopped, killed and started again."""
    STAGES = "stages"
    """The lives of its pods and nodes are played by KWOK's Stages, which can play others."""
    LEADER_ELECTION = "leader-election"
    """Flux's controllers hold Leases, and end when they lose them."""
    MEMORY_LIMITS = "memory-limits"
    """Whoever takes more memory than its limit is killed."""


SIMULATED = "pods are simulated by KWOK"
_IN_PODS = "pods keep their logs to themselves: kubectl -n flux-system logs"
_NOT_OURS = "fluxlab does not own this control plane"
_IN_CONTAINERS = "its programs run in containers"
_REAL_PODS = "its pods and nodes are real"
_ITS_FLUX = "its Flux belongs to somebody else, and is used as it is"
_NO: Mapping[Footing, Mapping[Capability, str]] = {
    Footing.LOCAL: {
        Capability.LEADER_ELECTION: "its controllers are processes outside a cluster, and elect no leader",
        Capability.MEMORY_LIMITS: "its programs are processes without cgroups, and nothing limits their memory",
    },
    Footing.KIND: {
        Capability.CONTROLLER_LOGS: _IN_PODS,
        Capability.AUDIT: "kind's API server keeps no audit log",
        Capability.SNAPSHOT: "etcd runs in a node",
        Capability.LINKS: "its parts speak to each other within the nodes",
        Capability.PROCESSES: _IN_CONTAINERS,
        Capability.STAGES: _REAL_PODS,
    },
    Footing.INSTALLED: {
        Capability.CONTROLLER_LOGS: _IN_PODS,
        Capability.AUDIT: _NOT_OURS,
        Capability.SNAPSHOT: _NOT_OURS,
        Capability.LINKS: _NOT_OURS,
        Capability.PROCESSES: _NOT_OURS,
        Capability.STAGES: _NOT_OURS,
    },
    Footing.GUEST: {
        Capability.BOOTSTRAP: _ITS_FLUX,
        Capability.MAPPED_HOSTS: _ITS_FLUX,
        Capability.RESTART: _ITS_FLUX,
        Capability.CONTROLLER_LOGS: _ITS_FLUX,
        Capability.AUDIT: _NOT_OURS,
        Capability.SNAPSHOT: _NOT_OURS,
        Capability.LINKS: _NOT_OURS,
        Capability.PROCESSES: _NOT_OURS,
        Capability.STAGES: _NOT_OURS,
        Capability.LEADER_ELECTION: _ITS_FLUX,
        Capability.MEMORY_LIMITS: _ITS_FLUX,
    },
}


class UnsupportedError(UnknownError):
    """A cluster lacks what was asked of it: nothing was done, and nothing is known."""


def lack(footing: Footing, capability: Capability, *, simulated: bool) -> str:
    """Why a cluster, whose pods are `simulated` or not, cannot do something; empty when it can."""
    if simulated and capability is Capability.CONTAINERS:
        return SIMULATED
    return _NO[footing].get(capability, "")
