"""What a fault is: planned, injected, proven to be in by somebody else's observation, healed, proven to be gone."""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict

from fluxlab.cluster import Cluster
from fluxlab.clusters.api import KubeApi
from fluxlab.clusters.capabilities import Capability
from fluxlab.documents import Json
from fluxlab.repository import Repository
from fluxlab.state import LabFolder
from fluxlab.status import ClusterState, LabStatus
from fluxlab.supervisor.control import Control


class Layer(StrEnum):
    """What of a lab a fault is in: a module or a folder of `layers` each."""

    GIT = "git"
    CHARTS = "charts"
    SOURCES = "sources"
    LINKS = "links"
    API = "api"
    ETCD = "etcd"
    CONTROLLERS = "controllers"
    NODES = "nodes"
    PODS = "pods"
    SECRETS = "secrets"
    MANIFESTS = "manifests"
    HUMANS = "humans"


def left_of(fault: str) -> str:
    """How the names of scratch folders of a fault's steps begin."""
    return f"{fault}."


class Parameters(BaseModel):
    """What of a fault can be chosen; names end in units (`latency_milliseconds`), bounds are the fields' own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Parameters)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a fault gets to see and to change: one cluster of a lab, with what is around it."""

    cluster: Cluster
    folder: LabFolder
    control: Control
    open_repository: Callable[[], Repository]
    links: bool
    """Whether the hops between the parts of the cluster lead through toxiproxy."""
    fault: str = ""
    """The id of the fault that it is for; empty where none is in, or about to be."""

    @contextmanager
    def scratch_folder(self) -> Iterator[Path]:
        """A folder that only a running step needs. Of one that is cut off, healing finds it by the fault's id."""
        prefix = left_of(self.fault) if self.fault else None
        with TemporaryDirectory(dir=self.folder.scratch, prefix=prefix) as folder:
            yield Path(folder)

    @cached_property
    def repository(self) -> Repository:
        """The repository that the cluster reconciles. Raises FluxlabError while no supervisor serves it."""
        return self.open_repository()

    @property
    def api(self) -> KubeApi:
        """The cluster's API, for its administrator."""
        return self.cluster.api

    def typed(self, program: str, *words: str) -> str:
        """A command that runs kubectl or flux at this cluster, as a person types it."""
        place = f"--lab {self.folder.name} --cluster {self.cluster.name}"
        return f"fluxlab {program} {place} -- {shlex.join(words)}"

    def status(self) -> LabStatus:
        """How the lab is now, told by its supervisor."""
        return self.control.status()

    def state(self) -> ClusterState:
        """How this cluster is now, told by its supervisor."""
        return next(one for one in self.status().clusters if one.name == self.cluster.name)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a fault will do: the same for the same lab, parameters and seed."""

    touches: frozenset[str]
    """What it changes, as `process:NAME`, `link:NAME`, `host:NAME`, `object:KIND NAMESPACE/NAME` or `branch:NAME`."""
    undo: Mapping[str, Json] = field(default_factory=dict, repr=False)
    """What healing needs to know besides: how it was. It may hold values of Secrets: it is for the record only."""


@dataclass(frozen=True, kw_only=True)
class Injection(Generic[P]):
    """One planned fault: everything by which it can be put in, and taken out by somebody else."""

    id: str
    target: str
    parameters: P
    undo: Mapping[str, Json] = field(repr=False)

    def text(self, key: str) -> str:
        """A text in `undo`."""
        return str(self.undo[key])


class NoParameters(Parameters):
    """Nothing to choose."""


class Fault(ABC, Generic[P]):
    """One way in which things break. It holds no state: what an injection needs to remember is in its record.

    The methods that prove return what was seen, as a sentence, or nothing when it is not so (yet); they are asked
    until it is or the time is up. They must not read the injector's own configuration.
    """

    name: ClassVar[str]
    layer: ClassVar[Layer]
    summary: ClassVar[str]
    """What happens, in one sentence."""
    expect: ClassVar[str]
    """What Flux says and does then, and what becomes of it after healing."""
    parameters: ClassVar[type[Parameters]] = NoParameters
    needs: ClassVar[frozenset[Capability]] = frozenset()
    """What a cluster must be able to for this fault."""
    proof_seconds: ClassVar[float] = 30.0
    """How long it may take until the fault shows, and until it is gone."""

    impossible: ClassVar[str] = ""
    """Why no cluster at all can have it (yet); such a fault is listed, and refused before anything is touched."""

    def lacks(self, ground: Ground) -> str:
        """Why this cluster cannot have it; empty when it can."""
        if self.impossible:
            return self.impossible
        return next((f"{one}: {why}" for one in sorted(self.needs) if (why := ground.cluster.lacks(one))), "")

    @abstractmethod
    def candidates(self, ground: Ground) -> Sequence[str]:
        """What it can be done to, in an order that depends on names only."""

    @abstractmethod
    def plan(self, ground: Ground, target: str, parameters: P, random: Random) -> Plan:
        """What would be done to this candidate. Changes nothing."""

    @abstractmethod
    def inject(self, ground: Ground, injection: Injection[P]) -> None:
        """Put it in. May be cut off anywhere."""

    @abstractmethod
    def injected(self, ground: Ground, injection: Injection[P]) -> str:
        """What a client that has no part in the injection sees of it."""

    @abstractmethod
    def heal(self, ground: Ground, injection: Injection[P]) -> None:
        """Take it out, however much of it is in: nothing, a part, all, or none any more."""

    @abstractmethod
    def healed(self, ground: Ground, injection: Injection[P]) -> str:
        """What that client sees when it is gone."""

    def by_hand(self, ground: Ground, injection: Injection[P]) -> Sequence[str]:
        """The commands that take it out, for a person whom `heal` has failed."""
        del injection
        return last_resort(ground.folder.name, lasts=ground.cluster.root.lasts)


def last_resort(lab: str, *, lasts: bool) -> Sequence[str]:
    """The command that is left when nothing else helps: none for a cluster that is there without the lab, where `down`
    refuses while a fault is in.
    """
    return [] if lasts else [f"fluxlab down {lab}    # the last resort: everything of the lab goes"]


class Impossible(Fault[NoParameters]):
    """A fault that people look for, and that no cluster can have: `impossible` says why. It never gets to act."""

    def candidates(self, ground: Ground) -> Sequence[str]:
        del ground
        return ()

    def plan(self, ground: Ground, target: str, parameters: NoParameters, random: Random) -> Plan:
        raise NotImplementedError(self.impossible)

    def inject(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        raise NotImplementedError(self.impossible)

    def injected(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        raise NotImplementedError(self.impossible)

    def heal(self, ground: Ground, injection: Injection[NoParameters]) -> None:
        raise NotImplementedError(self.impossible)

    def healed(self, ground: Ground, injection: Injection[NoParameters]) -> str:
        raise NotImplementedError(self.impossible)


FaultTypes: TypeAlias = Sequence[type[Fault[Any]]]
"""The faults of one layer."""
