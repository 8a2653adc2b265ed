"""clone, apply, wait: work with the repository, and whether a commit has arrived."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import TIMEOUT_SECONDS, FolderArgument, LabOption, Output, OutputOption, TimeoutOption, find_lab
from .output import say, summary, table, tell, ticker

if TYPE_CHECKING:
    from fluxlab.flux.look import Convergence


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (clone, apply, wait):
        app.command()(command)


def clone(folder: FolderArgument = None, lab: LabOption = None) -> None:
    """Clone the lab's repository: edit, commit, `git push`, and Flux rolls it out."""
    repository = find_lab(lab).repository
    target = repository.clone((folder or Path(repository.name)).absolute())
    print(target)
    say(f"next: edit below {target}, git commit, git push, then `fluxlab wait`")


def _complete_scenario(incomplete: str) -> list[str]:
    from fluxlab.scenarios import scenario_names

    return [name for name in scenario_names() if name.startswith(incomplete)]


def apply(
    scenario: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENARIO",
            help="Its name, or its folder with a slash: ./mine.",
            autocompletion=_complete_scenario,
        ),
    ] = None,
    lab: LabOption = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="The commit's message.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Commit a scenario's manifests to the lab's repository and serve its charts; without a name, list scenarios."""
    if scenario is None:
        _list_scenarios(output)
        return
    with ticker() as tick:
        tick(f"committing {scenario}")
        commit = find_lab(lab).repository.apply(scenario, message=message or "")
    if output is Output.JSON:
        print(json.dumps({"commit": commit.sha}, indent=2))
        return
    print(commit)
    say(f"next: fluxlab wait {commit.short}")


def _list_scenarios(output: Output) -> None:
    from fluxlab.scenarios import load_scenario, scenario_names

    known = {name: load_scenario(name).content.description for name in scenario_names()}
    if output is Output.JSON:
        listed = [{"name": name, "description": description} for name, description in known.items()]
        print(json.dumps(listed, indent=2))
        return
    table(["SCENARIO", "DESCRIPTION"], list(map(list, known.items())))


def wait(
    commit: Annotated[
        str | None, typer.Argument(metavar="COMMIT", help="A commit that was pushed; default: the branch's head.")
    ] = None,
    lab: LabOption = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
    output: OutputOption = Output.TEXT,
    *,
    until_asked: Annotated[
        bool, typer.Option("--until-asked", help="Be content when all that is missing is what a person must give.")
    ] = False,
) -> None:
    """Wait until a commit has arrived in every cluster, or say why it has not (exit code 1)."""
    from fluxlab.flux.convergence import ConvergenceError, warnings

    chosen = find_lab(lab)
    with ticker() as tick:

        def progress(looks: Sequence["Convergence"]) -> None:
            tick(summary(looks))

        try:
            looks = chosen.converge(commit, timeout_seconds=timeout, progress=progress, until_asked=until_asked)
        except ConvergenceError as error:
            if output is Output.JSON:
                _print_json(error.looks)
            raise
    if output is Output.JSON:
        _print_json(looks)
        return
    for seen in looks:
        how_much = f", all but {len(seen.pending)}:" if seen.pending else f": {len(seen.arrived)} objects"
        print(f"commit {seen.commit[:10]} has arrived in {seen.cluster}{how_much}")
        for pending in seen.pending:
            tell(f"  {pending}")
    for line in warnings(looks):
        say(f"warning: {line}")


def _print_json(looks: Sequence["Convergence"]) -> None:
    print(json.dumps([{**asdict(seen), "converged": seen.converged} for seen in looks], indent=2))
