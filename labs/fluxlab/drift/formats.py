"""A report on drift, or a list of edits, for programs and for browsers: JSON, JUnit's XML, HTML. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Literal

from fluxlab.junit import Case, junit
from fluxlab.pages import render

from .aspects import Actor, Fate, Times
from .edits import Edit
from .records import Drift, DriftReport, Unknown


def report_as_json(report: DriftReport) -> str:
    """`clean`, `examined`, `unknown`, `drifts`, `ignored` by rules in git, `held_back` (clusters) and `unreal`."""
    return dumped(
        {
            "clean": report.clean,
            "examined": report.examined,
            "unknown": [unknown_document(one) for one in report.unknown],
            "drifts": [drift_document(one) for one in report.drifts],
            "ignored": [drift_document(one) for one in report.ignored],
            "held_back": list(report.held_back),
            "unreal": list(report.unreal),
        }
    )


def edits_as_json(edits: Iterable[Edit]) -> str:
    """A list of edits, each with `actor`, `ending`, `fortune` and `lasted_seconds`."""
    return dumped([_edit(edit) for edit in edits])


def dumped(value: object) -> str:
    """As JSON for a person, too."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def drift_document(one: Drift) -> dict[str, object]:
    """One difference, to be written as JSON."""
    raw = {key.rstrip("_"): value for key, value in asdict(one).items()}
    return {
        **raw,
        "object": str(one.object),
        "marks": list(one.marks),
        "actor": _actor(one.actor),
        "fate": _fate(one.fate),
        "said": {"voice": one.said.voice, "text": one.said.text},
        "times": _times(one.times),
    }


def unknown_document(one: Unknown) -> dict[str, object]:
    """Something that could not be told, to be written as JSON."""
    marks = list(one.fate.marks) if one.fate else []
    fate = _fate(one.fate) if one.fate else None
    return {**asdict(one), "class": one.class_, "object": str(one.object or ""), "marks": marks, "fate": fate}


def _fate(one: Fate) -> dict[str, object]:
    return {
        "reverted": one.reverted,
        "why": one.why,
        "ignored": one.ignored,
        "within_seconds": one.within.total_seconds() if one.within else None,
        "due": _moment(one.due),
    }


def _edit(one: Edit) -> dict[str, object]:
    raw = {key.rstrip("_"): value for key, value in asdict(one).items()}
    ending = one.ending and {"reverted": one.ending.reverted, "actor": _actor(one.ending.actor)}
    lasted = one.lasted.total_seconds() if one.lasted is not None else None
    told = {"actor": _actor(one.actor), "ending": ending, "fortune": one.fortune, "lasted_seconds": lasted}
    said = {"voice": one.said.voice, "text": one.said.text}
    return {**raw, "object": str(one.object), **told, "said": said, "times": _times(one.times)}


def _actor(one: Actor) -> dict[str, object]:
    told = {**asdict(one), "time": _moment(one.time)}
    del told["seen"]  # among the times
    return told


def _times(times: Times) -> dict[str, str | None]:
    return {name: _moment(time) for name, time in asdict(times).items()}


def _moment(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def report_as_junit(report: DriftReport, *, name: str) -> str:
    """One test case for each difference (a failure), each thing that could not be told (an error), each one ignored.

    A report without any of them is one case that passed. `name` is that of the suite.
    """
    cases = [*_cases(report)]
    if not cases:
        text = f"{report.examined} objects are as git wants them" if report.clean else "there was nothing to compare"
        cases = [Case(classname="drift", name=text)]
    output = "\n".join(f"not real: {one}" for one in report.unreal)
    return junit([replace(case, output=output) for case in cases], name=name)


def _cases(report: DriftReport) -> Iterator[Case]:
    endings: tuple[tuple[Literal["failure", "skipped"], Sequence[Drift]], ...] = (
        ("failure", report.drifts),
        ("skipped", report.ignored),
    )
    for ending, drifts in endings:
        for one in drifts:
            where = f"{one.cluster} {one.object} {one.pointer or one.class_}"
            first, _, rest = str(one).partition("\n")
            yield Case(classname=one.owner or "nobody", name=where, ending=ending, message=first, text=rest)
    for untold in report.unknown:
        where = f"{untold.cluster} {untold.object} {untold.class_}" if untold.object else untold.why
        yield Case(
            classname=untold.owner or "could not tell", name=where, ending="error", message=untold.why, text=str(untold)
        )


def report_as_html(report: DriftReport, *, name: str, made: datetime) -> str:
    """One page that needs nothing else, to be kept as evidence of a run."""
    return render("drift.html", report=report, name=name, made=f"{made.astimezone():%Y-%m-%d %H:%M:%S %Z}")
