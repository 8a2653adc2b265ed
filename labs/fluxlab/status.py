"""What is told of a lab: the answer of the `status` verb, and of `fluxlab status -o json`."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ComponentState(_Model):
    """One part of the lab: `running`, `stopped` on purpose, or `paused` or `dead` with the reason."""

    name: str
    state: str
    detail: str = ""
    pid: int | None = None
    log: str = ""


class RepositoryState(_Model):
    """A git repository: its public URL, where a clone on this machine reaches it, and the last push it announced."""

    name: str
    url: str
    branch: str
    clone_url: str
    head: str | None
    last_webhook: str = ""
    clones: tuple[str, ...] = ()


class ChartState(_Model):
    """One version of a chart that the lab serves; a stand-in says so."""

    repository: str
    name: str
    version: str
    stand_in: bool
    description: str = ""


class LinkState(_Model):
    """One TCP hop that leads through toxiproxy: the port at which the consumer connects, and where that leads."""

    name: str
    port: int
    upstream: int


class ClusterState(_Model):
    """One cluster: how to reach it and how its parts are."""

    name: str
    backend: str
    footing: str
    """What of the cluster is fluxlab's: a key of the table of capabilities."""
    lacks: dict[str, str] = {}
    """Capabilities that it does not have, and why."""
    nodes: int
    path: str
    kubeconfig: str
    components: tuple[ComponentState, ...] = ()
    links: tuple[LinkState, ...] = ()

    def pid_of(self, program: str) -> int | None:
        """The process of one of its programs, if it runs as one of this machine."""
        return next((part.pid for part in self.components if part.name.rpartition("/")[2] == program), None)


_ENDLESS = {"stuck": "could not be taken out", "waiting": "waits to be taken out"}
"""How it is told of the states of a fault in which its time does not count."""


class FaultTold(_Model):
    """Something that is broken on purpose."""

    id: str
    fault: str
    cluster: str
    targets: tuple[str, ...]
    state: str
    until: datetime

    def __str__(self) -> str:
        how = _ENDLESS.get(self.state) or f"until {self.until.astimezone():%H:%M:%S}"
        return f"fault {self.id} in {', '.join(self.targets)}: {how} (fluxlab heal {self.id})"


class StepState(_Model):
    """One finished step of the start, in seconds since the supervisor began."""

    name: str
    at_seconds: float


class LabStatus(_Model):
    """A lab as a whole. `phase` is starting, ready, stopping, failed, dead (its supervisor is gone) or hung."""

    name: str
    phase: str
    error: str = ""
    folder: str
    supervisor_pid: int | None = None
    components: tuple[ComponentState, ...] = ()
    clusters: tuple[ClusterState, ...] = ()
    repositories: tuple[RepositoryState, ...] = ()
    charts: tuple[ChartState, ...] = ()
    sinks: dict[str, str] = {}
    """The public hosts at which alerts end, and what kind of sink each is."""
    mapped: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    steps: tuple[StepState, ...] = ()
    toolchain: dict[str, str] = {}
    faults: tuple[FaultTold, ...] = ()
    """What is broken on purpose, or may be."""
    faults_unknown: str = ""
    """Why that is not known in whole."""

    def broken(self) -> list[ComponentState]:
        """The parts that are dead, or paused."""
        parts = [*self.components, *(part for cluster in self.clusters for part in cluster.components)]
        return [part for part in parts if part.state in {"dead", "paused"}]

    def fault_of(self, part: ComponentState) -> FaultTold | None:
        """What is broken on purpose and has it that a part of a cluster does not run."""
        mine = (one for one in self.faults for target in one.targets if part.name == f"{one.cluster}/{target}")
        return next(mine, None)

    @property
    def well(self) -> bool:
        """Whether the lab is ready and all its parts run."""
        return self.phase == "ready" and not self.broken()
