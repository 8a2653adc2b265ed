"""up, down, ls, status, doctor, restart: a lab's life."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    TIMEOUT_SECONDS,
    LabArgument,
    LabFileArgument,
    LabOption,
    Output,
    OutputOption,
    TimeoutOption,
    find_lab,
)
from .output import passed_through, say, show_error, summary, table, tell, ticker

if TYPE_CHECKING:
    from fluxlab.flux.look import Convergence
    from fluxlab.lab import Lab
    from fluxlab.spec import LabSpec
    from fluxlab.state import LabFolder
    from fluxlab.status import ClusterState, LabStatus
    from fluxlab.supervisor.launch import Progress

SIMULATED = "pods are simulated by KWOK: they have no containers, and become Ready by themselves"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (up, down, ls, status, doctor, restart, consent):
        app.command()(command)


def up(
    file: LabFileArgument = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="The lab's name; default: as in the file; without one FLUXLAB_LAB, or playground."),
    ] = None,
    clone: Annotated[Path | None, typer.Option(help="Clone the repository there, to work in.")] = None,
    backend: Annotated[str | None, typer.Option(help="Where all clusters run: local, kind or existing.")] = None,
    *,
    nodes: Annotated[int | None, typer.Option(help="Nodes of each cluster; default: as in the file.", min=1)] = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
    retain: Annotated[bool, typer.Option(help="Keep the folder of a lab that did not start, for a look.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Start a lab with its scenarios, or repair the one that runs: what died or is paused is started again.

    Exit code 1 when something is dead or paused.
    """
    from fluxlab.supervisor.starter import loading_early

    with loading_early():  # before the libraries below, which take as long as those of a supervisor
        spec, base = _described(file, name=name, backend=backend, nodes=nodes)
        lab, looks = _up(spec, base=base, clone=clone, timeout=timeout, retain=retain)
        state = lab.status()
    if output is Output.JSON:
        print(state.model_dump_json(indent=2))
    else:
        _print_status(state)
        _print_next(state, looks)
    raise typer.Exit(0 if state.well else 1)


def _described(
    given: str | None, *, name: str | None, backend: str | None, nodes: int | None
) -> tuple["LabSpec", Path | None]:
    """The lab that is meant, and the folder to which its paths are relative; None: as it was started."""
    from fluxlab.lab import Lab
    from fluxlab.lab_files import find_lab_file
    from fluxlab.spec import LabSpec, load_spec
    from fluxlab.state import LabFolder, checked_name

    file = find_lab_file(given) if given else None
    spec = load_spec(file) if file else LabSpec()
    if name is None and not file:
        name = os.environ.get("FLUXLAB_LAB") or None  # the lab that is meant everywhere else; a file names its own
    if name is not None:
        spec = spec.model_copy(update={"name": checked_name(name)})
    folder = LabFolder.named(spec.name)
    if not file and folder.spec.exists():
        spec = Lab(folder).spec  # as it was started
    spec = spec.on_backend(backend) if backend else spec
    spec = spec.with_each_cluster(nodes=nodes) if nodes else spec
    return spec, file.parent if file else None


def _up(
    spec: "LabSpec", *, base: Path | None, clone: Path | None, timeout: float, retain: bool
) -> tuple["Lab", Sequence["Convergence"]]:
    from fluxlab.clones import check_target
    from fluxlab.lab import Lab
    from fluxlab.state import LabFolder
    from fluxlab.supervisor.launch import end, started_here

    folder = LabFolder.named(spec.name)
    if clone:  # first: a lab that was started would stay
        check_target(clone.absolute(), folder=folder, repository=spec.repository.name)
    new = not folder.filled
    looks: Sequence[Convergence] = ()
    with ticker() as tick:
        try:
            lab = Lab.up(spec, base=base, progress=tick, retain=retain)
            if clone:
                lab.repository.clone(clone.absolute())
            if spec.scenarios:
                looks = lab.converge(
                    timeout_seconds=timeout, progress=lambda looks: tick(summary(looks)), until_asked=True
                )
        except KeyboardInterrupt:
            if new and started_here(folder):  # another one may have started it while this one waited
                end(folder)
            raise
    return lab, looks


