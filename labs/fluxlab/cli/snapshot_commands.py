"""snapshot save, restore, show: a whole converged lab as one file."""

from pathlib import Path
from typing import Annotated

import typer

from .options import TIMEOUT_SECONDS, LabOption, Output, OutputOption, TimeoutOption, find_lab
from .output import say, summary, table, ticker

app = typer.Typer(help="A whole converged lab as one file, started again anywhere.", no_args_is_help=True)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A file that `snapshot save` wrote.")]


@app.command()
def save(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write (.tar.zst).")],
    *,
    lab: LabOption = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
) -> None:
    """Write a lab, once its newest commit has arrived, into a file: with its Secrets, without keys of its own."""
    with ticker() as tick:
        tick("waiting until everything has arrived, then writing")
        snapshot = find_lab(lab).save_snapshot(file, timeout_seconds=timeout)
    say(f"{len(snapshot.files)} files, {file.stat().st_size / 1e6:.1f} MB; the clusters' Secrets are in it")
    print(file)


@app.command()
def restore(
    file: FileArgument,
    *,
    name: Annotated[str | None, typer.Option("--name", help="The lab's name; default: as it was.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The digest that the file must have.")] = None,
    clone: Annotated[Path | None, typer.Option(help="Clone the repository there, to work in.")] = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
) -> None:
    """Start a lab as it was when a snapshot was made, with new keys and tokens, and wait until that has arrived."""
    from fluxlab.supervisor.starter import loading_early

    with loading_early():
        from fluxlab.lab import Lab

        with ticker() as tick:
            lab = Lab.restore(file, name=name, sha256=sha256, progress=tick)
            if clone:
                lab.repository.clone(clone.absolute())
            looks = lab.converge(timeout_seconds=timeout, progress=lambda looks: tick(summary(looks)))
    arrived = sum(len(look.arrived) for look in looks)
    say(f"lab {lab.name} runs: {arrived} objects are as in the snapshot")


@app.command()
def show(file: FileArgument, output: OutputOption = Output.TEXT) -> None:
    """Show what a snapshot holds; only restoring it verifies all of it."""
    from fluxlab.snapshots import read

    snapshot = read(file)
    if output is Output.JSON:
        print(snapshot.model_dump_json(indent=2))
        return
    print(f"lab {snapshot.spec.name}, made {snapshot.created:%Y-%m-%d %H:%M:%S} UTC at commit {snapshot.commit[:10]}")
    print(f"clusters: {', '.join(cluster.name for cluster in snapshot.spec.clusters)}")
    print(f"{len(snapshot.files)} files, {snapshot.size / 1e6:.1f} MB unpacked")
    table(["PROGRAM", "VERSION"], [[program, version] for program, version in sorted(snapshot.toolchain.items())])
