"""rehearse: break something as a file says, and see whether it goes as the file says."""

import json
from contextlib import closing
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .output import Ticker, say, show_error, table, tell, ticker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fluxlab.rehearsals.results import RunResult
    from fluxlab.rehearsals.spec import Rehearsal
    from fluxlab.report.writing import Reports


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


class Described(StrEnum):
    """What there is a JSON Schema of."""

    REHEARSAL = "rehearsal"
    RESULT = "result"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(rehearse)


def _complete_rehearsal(incomplete: str) -> list[str]:
    from fluxlab.rehearsals.loading import shipped_rehearsals

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
        bool,
        typer.Option(
            "--control", help="Run each without its faults first: no signal may come then, or it proves nothing."
        ),
    ] = False,
    reports: Annotated[
        Path | None,
        typer.Option("--reports", metavar="DIR", help="Write pages, JSON and JUnit into this folder, after each run."),
    ] = None,
    factor: Annotated[
        float, typer.Option("--timeout-factor", help="Multiply all that is waited for, on a slow machine.", min=0.1)
    ] = 1.0,
    schema: Annotated[
        Described | None, typer.Option("--schema", help="Print the JSON Schema of rehearsal files, or of results.")
    ] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to print.")] = Format.TEXT,
) -> None:
    """Rehearse failures, each on a lab of its own. Exit code 0 pass, 1 fail, 2 inconclusive.

    Example: fluxlab rehearse git-hang mine.yaml --reports out
    """
    from fluxlab.errors import FluxlabError
    from fluxlab.rehearsals.loading import load_rehearsal
    from fluxlab.rehearsals.results import Outcome, verdict
    from fluxlab.runs import secret_files

    if schema:
        _print_schema(schema)
        return
    if not files:
        _list(output)
        return
    found = [(file, load_rehearsal(file)) for file in map(_find, files)]  # before anything is started
    _check_faults()
    folder = _open(reports) if reports else None
    seeds = range(seed, seed + repeat)
    results: list[RunResult] = []
    unwritten = False
    trouble: FluxlabError | None = None
    with secret_files() as secrets:  # where there is no place for snapshots, nothing is started
        try:
            for result in _runs(found, seeds=seeds, control=control, factor=factor, secrets=secrets):
                results.append(result)
                page = _write(folder, result) if folder else None
                unwritten |= bool(folder and not page)
                if output is Format.TEXT:
                    _show(result, page)
        except FluxlabError as error:  # what has ended counts all the same
            trouble = error
    _print(results, output)
    if folder:
        say(f"reports: {folder.folder / 'index.html'}")
    worst = verdict(results)
    if trouble:
        show_error(trouble)
    if trouble or unwritten:
        worst = worst if worst is Outcome.FAIL else Outcome.INCONCLUSIVE
    if worst.exit_code:
        raise typer.Exit(worst.exit_code)


def _runs(
    found: "Sequence[tuple[Path, Rehearsal]]", *, seeds: "Sequence[int]", control: bool, factor: float, secrets: Path
) -> "Iterator[RunResult]":
    from fluxlab.rehearsals.grounds import Grounds
    from fluxlab.rehearsals.running import rehearse as run

    several = len(found) * (len(seeds) + control) > 1
    with ticker() as tick, closing(Grounds(secrets if several else None)) as grounds:
        for file, rehearsal in found:
            tell_progress = _prefixed(tick, file.stem)
            once = partial(run, rehearsal, file=file, grounds=grounds, progress=tell_progress, timeout_factor=factor)
            silent = once(seed=seeds[0], control=True) if control else None
            if silent:
                tick.clear()
                yield silent
            for number in seeds:
                result = once(seed=number)
                tick.clear()
                yield result.with_control(silent) if silent else result


def _check_faults() -> None:
    """Raise UsageError while something is broken for good, or may be: nothing is started then."""
    from fluxlab.errors import FluxlabError, UsageError
    from fluxlab.rehearsals import grounds

    try:
        grounds.check_faults()
    except FluxlabError as error:
        raise UsageError(error.what, facts=error.facts, hint=error.hint) from None


def _open(folder: Path) -> "Reports":
    from fluxlab.errors import UsageError
    from fluxlab.report.writing import Reports

    try:
        return Reports(folder)
    except OSError as error:
        raise UsageError(f"--reports {folder}: there can be no such folder", facts=[str(error)]) from None


def _write(folder: "Reports", result: "RunResult") -> Path | None:
    """The page of a run, or None where it could not be written, which is told: its verdict stands without it."""
    from fluxlab.errors import FluxlabError

    try:
        return folder.add(result)
    except Exception as error:  # noqa: BLE001 # whatever is wrong with a report, the runs go on
        told = f"{result.outcome}: {result.title}; again: {result.replay}"
        facts = [f"{type(error).__name__}: {error}", told]
        show_error(FluxlabError("a report could not be written", facts=facts))
        return None


def _print_schema(schema: Described) -> None:
    from fluxlab.report.schemas import rehearsal_schema, result_schema

    print(rehearsal_schema() if schema is Described.REHEARSAL else result_schema())


def _prefixed(tick: Ticker, title: str) -> "Callable[[str], None]":
    return lambda text: tick(f"{title}: {text}")


def _find(name: str) -> Path:
    """A file, or one that comes with fluxlab by its name."""
    from fluxlab.errors import UsageError
    from fluxlab.rehearsals.loading import shipped_rehearsals

    if Path(name).is_file():
        return Path(name)
    known = {file.stem: file for file in shipped_rehearsals()}
    if name not in known:
        facts = [f"there are: {', '.join(sorted(known))}"]
        raise UsageError(f"there is neither a file nor a rehearsal {name!r}", facts=facts, hint="fluxlab rehearse")
    return known[name]


def _list(output: Format) -> None:
    from fluxlab.errors import UsageError
    from fluxlab.rehearsals.loading import load_rehearsal, shipped_rehearsals

    found = {file.stem: load_rehearsal(file) for file in shipped_rehearsals()}
    if output is Format.JSON:
        told = {name: one.model_dump(mode="json", by_alias=True, exclude_none=True) for name, one in found.items()}
        print(json.dumps(told, indent=2))
        return
    if output is Format.JUNIT:
        raise UsageError("-o junit is for results: a list of rehearsals is told as text or json")
    rows = [
        [name, ",".join(step.fault.fault for step in one.steps if step.fault), one.title] for name, one in found.items()
    ]
    table(["NAME", "FAULTS", "WHAT HAPPENS"], rows)
    say("next: fluxlab rehearse NAME")


def _print(results: "list[RunResult]", output: Format) -> None:
    if output is Format.JSON:
        print(json.dumps([result.model_dump(mode="json", by_alias=True) for result in results], indent=2))
    elif output is Format.JUNIT:
        from fluxlab.report.cases import runs_as_junit

        print(runs_as_junit(results))


def _show(result: "RunResult", page: Path | None) -> None:
    kind = " (control)" if result.control else ""
    print(f"{result.outcome:12} {result.title}{kind}")
    for finding in result.reasons:
        tell(f"  {finding.part}: {finding.what}: {finding.why}".replace("\n", "\n    "))
    for one in result.unreal:
        print(f"  not real: {one}")
    times = result.times
    told = {
        "first signal": times.first_signal_seconds,
        "alert": times.alert_seconds,
        "recovered": times.recovery_seconds,
    }
    if known := [f"{name} after {value:.1f} s" for name, value in told.items() if value is not None]:
        print(f"  {', '.join(known)}")
    if page:
        print(f"  report: {page}")
    print(f"  again: {result.replay}", flush=True)