def _print_next(state: "LabStatus", looks: Sequence["Convergence"]) -> None:
    from fluxlab.looks import lab_option

    clones = [clone for repository in state.repositories for clone in repository.clones]
    lab = lab_option(state.name)
    print("\nnext:")
    for pending in (pending for look in looks for pending in look.pending):
        tell(f"  {pending.next}    # {pending.object} {pending.why}" if pending.next else f"  # {pending}")
    print(f"  fluxlab flux{lab} get all -A")
    print(f"  fluxlab kubectl{lab} get pods -A")
    if clones:
        print(f"  cd {clones[-1]}    # edit, git commit, git push; then: fluxlab wait{lab}")
    else:
        print(f"  fluxlab clone{lab}    # edit, git commit, git push; then: fluxlab wait{lab}")


def down(
    name: LabArgument = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="End all labs.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="Leave what labs made in Docker and in clusters that are not their own.")
    ] = False,
) -> None:
    """End a lab and remove all of it."""
    from fluxlab.errors import FluxlabError, UsageError
    from fluxlab.state import LabFolder, described_labs, lab_folders
    from fluxlab.supervisor.launch import sweep

    if name and everything:
        raise UsageError("a name and --all contradict each other")
    name = name or (None if everything else os.environ.get("FLUXLAB_LAB"))
    folders = [LabFolder.named(name)] if name else lab_folders() if everything else described_labs()
    if name and not folders[0].root.exists():
        raise UsageError(f"there is no lab {name!r}", hint="fluxlab ls")
    if len(folders) > 1 and not everything:
        raise UsageError("there are several labs", facts=[folder.name for folder in folders], hint="down NAME or --all")
    errors: list[FluxlabError] = []
    with ticker() as tick:
        for folder in folders:
            tick(f"ending {folder.name}")
            try:
                _end(folder, forget=forget, tick=tick)
            except FluxlabError as error:
                errors.append(error)  # the others end nevertheless
            else:
                say(f"lab {folder.name} is gone")
        sweep(progress=tick)
    if not folders:
        say("no lab is there")
    for earlier in errors[:-1]:
        show_error(earlier)
    if errors:
        raise errors[-1]


def _end(folder: "LabFolder", *, forget: bool, tick: "Progress") -> None:
    from fluxlab.fault_records import FaultRecords
    from fluxlab.supervisor.launch import end

    if not forget and folder.spec.exists() and FaultRecords(folder).exist():
        from fluxlab.lab import Lab  # half of what `down` takes, and of use to few

        Lab(folder).down(progress=tick)
    else:
        end(folder, leave_clusters=forget, progress=tick)


def ls(output: OutputOption = Output.TEXT) -> None:
    """List all labs."""
    from fluxlab.lab import Lab
    from fluxlab.state import described_labs

    statuses = [Lab(folder).status() for folder in described_labs()]
    if output is Output.JSON:
        print(json.dumps([state.model_dump(mode="json") for state in statuses], indent=2))
        return
    rows = [
        [state.name, _word(state), str(len(state.clusters)), ", ".join(part.name for part in state.broken()) or "-"]
        for state in statuses
    ]
    table(["NAME", "STATE", "CLUSTERS", "BROKEN"], rows)


def status(lab: LabOption = None, output: OutputOption = Output.TEXT) -> None:
    """Show what runs, and what does not and why. Exit code 1 when something is dead or paused."""
    state = find_lab(lab).status()
    if output is Output.JSON:
        print(state.model_dump_json(indent=2))
    else:
        _print_status(state)
    raise typer.Exit(0 if state.well else 1)


def _word(state: "LabStatus") -> str:
    return "broken" if state.phase == "ready" and state.broken() else state.phase


