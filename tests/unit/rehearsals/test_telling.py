"""What is told of a run: times from the first fault on, and of too much what matters."""

from datetime import timedelta

from tests.unit.report.samples import PASSED, ZERO, at

from fluxlab.rehearsals.results import Times
from fluxlab.rehearsals.telling import LONGEST_HISTORY, most_telling, times_of
from fluxlab.timeline.entries import Entry, Level, Source

SOURCE, ALERT, FORBIDDEN = PASSED.signals
WHEN = {"first_fault": ZERO, "healed": at(21), "recovered": at(24.2)}


def entry(seconds: float, source: Source, level: Level = Level.INFO) -> Entry:
    return Entry(time=ZERO + timedelta(seconds=seconds), source=source, text=f"{seconds}", level=level)


def test_all_times_count_from_the_first_fault() -> None:
    later = ALERT.model_copy(update={"after": at(12), "after_seconds": 0.4})  # bound to a later step
    assert times_of([SOURCE, later, FORBIDDEN], expected=2, **WHEN) == Times(
        first_signal_seconds=10.6, all_signals_seconds=12.4, alert_seconds=12.4, recovery_seconds=3.2
    )


def test_not_all_were_seen_if_one_was_never_looked_for() -> None:
    times = times_of([SOURCE], expected=2, **WHEN)
    assert (times.first_signal_seconds, times.all_signals_seconds, times.alert_seconds) == (10.6, None, None)


def test_what_must_not_come_is_no_detection() -> None:
    unwanted = ALERT.model_copy(update={"forbidden": True})
    assert times_of([unwanted], expected=0, **WHEN).alert_seconds is None


def test_a_run_in_which_nothing_was_broken_has_no_times() -> None:
    assert times_of([], expected=2, first_fault=None, healed=None, recovered=at(1)) == Times()


def test_of_too_much_pushes_faults_and_what_went_wrong_is_kept() -> None:
    many = [entry(number / 1000, Source.OBJECT) for number in range(LONGEST_HISTORY)]
    late = [
        entry(100, Source.PUSH),
        entry(101, Source.FAULT),
        entry(102, Source.EVENT, Level.ERROR),
        entry(103, Source.AUDIT, Level.ERROR),
    ]
    told = most_telling([*many, *late])
    assert len(told) == LONGEST_HISTORY
    assert list(told[-3:]) == late[:3]
    assert [one.time for one in told] == sorted(one.time for one in told)
