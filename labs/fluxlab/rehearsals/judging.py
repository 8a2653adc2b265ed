"""From what was seen in a run to its findings. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from fluxlab.alerts import Wanted
from fluxlab.timeline.entries import Source
from fluxlab.timeline.text import line_of

from .lookout import QUIET_SECONDS
from .observed import Observed
from .results import CheckResult, Finding, Outcome, Part, SignalResult
from .sampling import Course
from .signals import ForbiddenSignal

CLOCK_SECONDS = 1.0
"""By more than that it was set: where NTP only has it go faster, so does the clock beside it (clock_gettime(2))."""

QUOTED = 3
ERRORS = Wanted(severity="error")


def judge(run: Observed) -> tuple[Finding, ...]:
    """All findings of a run: what it could not do, and what is made of what it has seen."""
    timed = [*_hypothesis(run), *_recovery(run), *_signals(run), *_alerts(run)]
    if abs(run.clock_set_seconds) > CLOCK_SECONDS:
        timed = [_clock(run.clock_set_seconds), *(_doubted(one) for one in timed)]
    return (*run.troubles, *timed, *_residue(run))


def _clock(set_seconds: float) -> Finding:
    why = f"it was set by {set_seconds:+.1f} s, or the machine slept: nobody knows what came when, and took how long"
    return Finding(part=Part.CLOCK, what="nobody sets the clock", outcome=Outcome.INCONCLUSIVE, why=why)


def _doubted(one: Finding) -> Finding:
    """What was judged by times that may be wrong: logs and alerts have no others."""
    why = f"the clock was set meanwhile: {one.why}"
    return one.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "why": why})


def _hypothesis(run: Observed) -> Iterator[Finding]:
    for check in run.checks:
        yield _check(check)
    for course in run.courses:
        yield _course(course, run)
    if run.sampling_trouble:
        why = run.sampling_trouble
        yield Finding(part=Part.HYPOTHESIS, what="it was asked during", outcome=Outcome.INCONCLUSIVE, why=why)


def _check(check: CheckResult) -> Finding:
    outcome = Outcome.PASS if check.holds else Outcome.INCONCLUSIVE if check.holds is None else Outcome.FAIL
    part = Part.RECOVERY if check.when == "after" else Part.HYPOTHESIS
    return Finding(part=part, what=f"{check.what} ({check.when})", outcome=outcome, why=check.words)


def _course(whole: Course, run: Observed) -> Finding:
    what = f"{whole.state.what} (during)"
    course = whole.between(*run.during)
    unasked = [one.name for one in run.faults.values() if not whole.between(one.proven, one.healing).asked]
    if (stretch := course.worst) and stretch.worst:
        outcome = Outcome.INCONCLUSIVE if stretch.worst.holds is None else Outcome.FAIL
        tolerated = f"{course.state.tolerate_seconds:g} s are tolerated"
        why = f"not for {stretch.longest_seconds:.1f} s, {tolerated}: {stretch.worst.words}"
        return Finding(part=Part.HYPOTHESIS, what=what, outcome=outcome, why=why)
    if unasked or not course.asked:
        why = f"while {' and '.join(unasked)} was in no answer came" if unasked else "it was never asked"
        return Finding(part=Part.HYPOTHESIS, what=what, outcome=Outcome.INCONCLUSIVE, why=why)
    if not course.held:  # only healing has ended what is tolerated for a while
        why = f"it never held, so that nobody knows for how long it would have failed: {course.told[-1].answer.words}"
        return Finding(part=Part.HYPOTHESIS, what=what, outcome=Outcome.INCONCLUSIVE, why=why)
    return Finding(part=Part.HYPOTHESIS, what=what, outcome=Outcome.PASS, why=f"asked {course.asked} times")


def _recovery(run: Observed) -> Iterator[Finding]:
    """Whether it came in time: what holds at last may have come too late, and what nobody asked proves nothing."""
    what = "the hypothesis holds again in time"
    within_seconds = run.recovery_within_seconds
    if run.healed and not any(one.when == "after" for one in run.checks):
        why = "after healing nothing was asked"
        yield Finding(part=Part.RECOVERY, what=what, outcome=Outcome.INCONCLUSIVE, why=why)
    elif run.healed and run.recovered:
        seconds = (run.recovered - run.healed).total_seconds()
        outcome = Outcome.PASS if seconds <= within_seconds else Outcome.FAIL
        why = f"after {seconds:.1f} s; it has {within_seconds:g} s"
        yield Finding(part=Part.RECOVERY, what=what, outcome=outcome, why=why)


def _signals(run: Observed) -> Iterator[Finding]:
    for number, signal in enumerate(run.rehearsal.signals):
        found = run.signals.get(number)
        if found is None:
            why = "the run did not come to where it would have been looked for"
            yield Finding(part=Part.SIGNAL, what=signal.what, outcome=Outcome.INCONCLUSIVE, why=why)
        elif isinstance(signal, ForbiddenSignal):
            fault = run.faults.get(signal.during)
            yield _forbidden(found, until=fault.healing if fault else None)
        elif run.control:
            yield _control(found)
        elif run.cut_short and not found.seen and not _had_its_time(found, run):
            why = "the run was cut short, so nobody knows whether it would have come"
            yield Finding(part=Part.SIGNAL, what=found.what, outcome=Outcome.INCONCLUSIVE, why=why)
        else:
            yield _expected(found)


def _had_its_time(found: SignalResult, run: Observed) -> bool:
    """Whether a signal's time was over when a run was cut short, so that nothing that was left out could mend it.

    That counts where somebody has looked for it from the begin to the end of its time, as in any other run.
    """
    if run.cut_short_at is None or found.after is None or run.sampling_trouble or run.unheard:
        return False
    return found.after + timedelta(seconds=found.within_seconds or 0) <= run.cut_short_at


def _expected(found: SignalResult) -> Finding:
    within_seconds = found.within_seconds or 0
    if found.after_seconds is not None and found.after_seconds <= within_seconds:
        why = f"after {found.after_seconds:.1f} s: {found.words}"
        return Finding(part=Part.SIGNAL, what=found.what, outcome=Outcome.PASS, why=why)
    if found.unknown and found.after_seconds is None:
        return Finding(part=Part.SIGNAL, what=found.what, outcome=Outcome.INCONCLUSIVE, why=found.unknown)
    came = f"came after {found.after_seconds:.1f} s: {found.words}" if found.after_seconds is not None else "never came"
    why = f"{came}; it has {within_seconds:g} s"
    return Finding(part=Part.SIGNAL, what=found.what, outcome=Outcome.FAIL, why=why)


def _forbidden(found: SignalResult, *, until: datetime | None) -> Finding:
    if found.seen and until and found.seen > until:
        why = f"it came only {(found.seen - until).total_seconds():.1f} s after the fault began to be taken out"
        return Finding(part=Part.FORBIDDEN, what=found.what, outcome=Outcome.PASS, why=why)
    if found.seen:
        why = f"after {found.after_seconds:.1f} s: {found.words}"
        return Finding(part=Part.FORBIDDEN, what=found.what, outcome=Outcome.FAIL, why=why)
    outcome = Outcome.INCONCLUSIVE if found.unknown else Outcome.PASS
    return Finding(part=Part.FORBIDDEN, what=found.what, outcome=outcome, why=found.unknown or "it did not come")


def _control(found: SignalResult) -> Finding:
    if found.seen:
        why = f"without any fault there is the same signal, so the rehearsal proves nothing: {found.words}"
        return Finding(part=Part.CONTROL, what=found.what, outcome=Outcome.FAIL, why=why)
    outcome = Outcome.INCONCLUSIVE if found.unknown else Outcome.PASS
    within_seconds = found.within_seconds or 0
    watched_seconds = min(within_seconds, QUIET_SECONDS)
    quiet = (
        f"it did not come within {watched_seconds:g} s, nor as Flux reconciled once; "
        f"with the faults in it has {within_seconds:g} s"
    )
    return Finding(part=Part.CONTROL, what=found.what, outcome=outcome, why=found.unknown or quiet)


def _alerts(run: Observed) -> Iterator[Finding]:
    """In a control run nobody may be told of an error, whether a signal speaks of that or not."""
    if not run.control:
        return
    what = "nobody is told of an error"
    came = [line_of(one) for one in run.entries if one.source is Source.ALERT and ERRORS.fits(one)]
    if came:
        more = f"; and {len(came) - QUOTED} more" if len(came) > QUOTED else ""
        why = f"without any fault there are alerts of errors: {'; '.join(came[:QUOTED])}{more}"
        yield Finding(part=Part.CONTROL, what=what, outcome=Outcome.FAIL, why=why)
    elif run.cut_short_at or run.unheard:
        why = run.unheard or "the run was cut short, so nobody knows whether one would have come"
        yield Finding(part=Part.CONTROL, what=what, outcome=Outcome.INCONCLUSIVE, why=why)
    else:
        yield Finding(part=Part.CONTROL, what=what, outcome=Outcome.PASS, why="no such alert came")


def _residue(run: Observed) -> Iterator[Finding]:
    what = "nothing is left"
    for line in run.residue:
        yield Finding(part=Part.RESIDUE, what=what, outcome=Outcome.FAIL, why=line)
    if run.residue_unknown:
        yield Finding(part=Part.RESIDUE, what=what, outcome=Outcome.INCONCLUSIVE, why=run.residue_unknown)
    elif not run.residue:
        yield Finding(part=Part.RESIDUE, what=what, outcome=Outcome.PASS)
