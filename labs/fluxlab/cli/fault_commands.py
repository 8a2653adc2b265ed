"""faults, inject, heal: break something on purpose, with a proof, and take it out again."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .options import FAULT_SECONDS, ClusterOption, ForOption, LabOption, Output, OutputOption, find_lab
from .output import say, table, ticker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxlab.documents import Json
    from fluxlab.fault_records import FaultRecord


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (faults, inject, heal):
        app.command()(command)


def _complete_fault(incomplete: str) -> list[str]:
    from fluxlab.faults.catalogue import CATALOGUE

    return [name for name in CATALOGUE if name.startswith(incomplete)]


FaultArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One fault, in detail.", autocompletion=_complete_fault)
]


def faults(name: FaultArgument = None, output: OutputOption = Output.TEXT) -> None:
    """List the faults that there are: what happens, what Flux does then, where, and what can be chosen."""
    from fluxlab.faults.catalogue import CATALOGUE, find_fault
    from fluxlab.faults.descriptions import describe

    chosen = [find_fault(name)] if name else list(CATALOGUE.values())
    described = [describe(fault) for fault in chosen]
    if output is Output.JSON:
        print(json.dumps([one.as_json() for one in described], indent=2))
    elif name:
        print("\n".join(described[0].lines()))
    else:
        table(
            ["LAYER", "FAULT", "BACKENDS", "WHAT HAPPENS"],
            [[one.layer, one.name, one.places, one.summary] for one in described],
        )
        say("next: fluxlab faults NAME (what to expect, parameters), then fluxlab inject NAME --for 30s")


def inject(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="As `fluxlab faults` lists it.", autocompletion=_complete_fault)
    ],
    *,
    target: Annotated[str, typer.Option("--target", help="What to break, or a pattern; default: chosen by seed.")] = "",
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A parameter, as `fluxlab faults NAME` lists it; repeat for several.",
        ),
    ] = None,
    for_: ForOption = FAULT_SECONDS,
    seed: Annotated[
        int | None,
        typer.Option("--seed", help="The same seed, the same plan; default: another one each time.", min=0),
    ] = None,
    lab: LabOption = None,
    cluster: ClusterOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Break something, and prove that it is broken. It stays so until `fluxlab heal`, or its time is over.

    Example: fluxlab inject git-slow --set delay_seconds=10 --for 2m
    """
    found = find_lab(lab)
    with ticker() as tick:
        record = found.faults.inject(
            name,
            cluster=found.spec.cluster(cluster).name,
            target=target,
            parameters=_parameters(set_ or []),
            for_seconds=for_,
            seed=seed,
            progress=tick,
        )
    if output is Output.JSON:
        print(record.told())
        return
    print(f"{record.id}: {', '.join(record.targets)}")
    say(f"proof: {record.proof}")
    say(f"until {record.until.astimezone():%H:%M:%S}; sooner with: fluxlab heal {record.id}")


def heal(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `fluxlab inject` told them.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All faults of the lab.")] = False,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Those whose time is over, or whose owner has ended.")
    ] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up",
            help="Leave those that cannot be taken out as they are; it is said where it stands how it was before.",
        ),
    ] = False,
    lab: LabOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Take faults out, and prove that they are gone. Without an ID: list what is in.

    A lab whose supervisor is gone is brought back for that, as `fluxlab up` does it.
    """
    from fluxlab.errors import UsageError

    found = find_lab(lab)
    if sum([bool(ids), all_, overdue]) > 1:
        raise UsageError("several at once: name faults, or --all, or --overdue")
    if give_up and not all_:
        raise UsageError("--give-up goes with --all", hint="fluxlab heal --all --give-up")
    with ticker() as tick:
        if give_up:
            records = found.faults.give_up()
        elif overdue:
            records = found.faults.heal_overdue(progress=tick)
        elif ids or all_:
            records = found.heal(*(ids or []), progress=tick)
        else:
            records = found.faults.active()
    done = "given up" if give_up else "out" if ids or all_ or overdue else ""
    _show(records, output, done=done)
    for record in records if give_up else ():
        say(f"{record.id}: how it was before stands, as long as there is the lab, in {found.faults.kept(record)}")


def _show(records: "Sequence[FaultRecord]", output: Output, *, done: str) -> None:
    if output is Output.JSON:
        print(json.dumps([json.loads(record.told()) for record in records], indent=2))
    elif done:
        for record in records:
            print(f"{record.id}: {done}")
        if not records:
            say("nothing to take out")
    else:
        table(
            ["ID", "STATE", "CLUSTER", "TARGETS", "UNTIL"],
            [[one.id, one.state, one.cluster, ", ".join(one.targets), _end_of(one)] for one in records],
        )
        if records:
            say("next: fluxlab heal ID, or fluxlab heal --all")


def _end_of(record: "FaultRecord") -> str:
    """The time at which it is taken out, if that is known."""
    return f"{record.until.astimezone():%H:%M:%S}" if record.state.is_timed else ""


def _parameters(given: list[str]) -> "dict[str, Json]":
    """KEY=VALUE pairs; numbers and true or false are read as such by whoever validates them."""
    from fluxlab.errors import UsageError

    pairs = [text.partition("=") for text in given]
    if wrong := [text for text, separator, _ in pairs if not separator]:
        raise UsageError(f"--set {wrong[0]}: has to be KEY=VALUE")
    return {key: value for key, _, value in pairs}
