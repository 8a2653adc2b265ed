"""A handle on a running lab: it finds the parts and puts them together, and does nothing itself.

What only some of its users need is imported where it is needed: together it would be most of what a command takes.
"""

# ruff: noqa: PLC0415

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from .alerts import Alerts
from .cluster import Cluster
from .clusters.api import ApiError, ApiUnreachableError
from .clusters.capabilities import Capability
from .errors import FluxlabError, UsageError
from .fault_records import TIME_LIMIT_SECONDS, FaultRecord, FaultRecords
from .files import OfFile
from .flux.convergence import converge, stopped_controllers
from .flux.look import Convergence
from .flux.requests import try_again
from .host import ended_by_exception
from .looks import Looks
from .moments import Commit, Moment
from .processes import Identity
from .repository import Repository
from .scenarios import Scenario, load_scenario
from .spec import LabSpec, stored_spec
from .state import LabFolder, checked_name, described_labs
from .status import LabStatus
from .supervisor.charts import chart_folder
from .supervisor.control import Control, SupervisorGoneError
from .supervisor.elsewhere import Elsewhere
from .supervisor.inspect import faults_of, status_of
from .supervisor.launch import Progress, alive, end, launch, let_go, resume
from .supervisor.way_out import way_out
from .timeline.folder import TimelineFolder
from .timeline.pushes import before_push_of
from .toolchain import find
from .waiting import never, wait_until

if TYPE_CHECKING:
    from .adoption.result import Adoption
    from .drift.builds import Builds
    from .drift.edits import Edit
    from .drift.records import DriftReport
    from .faults.base import Ground
    from .faults.injecting import Faults
    from .servers.charts import ChartRepository, ChartVersion
    from .snapshots import Snapshot

DEFAULT_TIMEOUT_SECONDS = 120.0
TRIED_AGAIN_SECONDS = 5.0
MOMENT_SECONDS = 5.0
"""A commit is not kept waiting any longer by a cluster that stands still."""
UNREAL_SECONDS = 2.0
"""A report is not kept waiting any longer by a supervisor that hangs."""
T = TypeVar("T")