def _print_status(state: "LabStatus") -> None:
    typer.secho(f"lab {state.name}: {_word(state)}", bold=True, fg="green" if state.well else "red")
    if state.error:
        tell(f"  {state.error}")
        print(f"  next: fluxlab up --name {state.name} resumes it, fluxlab down {state.name} removes it")
    for cluster in state.clusters:
        print(f"\ncluster {cluster.name} ({_nature(cluster)})")
        table(
            ["  COMPONENT", "STATE", "PID"],
            [[f"  {part.name}", part.state, str(part.pid or "-")] for part in cluster.components],
        )
    for part in state.broken():
        typer.secho(f"\n{part.name} is {part.state}", fg="red")
        tell("  " + part.detail.replace("\n", "\n  "))
        fault = state.fault_of(part)
        again = f"fluxlab heal {fault.id} --lab {state.name}" if fault else f"fluxlab up --name {state.name}"
        print(f"  next: {again} starts it again")
    _print_faults(state)
    for repository in state.repositories:
        print(f"\nrepository {repository.url} ({repository.branch} at {(repository.head or 'none')[:10]})")
        print(f"  here: {repository.clone_url}")
        for clone in repository.clones:
            print(f"  clone: {clone}")
        if repository.last_webhook:
            tell(f"  news of the last push: {repository.last_webhook}")
    for host, kind in state.sinks.items():
        print(f"alerts for https://{host} end in this lab, as {kind}'s")
    for chart in state.charts:
        stand_in = " (a stand-in by fluxlab, not the public chart)" if chart.stand_in else ""
        tell(f"chart {chart.name} {chart.version} at {chart.repository}{stand_in}")
    if state.allowed:
        print(passed_through(state.allowed))


def _print_faults(state: "LabStatus") -> None:
    for fault in state.faults:
        typer.secho(f"\nbroken on purpose: {fault}", fg="yellow")
    if state.faults_unknown:
        typer.secho(f"\nwhat is broken on purpose is not known: {state.faults_unknown}", fg="red")


def _nature(cluster: "ClusterState") -> str:
    if "containers" in cluster.lacks:
        return f"{cluster.backend}, {cluster.nodes} node{'s' if cluster.nodes > 1 else ''}; {SIMULATED}"
    return cluster.footing


def doctor(output: OutputOption = Output.TEXT) -> None:
    """Check whether this machine can run a lab, and say what to do where it cannot.

    Exit code 1 when something is bad.
    """
    from fluxlab.doctor import capabilities, examine

    findings = examine()
    if output is Output.JSON:
        told = {"findings": [finding.as_dict() for finding in findings], "capabilities": capabilities()}
        print(json.dumps(told, indent=2))
    else:
        for finding in findings:
            typer.secho(
                f"{finding.verdict:8}", fg={"ok": "green", "bad": "red"}.get(finding.verdict, "yellow"), nl=False
            )
            print(f"{finding.subject}: {finding.detail}")
            if finding.hint:
                print(f"        next: {finding.hint}")
    raise typer.Exit(1 if any(finding.verdict == "bad" for finding in findings) else 0)


def restart(
    component: Annotated[str, typer.Argument(metavar="COMPONENT", help="As `fluxlab status` names it.")],
    lab: LabOption = None,
) -> None:
    """Stop and start one component of a cluster, and whoever cannot do without it meanwhile."""
    find_lab(lab).control.restart(component)
    say(f"restarted {component}")


def consent(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="A context of the kubeconfig.")],
    kubeconfig: Annotated[str, typer.Option(help="The kubeconfig; default: $KUBECONFIG, ~/.kube/config.")] = "",
    *,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take it back: labs that are there stay.")] = False,
) -> None:
    """Give a cluster to fluxlab: from then on labs with backend `existing` may make objects there."""
    from fluxlab.clusters.api import KubeApi
    from fluxlab.clusters.consent import give
    from fluxlab.clusters.contexts import import_context
    from fluxlab.host import ended_by_exception
    from fluxlab.runs import secret_files
    from fluxlab.toolchain import find

    with ended_by_exception(), secret_files() as folder:  # the owner's credentials are in it
        kubectl = find().binary("kubectl")
        file = import_context(context, kubeconfig=kubeconfig, folder=folder, kubectl=kubectl)
        with KubeApi.from_kubeconfig(file) as api:
            give(api, given=not withdraw)
            say(f"{context} ({api.server}) {'is no longer' if withdraw else 'is now'} given to fluxlab")
