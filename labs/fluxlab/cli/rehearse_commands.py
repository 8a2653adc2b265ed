"""rehearse: break something as a file says, and see whether it goes as the file says."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Output, OutputOption
from .output import Ticker, say, table, ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fluxlab.rehearsals.results import RunResult


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(rehearse)


def _complete_rehearsal(incomplete: str) -> list[str]:
    from fluxlab.rehearsals.spec import shipped_rehearsals

    return [file.stem for file in shipped_rehearsals() if file.stem.startswith(incomplete)]


def rehearse(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...",
            help="Rehearsals: files, or names of those that come with fluxlab. Without any: list these.",
            autocompletion=_complete_rehearsal,
        ),
    ] = None,
    *,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same plan.", min=0)] = 0,
    repeat: Annotated[int, typer.Option("--repeat", help="Runs of each, with seeds one after the other.", min=1)] = 1,
    control: Annotated[
        bool, typer.Option("--control", help="Without the faults: no signal may come, or the rehearsal proves nothing.")
    ] = False,
    reports: Annotated[
        Path | None, typer.Option("--reports", help="Write HTML, JSON and JUnit into this folder.")
    ] = None,
    factor: Annotated[
        float, typer.Option("--timeout-factor", help="Multiply all that is waited for, on a slow machine.", min=0.1)
    ] = 1.0,
    output: OutputOption = Output.TEXT,
) -> None:
    """Rehearse failures, each on a lab of its own. Exit code 0 pass, 1 fail, 2 inconclusive."""
    from fluxlab.rehearsals.grounds import Grounds
    from fluxlab.rehearsals.results import verdict
    from fluxlab.rehearsals.running import rehearse as run
    from fluxlab.rehearsals.spec import load_rehearsal

    if not files:
        _list(output)
        return
    found = [(file, load_rehearsal(file)) for file in map(_find, files)]  # before anything is started
    results: list[RunResult] = []
    with ticker() as tick, _snapshots() as folder:
        grounds = Grounds(folder if len(found) * repeat > 1 else None)
        for file, rehearsal in found:
            for number in range(seed, seed + repeat):
                result = run(
                    rehearsal,
                    file=file,
                    seed=number,
                    control=control,
                    grounds=grounds,
                    progress=_prefixed(tick, file.stem),
                    timeout_factor=factor,
                )
                results.append(result)
                tick.clear()
                if output is Output.TEXT:
                    _show(result)
    if output is Output.JSON:
        _print_json(results)
    del reports
    worst = verdict(finding for result in results for finding in result.findings)
    if worst.exit_code:
        raise typer.Exit(worst.exit_code)


@contextmanager
def _snapshots() -> "Iterator[Path]":
    """A folder for snapshots, which hold Secrets; whatever ends this process, it goes, at the latest with the next."""
    import os
    import secrets

    from fluxlab.runs import remove_runs, run_folder

    run = f"{secrets.token_hex(3)}-{os.getpid()}"
    try:
        yield run_folder(run)
    finally:
        remove_runs(run)


def _prefixed(tick: Ticker, title: str) -> "Callable[[str], None]":
    return lambda text: tick(f"{title}: {text}")


def _find(name: str) -> Path:
    """A file, or one that comes with fluxlab by its name."""
    from fluxlab.errors import UsageError
    from fluxlab.rehearsals.spec import shipped_rehearsals

    if Path(name).is_file():
        return Path(name)
    known = {file.stem: file for file in shipped_rehearsals()}
    if name not in known:
        facts = [f"there are: {', '.join(sorted(known))}"]
        raise UsageError(f"there is neither a file nor a rehearsal {name!r}", facts=facts, hint="fluxlab rehearse")
    return known[name]


def _list(output: Output) -> None:
    import json

    from fluxlab.rehearsals.spec import load_rehearsal, shipped_rehearsals

    found = {file.stem: load_rehearsal(file) for file in shipped_rehearsals()}
    if output is Output.JSON:
        print(json.dumps({name: one.model_dump(mode="json", by_alias=True) for name, one in found.items()}, indent=2))
        return
    rows = [
        [name, ",".join(step.fault.fault for step in one.steps if step.fault), one.title] for name, one in found.items()
    ]
    table(["NAME", "FAULTS", "WHAT HAPPENS"], rows)
    say("next: fluxlab rehearse NAME")


def _print_json(results: "list[RunResult]") -> None:
    import json

    print(json.dumps([result.model_dump(mode="json") for result in results], indent=2))


def _show(result: "RunResult") -> None:
    kind = " (control)" if result.control else ""
    print(f"{result.outcome:12} {result.title}{kind}")
    for finding in result.reasons:
        print(f"  {finding.part}: {finding.what}: {finding.why}".replace("\n", "\n    "))
    times = result.times
    told = {
        "first signal": times.first_signal_seconds,
        "alert": times.alert_seconds,
        "recovered": times.recovery_seconds,
    }
    print(f"  {', '.join(f'{name} after {value:.1f} s' for name, value in told.items() if value is not None)}")
    print(f"  again: {result.replay}")