class Lab:
    """One lab. Everything but the supervisor's verbs works from what is on disk, also while the supervisor is dead."""

    timeout_factor = 1.0
    """What all waits of this handle are multiplied by, on a slow machine."""

    def __init__(self, folder: LabFolder) -> None:
        if not folder.spec.exists():
            names = ", ".join(known.name for known in described_labs())
            raise UsageError(
                f"there is no lab {folder.name!r}",
                facts=[f"there are: {names or 'none'}"],
                hint="fluxlab ls" if names else f"fluxlab up --name {folder.name}",
            )
        self.folder = folder
        self.control = Control(folder)
        self._clone_url = OfFile(folder.ports, lambda: self.control.status().repositories[0].clone_url)
        """Where the git server is: asked for again when ports were given anew, as in a resumed lab."""

    @classmethod
    def up(
        cls,
        spec: LabSpec,
        *,
        base: Path | None = None,
        progress: Progress = lambda _: None,
        retain: bool = False,
        lifeline: bool = False,
    ) -> "Lab":
        """Have the lab of `spec` run; a new one begins with its charts and scenarios, and one whose first start was cut
        off gets them now. Their paths are relative to `base`; default: the current folder, or that of the first start.

        With `lifeline` a new lab ends, and its folder goes, when this process does, whatever ends it.

        Raises what `supervisor.launch.launch` raises, and UsageError for a chart or scenario that is not there.
        """
        began = datetime.now(UTC)
        spec = spec.below(base or Path())

        def load(folder: Path) -> tuple[Sequence[tuple[str, Path]], Sequence[Scenario]]:
            scenarios = [load_scenario(name, base=folder) for name in spec.scenarios]
            sources = [(repository.url, folder / chart) for repository in spec.charts for chart in repository.charts]
            for url, source in sources:
                if not source.exists():
                    raise UsageError(f"{source}: no such chart", facts=[f"the lab file names it for {url}"])
            return sources, scenarios

        # One that is there has them, or gets them from where its first start had them.
        loaded = None if LabFolder.named(spec.name).spec.exists() else load(base or Path())

        def fill(folder: Path) -> None:
            lab = cls(LabFolder.named(spec.name))
            sources, scenarios = loaded or load(folder)
            for url, source in sources:
                progress(f"adding {source.name} to {url}")
                lab.add_chart(source, url=url, replace=True)
            repository = lab._repository(Moment)  # the clusters are not asked: they do not answer yet
            for scenario in scenarios:
                progress(f"applying {scenario.name}")
                repository.apply(scenario)
            repository.close()

        launch(spec, progress=progress, base=base, serving=fill, retain=retain, lifeline=lifeline)
        lab = cls(LabFolder.named(spec.name))
        if FaultRecords(lab.folder).exist():
            try:
                lab.faults.recover(progress=progress)  # only now: what died may be what the healing takes
            except FluxlabError as error:
                error.facts = (f"lab {lab.name} runs: whatever had died in it was started again", *error.facts)
                raise
        lab._try_again(began, progress)
        return lab

    def _try_again(self, began: datetime, progress: Progress) -> None:
        """After a start: have Flux try again what failed for a fault that was taken out since."""
        mended = FaultRecords(self.folder).mended
        if mended is None or mended < began:  # by this process, or by the watchdog meanwhile
            return
        progress("having Flux try again what failed")
        for cluster in self.clusters.values():
            # In somebody's cluster not all of it is the lab's.
            root, patience = cluster.root.reference if cluster.root.lasts else None, self.patience(TRIED_AGAIN_SECONDS)
            try_again(cluster.api, who="fluxlab-up", timeout_seconds=patience, root=root)

    @classmethod
    def restore(
        cls,
        file: Path,
        *,
        name: str | None = None,
        sha256: str | None = None,
        progress: Progress = lambda _: None,
        lifeline: bool = False,
    ) -> "Lab":
        """Start a lab as it was when a snapshot was made, under its old or another name, with keys of its own.

        Raises SnapshotRefusedError, UsageError when a lab of that name is there, and what `launch` raises.
        """
        from . import snapshots

        spec = snapshots.read(file).spec
        spec = spec.model_copy(update={"name": checked_name(name)}) if name else spec
        versions = find().versions

        def prepare(folder: LabFolder) -> None:
            progress(f"unpacking {file.name}")
            snapshots.unpack(file, folder, toolchain=versions, sha256=sha256)

        launch(spec, progress=progress, prepare=prepare, lifeline=lifeline)
        return cls(LabFolder.named(spec.name))

    def save_snapshot(self, target: Path, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> "Snapshot":
        """Write the lab, once its newest commit has arrived everywhere, into a file that starts anywhere.

        The file holds the Secrets of the clusters, and none of the lab's own keys. Raises FluxlabError.
        """
        from . import snapshots

        self._require(Capability.SNAPSHOT)
        commit = self.repository.head()
        self.converge(commit, timeout_seconds=timeout_seconds)
        with ended_by_exception(), tempfile.TemporaryDirectory(dir=self.folder.scratch) as scratch:
            self.control.save_state(Path(scratch))
            return snapshots.save(
                self.folder,
                self.spec,
                commit=commit,
                toolchain=find().versions,
                etcd=Path(scratch),
                target=target,
                unchanged=lambda: self.repository.head() == commit,
            )

    @classmethod
    def find(cls, name: str | None = None) -> "Lab":
        """The lab of that name, or the only one there is. Raises UsageError otherwise."""
        if name:
            return cls(LabFolder.named(name))
        labs = described_labs()
        if len(labs) != 1:
            names = ", ".join(folder.name for folder in labs)
            hint = "add --lab NAME, or set FLUXLAB_LAB" if labs else "fluxlab up"
            raise UsageError("there are several labs" if labs else "no lab is running", facts=[names], hint=hint)
        return cls(labs[0])

    def down(self, *, progress: Progress = lambda _: None) -> None:
        """End the lab and remove all of it.

        Raises NotRemovedError when somebody's cluster does not let go, or a fault stays in it.
        """
        self._heal_elsewhere(progress)
        self.close()
        end(self.folder, progress=progress)

    def _heal_elsewhere(self, progress: Progress) -> None:
        """Take the faults out of clusters that are there without the lab."""
        troubles: list[FluxlabError] = []
        try:
            if ids := Elsewhere.of(self.folder).ids:
                self.heal(*ids, progress=progress)
        except FluxlabError as error:  # that counts if one is left: the watchdog may have been at it, too
            troubles.append(error)
        Elsewhere.of(self.folder).check(*troubles)

    def let_go(self) -> None:
        """Have a lab that was started with a lifeline stay when this process ends."""
        let_go(self.folder)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.folder.name

    @cached_property
    def spec(self) -> LabSpec:
        """The spec with which the lab was started."""
        return stored_spec(self.folder.spec)

    def status(self) -> LabStatus:
        """How the lab is; told from its record when its supervisor is dead."""
        return status_of(self.folder)

    @cached_property
    def repository(self) -> Repository:
        """The repository that the lab's clusters reconcile. Raises FluxlabError while no supervisor serves it."""
        return self._repository(self.moment)

    def _repository(self, moment: Callable[[], Moment]) -> Repository:
        self._clone_url()  # raises where nobody serves it
        return Repository(
            folder=self.folder,
            spec=self.spec.repository,
            clone_url=self._clone_url,
            moment=moment,
            serve=self._serve,
        )

    # -- clusters ------------------------------------------------------------------------------------------------

    @cached_property
    def clusters(self) -> Mapping[str, Cluster]:
        """A handle on each cluster, by name."""
        return {
            spec.name: Cluster(
                self.folder,
                spec.name,
                patience=self.patience,
                earlier=self._earlier,
            )
            for spec in self.spec.clusters
        }

    def _earlier(self, commit: Commit) -> frozenset[str]:
        return self.repository.earlier(commit)  # asked only when needed: a lab whose supervisor is gone has clusters

    @property
    def cluster(self) -> Cluster:
        """The only cluster. Raises UsageError that names them when the lab has several."""
        if len(self.clusters) > 1:
            names = ", ".join(self.clusters)
            hint = f'lab.clusters["{next(iter(self.clusters))}"]'
            raise UsageError(f"lab {self.name} has several clusters", facts=[names], hint=hint)
        return next(iter(self.clusters.values()))

    def moment(self) -> Moment:
        """Now, in the order of each cluster's own changes; a cluster that does not answer is left out."""
        began = Moment()
        versions = {}
        for name, cluster in self.clusters.items():
            with suppress(ApiError, ApiUnreachableError):
                versions[name] = cluster.api.version(timeout_seconds=self.patience(MOMENT_SECONDS))
        return Moment(time=began.time, versions=versions)

    def patience(self, seconds: float) -> float:
        """What to wait on this machine where `seconds` would do on an ordinary one."""
        return seconds * self.timeout_factor

    def wait_until(
        self,
        probe: Callable[[], T | None],
        *,
        what: str,
        timeout_seconds: float = 30.0,
        state: Callable[[], str] = lambda: "",
    ) -> T:
        """Call `probe` until it returns something true, and return that.

        Raises WaitTimeoutError after `timeout_seconds`, with `what` and the text of `state()`, and whatever `probe`
        raises.
        """
        timeout_seconds = self.patience(timeout_seconds)
        return wait_until(probe, what=what, timeout_seconds=timeout_seconds, state=state, interval_seconds=0.1)

    def never(self, probe: Callable[[], object], *, what: str, for_seconds: float) -> None:
        """See to it for a while that `probe` never returns anything true.

        Raises FluxlabError with `what` as soon as it does, and whatever `probe` raises.
        """
        never(probe, what=what, for_seconds=self.patience(for_seconds), interval_seconds=0.1)

    def close(self) -> None:
        """Close what this handle has opened; the lab goes on."""
        if "clusters" in self.__dict__:
            for cluster in self.clusters.values():
                cluster.close()
        if "repository" in self.__dict__:
            self.repository.close()

    # -- charts and scenarios ------------------------------------------------------------------------------------

    def charts(self, url: str) -> "ChartRepository":
        """The chart repository behind a public URL, to add to and to yank from; it is served from now on."""
        from .servers.charts import ChartRepository

        self._require(Capability.MAPPED_HOSTS)
        self.control.serve_charts(url.rstrip("/"))
        return ChartRepository(chart_folder(self.folder, url))

    def add_chart(self, source: Path, *, url: str, replace: bool = False) -> "ChartVersion":
        """Add an archive, or a chart folder (packaged on the way), to the chart repository behind a public URL.

        In a registry (`oci://`) a version is a tag, and is always replaced.
        """
        from .servers.chart_packaging import package_chart
        from .servers.oci import push_chart, registry_host

        with tempfile.TemporaryDirectory(dir=self.folder.scratch) as folder:
            archive = source if source.is_file() else package_chart(source, Path(folder))
            self._require(Capability.MAPPED_HOSTS)
            if not url.startswith("oci://"):
                return self.charts(url).add(archive, replace=replace)
            self.control.serve_registry(registry_host(url))
            return push_chart(archive, url, helm=find().binary("helm"), environment=way_out(self.folder))

    def _require(self, capability: Capability) -> None:
        for cluster in self.clusters.values():
            cluster.require(capability)

    def _serve(self, scenario: Scenario) -> None:
        """Answer for the public hosts that its manifests name."""
        for sink in scenario.content.alerts:
            self._require(Capability.MAPPED_HOSTS)
            self.control.serve_sink(sink)
        for chart in scenario.served(self.spec.gateway.allow):
            self.add_chart(scenario.folder / chart.path, url=chart.repository, replace=True)

    # -- convergence ---------------------------------------------------------------------------------------------

    def converge(
        self,
        commit: Commit | str | None = None,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        progress: Callable[[Sequence[Convergence]], None] = lambda _: None,
        until_asked: bool = False,
    ) -> Sequence[Convergence]:
        """Wait until a commit (default: the branch's head) has arrived in every cluster.

        With `until_asked` it is enough that whatever has not arrived waits for a person: for a Secret to be set.

        Returns the last look at each cluster. Raises ConvergenceError with all that has not arrived and why: at once
        for a terminal failure, else after the timeout.
        """
        return converge(
            self._looks(commit),
            timeout_seconds=self.patience(timeout_seconds),
            progress=progress,
            until_asked=until_asked,
            explain=self._explain,
        )

    def _explain(self) -> Sequence[str]:
        """What commonly keeps commits from arriving."""
        stopped = [fact for one in self.clusters.values() for fact in stopped_controllers(one.api).values()]
        return [*stopped, *map(str, faults_of(self.folder))]

    def look(self, commit: Commit | str | None = None) -> Sequence[Convergence]:
        """One look at what of a commit (default: the branch's head) has arrived in each cluster, without waiting.

        Raises ApiError or ApiUnreachableError when a cluster cannot be read.
        """
        return self._looks(commit)()

    def _looks(self, commit: Commit | str | None) -> Looks:
        return Looks(
            lab=self.name,
            repository=self.repository,
            clusters=self.clusters,
            commit=commit,
            redactor=TimelineFolder(self.folder).redactor(),
            mended=lambda: FaultRecords(self.folder).mended,
            before=partial(before_push_of, folder=TimelineFolder(self.folder), branch=self.repository.branch),
        )

    def chosen(self, cluster: str | None) -> Sequence[Cluster]:
        """The cluster of that name, or all without one. Raises UsageError for one that is not there."""
        return [self.clusters[self.spec.cluster(cluster).name]] if cluster else list(self.clusters.values())

    def unreal(self, cluster: str | None = None, *, timeout_seconds: float | None = None) -> Sequence[str]:
        """What only stands in for something, in one cluster or in all: simulated pods, charts. A line each.

        Which charts do, the supervisor knows: where it does not say so in time, a line says that it is not known.
        """
        from .unreal import unreal

        return tuple(unreal(self.chosen(cluster), lambda: self.control.status(timeout_seconds=timeout_seconds).charts))

    # -- drift ---------------------------------------------------------------------------------------------------

    def drift(self, cluster: str | None = None, *, progress: Progress = lambda _: None) -> "DriftReport":
        """What differs from git in one cluster, or in all: which field, who did it, and what will become of it.

        Nothing is written to a cluster; what could not be compared is told as unknown.
        """
        from .drift.examine import MOTION_SECONDS, examine
        from .drift.records import together

        reports = [
            examine(
                one,
                repository=self.repository,
                timeline=TimelineFolder(self.folder),
                builds=self._builds,
                beside=[other for other in self.clusters.values() if other.name != one.name],
                progress=progress,
                timeout_seconds=self.patience(MOTION_SECONDS),
            )
            for one in self.chosen(cluster)
        ]
        # Only now, and not for long: the report does not depend on it.
        return together(reports, unreal=self.unreal(cluster, timeout_seconds=self.patience(UNREAL_SECONDS)))

    @cached_property
    def _builds(self) -> "Builds":
        from .drift.builds import Builds

        return Builds()

    def adopt(self, report: "DriftReport", *, branch: str = "", progress: Progress = lambda _: None) -> "Adoption":
        """Push a branch that has git say what the clusters say, to be merged or deleted, as `adopting.adopt` does."""
        from .adoption.adopting import adopt

        return adopt(
            report,
            clusters=self.clusters,
            repository=self.repository,
            timeline=TimelineFolder(self.folder),
            branch=branch,
            progress=progress,
        )

    def edits(self, cluster: str | None = None, *, since: datetime | None = None) -> Sequence["Edit"]:
        """What people changed by hand of what git should own, and what became of it: also what Flux has reverted; and
        what they made beside it.

        Raises UnknownError where no audit log tells that, or none that reaches back so far.
        """
        from .drift.trail import trail

        return trail(TimelineFolder(self.folder), cluster=self._name_of(cluster), since=since)

    def follow_edits(self, cluster: str | None = None, *, since: datetime | None = None) -> Iterator["Edit"]:
        """Each edit by hand from a moment on (default: now), and once more when it has come to an end; for ever.

        Raises UnknownError as `edits` does.
        """
        from .drift.trail import follow

        return follow(TimelineFolder(self.folder), cluster=self._name_of(cluster), since=since)

    def _name_of(self, cluster: str | None) -> str:
        """The name of a cluster, empty for all. Raises UsageError on an unknown one."""
        return self.spec.cluster(cluster).name if cluster else ""

    def report_only(
        self, cluster: str | None = None, *, progress: Progress = lambda _: None
    ) -> AbstractContextManager[None]:
        """`with lab.report_only():` keeps Flux from correcting drift in one cluster, or in all, while the block runs.

        Afterwards every object is as before, whatever ended the block but SIGKILL (then `fluxlab report-only off`
        does it), and Flux corrects at once. What somebody else changed of what was held back meanwhile stays, and
        `progress` is told. Raises WaitTimeoutError, ApiError or ApiUnreachableError.
        """
        from .drift.report_only import HOLD_SECONDS, report_only

        timeout_seconds = self.patience(HOLD_SECONDS)
        return report_only(self.chosen(cluster), progress=progress, timeout_seconds=timeout_seconds)

    # -- alerts --------------------------------------------------------------------------------------------------

    @property
    def alerts(self) -> Alerts:
        """What Flux told the world: the alerts that reached the lab's sinks."""
        return Alerts(
            TimelineFolder(self.folder), clusters=lambda: self.control.status().clusters, patience=self.patience
        )

    # -- faults --------------------------------------------------------------------------------------------------

    @cached_property
    def faults(self) -> "Faults":
        """What is broken on purpose, to be put in and taken out."""
        from .faults.injecting import Faults

        return Faults(self.folder, ground=self._ground, patience=self.patience)

    def heal(self, *ids: str, progress: Progress = lambda _: None) -> Sequence[FaultRecord]:
        """Take out faults by their ids (default: all); returns the records of what is out.

        A supervisor that is gone is brought back for it, as by `up`; then all faults that were in are taken out, but
        for those that are stuck and not asked for: with its end nobody can want them. Raises what `Faults.heal` and
        `launch` raise: SupervisorGoneError for a supervisor that runs and does not answer: it may be paused.
        """
        known = FaultRecords(self.folder)
        found = known.readable()
        try:
            return self.faults.heal(*ids, progress=progress)
        except SupervisorGoneError as gone:
            if alive(self.folder.read_record()):
                raise
            progress(f"{gone.what}: bringing the lab back, as `fluxlab up` does")
        began = datetime.now(UTC)
        resume(self.folder, progress=progress)
        self.faults.heal_overdue(progress=progress)  # those of the supervisor before, but for what was stuck
        left = {one.id for one in known.readable()}
        if wanted := [one.id for one in found if one.id in left and (not ids or one.id in ids)]:
            self.faults.heal(*wanted, progress=progress)
        self._try_again(began, progress)
        left = {one.id for one in known.readable()}
        return [one for one in found if one.id not in left]

    def fault(
        self,
        name: str,
        *,
        target: str = "",
        cluster: str | None = None,
        for_: float = TIME_LIMIT_SECONDS,
        seed: int | None = None,
        **parameters: object,
    ) -> AbstractContextManager[FaultRecord]:
        """`with lab.fault("controller-pause", target="helm-controller", for_=30):` has a fault in while a block runs.

        `for_` is its time limit in seconds: after that it is taken out in any case. It is proven to be in when the
        block begins, and proven to be gone afterwards, whatever ended the block; after SIGKILL the lab's watchdog, or
        the next command, takes it out. Raises what `Faults.inject` and `Faults.heal` raise.
        """
        return self.faults.during(
            name,
            cluster=self.spec.cluster(cluster).name,
            target=target,
            parameters=parameters,
            for_seconds=for_,
            seed=seed,
            owner=Identity.of(os.getpid()),
        )

    def _ground(self, cluster: str) -> "Ground":
        from .faults.base import Ground

        return Ground(
            cluster=self.clusters[cluster],
            folder=self.folder,
            control=self.control,
            open_repository=lambda: self.repository,
            links=self.spec.links,
        )
