"""A handle on a running lab: it finds the parts and puts them together, and does nothing itself."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path

from . import snapshots
from .clusters.api import KubeApi
from .clusters.secret import set_secret
from .errors import FluxlabError, UsageError
from .flux.convergence import converge, stopped_controllers
from .flux.look import Convergence, Target, look
from .host import ended_by_exception
from .repository import Repository
from .scenarios import Scenario, load_scenario
from .servers.chart_packaging import package_chart
from .servers.charts import ChartRepository, ChartVersion
from .servers.oci import push_chart, registry_host
from .snapshots import Snapshot
from .spec import LabSpec
from .state import LabFolder, Phase, checked_name, lab_folders
from .status import LabStatus, StepState
from .supervisor.charts import chart_folder
from .supervisor.control import Control, SupervisorGoneError
from .supervisor.launch import Progress, alive, end, launch
from .supervisor.way_out import way_out
from .toolchain import find

DEFAULT_TIMEOUT_SECONDS = 120.0


class Lab:
    """One lab. Everything but the supervisor's verbs works from what is on disk, also while the supervisor is dead."""

    def __init__(self, folder: LabFolder) -> None:
        if not folder.spec.exists():
            raise UsageError(
                f"there is no lab {folder.name!r}",
                facts=[f"there are: {', '.join(known.name for known in lab_folders()) or 'none'}"],
                hint=f"fluxlab up --name {folder.name}",
            )
        self.folder = folder
        self.control = Control(folder)

    @classmethod
    def up(
        cls,
        spec: LabSpec,
        *,
        base: Path = Path(),
        progress: Progress = lambda _: None,
        retain: bool = False,
        lifeline: bool = False,
    ) -> "Lab":
        """Have the lab of `spec` run; a new one begins with its charts and scenarios, by paths relative to `base`.

        With `lifeline` a new lab ends, and its folder goes, when this process does, whatever ends it.

        Raises what `supervisor.launch.launch` raises, and UsageError for a chart or scenario that is not there.
        """
        scenarios = [load_scenario(name) for name in spec.scenarios]
        sources = [(repository.url, base / chart) for repository in spec.charts for chart in repository.charts]
        for url, source in sources:
            if not source.exists() and not LabFolder.named(spec.name).spec.exists():
                raise UsageError(f"{source}: no such chart", facts=[f"the lab file names it for {url}"])

        def fill() -> None:
            lab = cls(LabFolder.named(spec.name))
            for url, source in sources:
                progress(f"adding {source.name} to {url}")
                lab.add_chart(source, url=url, replace=True)
            for scenario in scenarios:
                progress(f"applying {scenario.name}")
                lab.apply(scenario)

        launch(spec, progress=progress, serving=fill, retain=retain, lifeline=lifeline)
        return cls(LabFolder.named(spec.name))

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
        spec = snapshots.read(file).spec
        spec = spec.model_copy(update={"name": checked_name(name)}) if name else spec
        versions = find().versions

        def prepare(folder: LabFolder) -> None:
            progress(f"unpacking {file.name}")
            snapshots.unpack(file, folder, toolchain=versions, sha256=sha256)

        launch(spec, progress=progress, prepare=prepare, lifeline=lifeline)
        return cls(LabFolder.named(spec.name))

    def save_snapshot(self, target: Path, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> Snapshot:
        """Write the lab, once its newest commit has arrived everywhere, into a file that starts anywhere.

        The file holds the Secrets of the clusters, and none of the lab's own keys. Raises FluxlabError.
        """
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
        labs = lab_folders()
        if len(labs) != 1:
            names = ", ".join(folder.name for folder in labs)
            hint = "add --lab NAME, or set FLUXLAB_LAB" if labs else "fluxlab up"
            raise UsageError("there are several labs" if labs else "no lab is running", facts=[names], hint=hint)
        return cls(labs[0])

    def down(self) -> None:
        """End the lab and remove all of it."""
        end(self.folder)

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.folder.name

    @cached_property
    def spec(self) -> LabSpec:
        """The spec with which the lab was started."""
        return LabSpec.model_validate_json(self.folder.spec.read_text())

    def status(self) -> LabStatus:
        """How the lab is; told from its record when its supervisor is dead."""
        record = self.folder.read_record()
        phase, error = "dead", f"its supervisor is gone; see {self.folder.supervisor_log}"
        if record and alive(record):
            try:
                return self.control.status()
            except SupervisorGoneError as gone:
                if record.phase is Phase.READY:  # it would answer, or it ended just now
                    phase, error = ("hung", gone.what) if alive(record) else (phase, error)
                else:
                    phase, error = record.phase, ""
        return LabStatus(
            name=self.name,
            phase="failed" if record and record.phase == Phase.FAILED else phase,
            error=(record and record.error) or error,
            folder=str(self.folder.root),
            steps=tuple(StepState(name=step.name, at_seconds=step.at_seconds) for step in record.steps)
            if record
            else (),
        )

    @cached_property
    def repository(self) -> Repository:
        """The repository that the lab's clusters reconcile. Raises FluxlabError while no supervisor serves it."""
        state = self.control.status().repositories[0]
        return Repository(folder=self.folder, spec=self.spec.repository, clone_url=state.clone_url)

    def kubeconfig(self, cluster: str | None = None) -> Path:
        """The administrator's kubeconfig of a cluster (default: the only one)."""
        return self.folder.kubeconfig(self.spec.cluster(cluster).name)

    def api(self, cluster: str | None = None) -> KubeApi:
        """A client for a cluster's API."""
        return KubeApi.from_kubeconfig(self.kubeconfig(cluster))

    def set_secret(
        self, place: str, key: str, value: str, *, cluster: str | None = None, create_namespace: bool = False
    ) -> None:
        """Set a key of the Secret at `NAMESPACE/NAME` of a cluster, which is made if need be; its other keys stay.

        Raises UsageError for what cannot be, or a namespace that is not there.
        """
        with self.api(cluster) as api:
            set_secret(api, place, key, value, create_namespace=create_namespace)

    # -- charts and scenarios ------------------------------------------------------------------------------------

    def charts(self, url: str) -> ChartRepository:
        """The chart repository behind a public URL, to add to and to yank from; it is served from now on."""
        self.control.serve_charts(url.rstrip("/"))
        return ChartRepository(chart_folder(self.folder, url))

    def add_chart(self, source: Path, *, url: str, replace: bool = False) -> ChartVersion:
        """Add an archive, or a chart folder (packaged on the way), to the chart repository behind a public URL.

        In a registry (`oci://`) a version is a tag, and is always replaced.
        """
        with tempfile.TemporaryDirectory(dir=self.folder.scratch) as folder:
            archive = source if source.is_file() else package_chart(source, Path(folder))
            if not url.startswith("oci://"):
                return self.charts(url).add(archive, replace=replace)
            self.control.serve_registry(registry_host(url))
            return push_chart(archive, url, helm=find().binary("helm"), environment=way_out(self.folder))

    def apply(self, scenario: Scenario | str, *, message: str | None = None) -> str:
        """Serve a scenario's charts and commit its manifests; returns the commit."""
        found = load_scenario(scenario) if isinstance(scenario, str) else scenario
        for chart in found.content.charts:
            self.add_chart(found.folder / chart.path, url=chart.repository, replace=True)
        return self.repository.commit(found.files(), message or f"Add {found.name}")

    # -- convergence ---------------------------------------------------------------------------------------------

    def converge(
        self,
        commit: str | None = None,
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
        repository = self.repository
        wanted = repository.resolve(commit) if commit else repository.head()
        text = cache(partial(repository.text, wanted))
        apis = {cluster.name: self.api(cluster.name) for cluster in self.spec.clusters}

        def look_again() -> Sequence[Convergence]:
            accepted = repository.since(wanted)
            if not accepted:
                raise FluxlabError(
                    f"commit {wanted[:10]} is not on branch {repository.branch} (any more)",
                    facts=[f"the branch is at {repository.head()[:10]}"],
                )
            target = Target(
                url=repository.url,
                branch=repository.branch,
                commit=wanted,
                accepted=accepted,
                text=text,
            )
            return [self._addressed(look(api, target, cluster=name)) for name, api in apis.items()]

        try:
            return converge(
                look_again,
                timeout_seconds=timeout_seconds,
                progress=progress,
                until_asked=until_asked,
                explain=lambda: [fact for api in apis.values() for fact in stopped_controllers(api)],
            )
        finally:
            for api in apis.values():
                api.close()

    def _addressed(self, seen: Convergence) -> Convergence:
        """With commands that say which lab and which cluster they are for, where that is not plain."""
        lab = f" --lab {self.name}" if self.name != LabSpec().name else ""
        cluster = f" --cluster {seen.cluster}" if len(self.spec.clusters) > 1 else ""
        pending = (replace(each, next=f"{each.next}{lab}{cluster}") if each.next else each for each in seen.pending)
        return replace(seen, pending=tuple(pending))
