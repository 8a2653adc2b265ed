"""What of a run stands where in its drawn timeline: pure arithmetic, no markup."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from math import floor, log10

from fluxlab.rehearsals.results import CheckResult, HistoryEntry, Outcome, RunResult, SignalResult

from .canvas import TOP, Bar, Canvas, Lane, Mark, Milestone, Tick, first_line

LANES = ("git", "sources", "kustomizations", "releases", "workloads", "processes", "alerts")
"""Of the history, from cause to effect."""
_RANKS = ("info", "warning", "error")
LEAD = 0.15
"""How much of what came before the first fault is drawn, as a part of what came after it."""
SHORTEST_LEAD = timedelta(seconds=2)
SHORTEST_RUN = timedelta(seconds=1)
"""How much is drawn at least, also of a run during which the clock was set back behind its begin."""
BUCKETS = 200
"""Things of one lane that are closer to each other than this part of the width are one mark."""
TICKS = 7
LONGEST_LABEL = 60


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """All of it."""

    lanes: Sequence[Lane]
    ticks: Sequence[Tick]
    shades: Sequence[Bar]
    """While a fault was in, over all lanes."""
    milestones: Sequence[Milestone]
    """Lines over all lanes: healed, and well again."""
    height: float
    earlier: int
    """How many things happened before it begins."""
    words: str
    """The same for those who do not see it."""


def draw(result: RunResult) -> Drawing:
    """The timeline of a run, from shortly before the first fault."""
    canvas = _canvas(result)
    drawn = [entry for entry in result.history if entry.time >= canvas.begin]
    _faults(canvas, result)
    for name in LANES:
        entries = [entry for entry in drawn if entry.lane == name]
        canvas.add(name, marks=_history(canvas, entries))
    _signals(canvas, result)
    canvas.add("hypothesis", marks=[_check(canvas, one) for one in result.checks if one.at >= canvas.begin])
    return Drawing(
        lanes=canvas.lanes,
        ticks=tuple(_ticks(canvas)),
        shades=tuple(_shades(canvas, result)),
        milestones=tuple(_milestones(canvas, result)),
        height=canvas.bottom,
        earlier=len(result.history) - len(drawn),
        words=_words(canvas, result),
    )


def zero_of(result: RunResult) -> datetime:
    """From when all is counted."""
    return result.first_fault or result.began


def _canvas(result: RunResult) -> Canvas:
    zero = zero_of(result)
    end = max(result.ended, result.began + SHORTEST_RUN, zero + SHORTEST_RUN)
    lead = max(SHORTEST_LEAD, (end - zero) * LEAD)
    return Canvas(begin=max(result.began, zero - lead), end=end, zero=zero)


def _faults(canvas: Canvas, result: RunResult) -> None:
    bars = [
        canvas.bar(
            one.began,
            one.healed or result.ended,
            y=canvas.row(row),
            look="fault",
            label=first_line(f"{one.fault} {', '.join(one.targets)}", LONGEST_LABEL),
            title=f"{one.name}: in at {canvas.since(one.began)}, "
            f"{f'out at {canvas.since(one.healed)}' if one.healed else 'never out'}",
        )
        for row, one in enumerate(result.faults)
    ]
    canvas.add("faults", rows=max(1, len(bars)), bars=bars)


def _signals(canvas: Canvas, result: RunResult) -> None:
    """Each that was expected in a row of its own, with the time that it had; below them what came and must not."""
    expected = [(number, one) for number, one in enumerate(result.signals, 1) if not one.forbidden]
    unwanted = [(number, one) for number, one in enumerate(result.signals, 1) if one.forbidden and one.seen]
    marks: list[Mark] = []
    bars: list[Bar] = []
    for row, (number, one) in enumerate([*expected, *unwanted]):
        y = canvas.row(row)
        if one.after and one.within_seconds and not result.control:
            deadline = one.after + timedelta(seconds=one.within_seconds)
            title = f"{one.what}: has until {canvas.since(deadline)}"
            label = first_line(f"{number} {one.what}", LONGEST_LABEL)
            bars.append(canvas.bar(one.after, deadline, y=y, look="allowed", label=label, title=title))
        else:
            label = first_line(f"{number} {one.what}", LONGEST_LABEL)
            bars.append(canvas.bar(one.after or result.began, result.ended, y=y, look="none", label=label, title=label))
        marks.append(_signal(canvas, one, y=y, control=result.control))
    canvas.add("signals", rows=max(1, len(marks)), marks=marks, bars=bars)


def _signal(canvas: Canvas, one: SignalResult, *, y: float, control: bool) -> Mark:
    if one.seen:
        look = "missed" if one.forbidden or control else "seen"
        return canvas.mark(one.seen, y=y, look=look, title=f"{one.what}: {one.words}")
    at = min(canvas.end, (one.after or canvas.end) + timedelta(seconds=one.within_seconds or 0))
    look = "unknown" if one.unknown else "holds" if control else "missed"
    return canvas.mark(at, y=y, look=look, title=f"{one.what}: {one.unknown or 'did not come'}")


def _check(canvas: Canvas, one: CheckResult) -> Mark:
    look = {Outcome.PASS: "holds", Outcome.FAIL: "broken", Outcome.INCONCLUSIVE: "unknown"}[one.outcome]
    return canvas.mark(one.at, y=canvas.middle, look=look, title=f"{one.what} ({one.when}): {one.words}")


def _history(canvas: Canvas, entries: Sequence[HistoryEntry]) -> Iterator[Mark]:
    """What is close together as one mark, as bad as the worst of it."""
    for _, group in groupby(entries, key=lambda entry: floor(canvas.x(entry.time) / 100 * BUCKETS)):
        together = list(group)
        worst = max(together, key=_rank)
        more = f" (and {len(together) - 1} more)" if len(together) > 1 else ""
        title = f"{worst.object} {first_line(worst.text)}{more}".strip()
        size = 1 + min(1.0, log10(len(together)) / 2)
        yield canvas.mark(worst.time, y=canvas.middle, look=_RANKS[_rank(worst)], title=title, size=round(size, 2))


def _rank(entry: HistoryEntry) -> int:
    return _RANKS.index(entry.level) if entry.level in _RANKS else 0


def _shades(canvas: Canvas, result: RunResult) -> Iterator[Bar]:
    for one in result.faults:
        yield canvas.bar(one.began, one.healed or result.ended, y=TOP, look="shade", label="", title=one.name)


def _milestones(canvas: Canvas, result: RunResult) -> Iterator[Milestone]:
    for label, time in (("healed", result.healed), ("well again", result.recovered)):
        if time:
            yield Milestone(x=canvas.x(time), label=label, since=canvas.since(time))


def _ticks(canvas: Canvas) -> Iterator[Tick]:
    """At round numbers of seconds since the first fault."""
    step = _round_step((canvas.end - canvas.begin).total_seconds() / TICKS)
    first = -floor((canvas.zero - canvas.begin).total_seconds() / step)
    number = first
    while (time := canvas.zero + timedelta(seconds=number * step)) <= canvas.end:
        yield Tick(x=canvas.x(time), label=f"{number * step:+g} s" if number else "0")
        number += 1


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ..."""
    power = 10.0 ** floor(log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)


def _words(canvas: Canvas, result: RunResult) -> str:
    told = [f"Timeline of {result.seconds:.0f} seconds."]
    for fault in result.faults:
        out = f"out at {canvas.since(fault.healed)}" if fault.healed else "never out"
        told.append(f"Fault {fault.fault} in at {canvas.since(fault.began)}, {out}.")
    for signal in result.signals:
        if signal.seen or not signal.forbidden:
            seen = f"seen at {canvas.since(signal.seen)}" if signal.seen else "not seen"
            told.append(f"{'Forbidden' if signal.forbidden else 'Expected'} signal: {signal.what}: {seen}.")
    if result.recovered:
        told.append(f"The hypothesis held again at {canvas.since(result.recovered)}.")
    return " ".join(told)
