"""Runs as JUnit's test cases: a failure is a failure, an inconclusive run an error."""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Literal

from fluxlab.junit import Case, junit
from fluxlab.rehearsals.results import Outcome, RunResult

_ENDINGS: dict[Outcome, Literal["", "failure", "error"]] = {
    Outcome.PASS: "",
    Outcome.FAIL: "failure",
    Outcome.INCONCLUSIVE: "error",
}


def runs_as_junit(results: Iterable[RunResult]) -> str:
    """One suite with a case for each run."""
    return junit(map(_case, results), name="rehearsals")


def properties(result: RunResult) -> dict[str, str]:
    """What programs that read JUnit's XML, or pytest's reports, want to know of a run."""
    times = result.times.model_dump(exclude_none=True)
    return {
        "verdict": result.outcome.value,  # xdist takes plain texts only
        "seed": str(result.seed),
        "replay": result.replay,
        **{name: f"{value:.3f}" for name, value in times.items()},
        **({"unreal": "; ".join(result.unreal)} if result.unreal else {}),
    }


def _case(result: RunResult) -> Case:
    reasons = [f"{one.part}: {one.what}: {one.why}" for one in result.reasons]
    judged = [f"{one.outcome}: {one.part}: {one.what}: {one.why}" for one in result.findings]
    return Case(
        classname=f"rehearsals.{PurePath(result.file).stem}",
        name=f"{result.title} (seed {result.seed}{', control' if result.control else ''})",
        ending=_ENDINGS[result.outcome],
        message=next(iter(reasons), result.outcome),
        text="\n".join(reasons),
        seconds=result.seconds,
        properties=properties(result),
        output="\n".join([*judged, *(f"not real: {one}" for one in result.unreal)]),
    )
