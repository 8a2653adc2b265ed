"""The page of one run, and the one that leads to several."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from fluxlab.pages import render, seconds
from fluxlab.rehearsals.results import CheckResult, Outcome, RunResult, SignalResult, verdict

from .drawing import draw, zero_of


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number that people ask for first."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class SignalRow:
    """One signal, expected against seen."""

    result: SignalResult
    sought: str
    role: str
    outcome: Outcome
    verdict: str
    share: float
    """How much of its time it took, in percent."""


@dataclass(frozen=True, kw_only=True)
class _IndexRow:
    page: str
    result: RunResult


def page(result: RunResult) -> str:
    """One run as a page that needs nothing else."""
    return render(
        "run.html",
        result=result,
        zero=zero_of(result),
        drawing=draw(result),
        hypothesis=_hypothesis(result),
        signals=[_signal(result, one) for one in result.signals],
        figures=list(_figures(result)),
        residue_known=_residue_known(result),
    )


def index(results: Mapping[str, RunResult]) -> str:
    """All runs by the names of their pages, those first that did not pass."""
    ranks = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)
    rows = [_IndexRow(page=quote(name), result=result) for name, result in results.items()]
    return render(
        "index.html",
        rows=sorted(rows, key=lambda row: ranks.index(row.result.outcome)),
        outcome=verdict(results.values()),
        counts=Counter(result.outcome for result in results.values()),
        unreal=sorted({one for result in results.values() for one in result.unreal}),
    )


def _hypothesis(result: RunResult) -> Mapping[str, Mapping[str, CheckResult]]:
    """The answers to each part of it, by when it was asked."""
    found: dict[str, dict[str, CheckResult]] = {}
    for when in ("before", "during", "after"):
        for one in result.checks:
            if one.when == when:
                found.setdefault(one.what, {})[when] = one
    return found


def _signal(result: RunResult, one: SignalResult) -> SignalRow:
    outcome = _outcome(result, one)
    told = {Outcome.PASS: "as expected", Outcome.FAIL: "not as expected", Outcome.INCONCLUSIVE: "not known"}
    role = "must not come" if one.forbidden else "may not come without a fault" if result.control else "must come"
    share = 100 * (one.after_seconds or 0) / (one.within_seconds or 1)
    [(kind, fields)] = one.signal.items()
    return SignalRow(
        result=one,
        sought=f"{kind} {_fields(fields)}",
        role=role,
        outcome=outcome,
        verdict=told[outcome],
        share=round(min(100.0, share), 1),
    )


def _fields(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} {one if isinstance(one, str) else json.dumps(one)}" for key, one in value.items() if one)


def _outcome(result: RunResult, one: SignalResult) -> Outcome:
    """As it was judged: the page has no opinion of its own."""
    parts = {"forbidden"} if one.forbidden else {"signal", "control"}
    found = [finding for finding in result.findings if finding.part in parts and finding.what == one.what]
    return verdict(found)


def _figures(result: RunResult) -> Iterator[Figure]:
    if result.control:
        seen = [one.what for one in result.signals if one.seen]
        yield Figure(name="Signals", value=_count(seen, "signal"), note="may come without a fault: none")
    else:
        yield from _times(result)
    radius = _count(result.blast_radius, "object") if result.first_fault else "not known"
    yield Figure(name="Blast radius", value=radius)
    yield Figure(name="Residue", value=_count(result.residue, "thing") if _residue_known(result) else "not known")


def _residue_known(result: RunResult) -> bool:
    return any(one.part == "residue" and one.outcome is not Outcome.INCONCLUSIVE for one in result.findings)


def _times(result: RunResult) -> Iterator[Figure]:
    times = result.times
    alerts = any("alert" in one.signal and not one.forbidden for one in result.signals)
    yield Figure(name="First signal", value=seconds(times.first_signal_seconds) or "none")
    yield Figure(name="Detected in full", value=seconds(times.all_signals_seconds) or "never", note="all signals")
    note = "" if alerts else "none was expected"
    yield Figure(name="First alert", value=seconds(times.alert_seconds) or "none", note=note)
    note = f"has {seconds(result.recovery_within_seconds)} after healing"
    yield Figure(name="Recovered", value=seconds(times.recovery_seconds) or "never", note=note)


def _count(found: Sequence[str], noun: str) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}" if found else "none"
