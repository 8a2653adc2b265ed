"""What the supervisor answers: each verb, carried from the services' loop to the main thread where it must be."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fluxlab.clones import known_clones
from fluxlab.clusters.base import PAUSED, ClusterBackend, ComponentStatus
from fluxlab.clusters.capabilities import Capability
from fluxlab.flux import bootstrap
from fluxlab.host_rules import HostRule
from fluxlab.processes import ManagedProcess
from fluxlab.servers.chart_metadata import is_stand_in
from fluxlab.spec import SinkSpec
from fluxlab.state import Phase
from fluxlab.status import ChartState, ClusterState, ComponentState, LabStatus, LinkState, RepositoryState, StepState

if TYPE_CHECKING:
    from .lifecycle import Supervisor

CLUSTERS_SECONDS = 8.5
"""For how long clusters are asked how they are: whoever asks for the status waits a little longer (`control`)."""


class SupervisorVerbs:
    """Implements control_app.Verbs for one supervisor."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self._supervisor = supervisor

    async def stop(self) -> None:
        """End the lab; the answer comes before the end."""
        self._supervisor.request_stop()

    async def restart(self, component: str) -> None:
        """Stop and start one component, and whoever had to do without it."""
        await asyncio.wrap_future(self._supervisor.call(lambda: self._supervisor.restart(component)))

    async def repair(self, cluster: str) -> list[str]:
        """Start again what died, in one cluster or, without a name, in all of the lab; returns the names."""
        repaired: list[str] = []
        await asyncio.wrap_future(self._supervisor.call(lambda: repaired.extend(self._supervisor.repair(cluster))))
        return repaired

    async def allow(self, host: str) -> None:
        """Let the gateway pass a host through."""
        self._supervisor.services.routes.allow(host)

    async def serve_registry(self, host: str) -> None:
        """Answer for an OCI registry at a public host."""
        await self._supervisor.services.serve_registry(host)

    async def serve_sink(self, sink: SinkSpec) -> None:
        """Answer for a public host at which alerts end; its Secret is there then, or when the lab has started."""
        self._supervisor.services.serve_sink(sink)
        made = self._supervisor.call(self._supervisor.make_sink_secrets)
        if self._supervisor.record.phase is not Phase.STARTING:
            await asyncio.wrap_future(made)

    async def serve_charts(self, url: str) -> None:
        """Answer for a chart repository at a public URL."""
        self._supervisor.services.serve_charts(url)

    async def put_rule(self, rule: HostRule) -> None:
        """Have something wrong with a host that the gateway answers for."""
        self._supervisor.services.gateway.put_rule(rule)

    async def lift_rules(self, id_: str) -> None:
        """Take out the gateway's rules of an id."""
        self._supervisor.services.gateway.lift_rules(id_)

    async def rules(self) -> Sequence[HostRule]:
        """The gateway's rules that are in."""
        return self._supervisor.services.gateway.rules()

    async def save_state(self, folder: str) -> None:
        """Write what each cluster's etcd holds, without the lab's own tokens."""
        own = (*bootstrap.OWN_SECRETS, *self._supervisor.services.sink_tokens)
        for cluster in self._supervisor.clusters:
            target = Path(folder) / f"{cluster.name}.db"
            await asyncio.to_thread(cluster.save_state, target, leave_out=own)

    async def load_state(self, folder: str) -> None:
        """Have the etcd of each cluster go on with other data, where there are some."""
        for cluster in self._supervisor.clusters:
            data = Path(folder) / cluster.name
            if data.exists():
                await asyncio.wrap_future(self._supervisor.call(partial(cluster.load_state, data)))

    async def status(self) -> LabStatus:
        """How the lab is. Reads files and asks git: off the loop."""
        return await asyncio.to_thread(self._status)

    def _status(self) -> LabStatus:
        supervisor = self._supervisor
        record, services = supervisor.record, supervisor.services
        parts = self._parts()
        return LabStatus(
            name=supervisor.folder.name,
            phase=record.phase,
            error=record.error,
            folder=str(supervisor.folder.root),
            supervisor_pid=record.supervisor.pid,
            components=(
                *(
                    ComponentState(name=name, state="running", detail=f"127.0.0.1:{port}")
                    for name, port in services.ports.items()
                ),
                *self._registry(),
                *self._recorder(),
            ),
            clusters=tuple(self._cluster(cluster, parts[cluster.name]) for cluster in supervisor.clusters),
            repositories=(self._repository(),),
            charts=self._charts(),
            sinks={host: sink.kind for host, sink in dict(services.sinks).items()},
            mapped=tuple(services.routes.mapped()),
            allowed=tuple(services.routes.allowed()),
            steps=tuple(StepState(name=step.name, at_seconds=step.at_seconds) for step in record.steps),
            toolchain=dict(supervisor.toolchain.versions),
        )

    def _parts(self) -> Mapping[str, Sequence[ComponentStatus]]:
        """How the parts of each cluster are, all asked at once: one that hangs must keep no other from being told."""
        clusters = self._supervisor.clusters
        pool = ThreadPoolExecutor(len(clusters))
        asked = {cluster.name: pool.submit(cluster.components) for cluster in clusters}
        wait(asked.values(), timeout=CLUSTERS_SECONDS)
        pool.shutdown(wait=False)  # what is late comes to its own end
        return {one.name: asked[one.name].result() if asked[one.name].done() else [_silent(one)] for one in clusters}

    def _cluster(self, cluster: ClusterBackend, parts: Sequence[ComponentStatus]) -> ClusterState:
        spec = self._supervisor.spec.cluster(cluster.name)
        mask = self._supervisor.chronicle.mask  # of a dead one it is the last words
        return ClusterState(
            name=cluster.name,
            backend=spec.backend,
            footing=str(cluster.root.footing),
            lacks={str(one): reason for one in Capability if (reason := cluster.root.lacks(one))},
            nodes=spec.nodes,
            path=spec.path,
            kubeconfig=str(cluster.kubeconfig),
            components=tuple(
                ComponentState(name=part.name, state=part.state, detail=mask(part.detail), pid=part.pid, log=part.log)
                for part in parts
            ),
            links=tuple(LinkState(name=link.name, port=link.port, upstream=link.upstream) for link in cluster.links()),
        )

    def _repository(self) -> RepositoryState:
        services = self._supervisor.services
        repository = services.repository
        deliveries = [f"{'delivered' if d.delivered else 'not delivered'}: {d.detail}" for d in services.deliveries()]
        return RepositoryState(
            name=repository.name,
            url=repository.url,
            branch=repository.branch,
            clone_url=services.clone_url,
            head=repository.served_commit(),
            last_webhook="; ".join(deliveries),
            clones=known_clones(self._supervisor.folder, repository.name),
        )

    def _registry(self) -> tuple[ComponentState, ...]:
        registry = self._supervisor.services.registry
        if (process := registry.process) is None:
            return ()
        return (self._process(process, registry.trouble),)

    def _recorder(self) -> Iterator[ComponentState]:
        recording, chronicle = self._supervisor.recording, self._supervisor.chronicle
        if process := recording.process:
            yield self._process(process, lambda: recording.trouble or chronicle.trouble)

    def _process(self, process: ManagedProcess, ask: Callable[[], str]) -> ComponentState:
        """A part of the lab itself; `ask` says what is wrong with it, if its process goes on."""
        trouble = PAUSED if process.paused else ask()
        return ComponentState(
            name=process.name,
            state="paused" if trouble == PAUSED else "dead" if trouble else "running",
            detail=self._supervisor.chronicle.mask(trouble),
            pid=process.identity.pid if process.running else None,
            log=str(process.log),
        )

    def _charts(self) -> tuple[ChartState, ...]:
        return (*self._charts_over_http(), *self._charts_in_the_registry())

    def _charts_in_the_registry(self) -> Iterator[ChartState]:
        registry = self._supervisor.services.registry
        if registry.process is None or registry.trouble():
            return
        for stored in registry.stored():
            if chart := stored.chart:
                annotations = chart.get("annotations")
                yield ChartState(
                    repository=f"oci://{stored.host}/{stored.repository.rpartition('/')[0]}".rstrip("/"),
                    name=str(chart.get("name")),
                    version=str(chart.get("version")),
                    stand_in=isinstance(annotations, dict) and is_stand_in(annotations),
                    description=str(chart.get("description", "")),
                )

    def _charts_over_http(self) -> tuple[ChartState, ...]:
        return tuple(
            ChartState(
                repository=url,
                name=chart.name,
                version=chart.version,
                stand_in=chart.stand_in,
                description=chart.description,
            )
            for url, repository in dict(self._supervisor.services.charts).items()
            for chart in repository.charts()
        )


def _silent(cluster: ClusterBackend) -> ComponentStatus:
    """What is told of a cluster that has not said how it is."""
    detail = (
        f"cluster {cluster.name} does not answer within {CLUSTERS_SECONDS:g} s\n"
        f"kubectl --kubeconfig={cluster.kubeconfig} get --raw /readyz; on backend kind: docker info"
    )
    return ComponentStatus(name="api", state="dead", detail=detail)
