"""Who looks for a run's signals: each from the moment on from which it counts, until it was seen once."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from fluxlab.clusters.kinds import Kinds
from fluxlab.clusters.resources import Resource
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.lab import Lab
from fluxlab.moments import Moment
from fluxlab.waiting import wait_until

from .cycle import one_cycle
from .history import History
from .outset import Outset
from .results import SignalResult
from .sensing import Seen, Senses
from .signals import ExpectedSignal, ForbiddenSignal, SignalSpec
from .spec import Rehearsal

QUIET_SECONDS = 15.0
"""For how long a control run waits for signals that must not come, at most: it waits all of that, in vain."""
CYCLE_SECONDS = 60.0
"""How long Flux may take to reconcile everything once."""
SETTLING_SECONDS = 2.0
"""How long what is said then may take to be heard."""
LOOK_SECONDS = 0.2
UNRECORDED = frozenset({"drift", "metric", "pending"})
"""Signals that are there only while somebody looks: what could not be looked for once may have been missed."""


class Lookout:
    """Finds the signals of a rehearsal; from any thread, each with senses of its own."""

    def __init__(self, rehearsal: Rehearsal, lab: Lab, history: History, *, control: bool) -> None:
        self._rehearsal = rehearsal
        self._lab = lab
        self._history = history
        self._control = control
        self._commits: dict[str, str] = {}
        self._senses = Senses(lab, history, self._commits)
        self._lock = threading.Lock()
        self._outsets: dict[str, Outset] = {}
        self._seen: dict[int, SignalResult] = {}
        self._missed: dict[int, str] = {}
        """Why a signal without a record could not be looked for once."""
        self._met: set[int] = set()
        """The forbidden signals of which it is known that what they would speak of was there."""
        self._latest = Outset()
        self._first: Outset | None = None

    @property
    def results(self) -> Mapping[int, SignalResult]:
        """What was found so far, by the signal's place in the rehearsal."""
        return self._seen

    @property
    def first_fault(self) -> Moment | None:
        """The moment before the first fault."""
        return self._first.moment if self._first else None

    def kinds(self) -> Iterator[Resource]:
        """The resources that signals are about. Raises UsageError for what nothing in the cluster is called."""
        kinds = Kinds(self._lab.cluster.api)
        for signal in (*self._rehearsal.signals, *self._waited()):
            if subject := signal.subject():
                kind, place = subject
                try:
                    yield _checked(kinds.find(kind), kind=kind, place=place)
                except UsageError:
                    if signal.drift is None:  # of which a report tells, also of kinds that a step brings
                        raise

    def begin(self) -> None:
        """Nothing has been done yet: from here on the signals count that a step waits for before any has a name."""
        self._latest = self._outset(self._waited())

    def mark(self, name: str, *, fault: bool) -> None:
        """From here on the signals count that come after what has this name."""
        first = fault and self._first is None
        bound = [one for one in self._rehearsal.signals if _named(one) == name or (first and not _named(one))]
        outset = self._outset([*bound, *self._waited()])
        self._outsets[name] = self._latest = outset
        if first:
            self._first = outset

    def _waited(self) -> Sequence[SignalSpec]:
        """What steps wait for."""
        return [step.wait for step in self._rehearsal.steps if step.wait]

    def _outset(self, signals: Sequence[SignalSpec]) -> Outset:
        """Now, with what is there already of signals without a record."""
        outset = Outset(self._lab.moment())
        for signal in signals:
            if signal.way() in UNRECORDED:
                self._senses.note_before(signal, outset)
        return outset

    def pushed(self, name: str, commit: str) -> None:
        """A step of this name has pushed a commit."""
        self._commits[name] = commit

    def looking(self, lab: Lab) -> Callable[[], None]:
        """One look, with the senses of another handle on the lab: for another thread."""
        senses = Senses(lab, self._history, self._commits)
        return lambda: self.look(senses)

    def look(self, senses: Senses | None = None) -> None:
        """Look for each signal that has not been seen yet."""
        for number, signal in enumerate(self._rehearsal.signals):
            known = self._seen.get(number)
            after = self._outset_of(signal)
            if after is None or (known and known.seen):
                continue
            eyes = senses or self._senses
            seen, missed, unmet = None, "", ""
            try:
                seen = eyes.find(signal, after=after)
                unmet = self._unmet(number, signal, eyes)
            except FluxlabError as error:
                missed = str(error)
            with self._lock:
                if missed and signal.way() in UNRECORDED:
                    self._missed[number] = missed
                known = self._seen.get(number)
                if not (known and known.seen):  # the other thread may have been the first
                    unknown = missed or self._missed.get(number, "") or unmet
                    self._seen[number] = self._result(signal, after.moment, seen, unknown)

    def _unmet(self, number: int, signal: ExpectedSignal | ForbiddenSignal, senses: Senses) -> str:
        """Why it proves nothing that a signal does not come: so far what it would speak of was never there.

        Only of what is forbidden: what is expected has to come. In a control run what only faults make is not there.
        """
        if isinstance(signal, ExpectedSignal) or self._control or number in self._met:
            return ""
        if senses.met(signal):
            self._met.add(number)
            return ""
        return f"what it would speak of was never there: {describe_signal(signal)}"

    def _outset_of(self, signal: ExpectedSignal | ForbiddenSignal) -> Outset | None:
        named = _named(signal)
        return self._outsets.get(named) if named else self._first

    def await_one(self, signal: SignalSpec, within_seconds: float) -> str:
        """The words of a signal since the last fault or named step. Raises FluxlabError when it does not come.

        That it cannot be looked for at the moment is no reason to wait no longer.
        """
        after = self._latest
        trouble = ""

        def seen() -> Seen | None:
            nonlocal trouble
            try:
                found, trouble = self._senses.find(signal, after=after), ""
            except FluxlabError as error:
                found, trouble = None, str(error)
            return found

        return wait_until(
            seen,
            what=describe_signal(signal),
            timeout_seconds=self._lab.patience(within_seconds),
            state=lambda: trouble,
            interval_seconds=LOOK_SECONDS,
        ).words

    def await_expected(self) -> None:
        """Until each expected signal has come, or its time is over."""
        if self.first_fault is None:
            return
        began = time.monotonic()
        left = [self._left_seconds(one) for one in self._rehearsal.expect]

        def over() -> bool:
            self.look()
            waited = time.monotonic() - began
            return all(
                ((found := self._seen.get(number)) is not None and found.seen is not None) or waited >= seconds
                for number, seconds in enumerate(left)
            )

        wait_until(over, what="signals", timeout_seconds=max(left) + 60, interval_seconds=LOOK_SECONDS)

    def await_quiet(self) -> None:
        """In a control run: for as long as signals have, QUIET_SECONDS at most, and until Flux has reconciled once.

        What comes whenever it does comes so in each control run, wherever its intervals fall. Raises WaitTimeoutError
        with what has not reconciled, and what `one_cycle` raises.
        """
        quiet_seconds = min(max(map(self._within_seconds, self._rehearsal.expect)), QUIET_SECONDS)
        quiet = time.monotonic() + quiet_seconds
        undone: Sequence[str] = ()
        with one_cycle(self._lab.cluster.api) as ask:

            def done() -> bool:
                nonlocal undone
                self.look()
                undone = ask()
                return not undone

            wait_until(
                done,
                what="Flux reconciles everything once",
                timeout_seconds=self._lab.patience(CYCLE_SECONDS),
                state=lambda: f"not yet: {', '.join(undone)}",
                interval_seconds=LOOK_SECONDS,
            )
        quiet = max(quiet, time.monotonic() + self._lab.patience(SETTLING_SECONDS))
        while time.monotonic() < quiet:
            self.look()
            time.sleep(LOOK_SECONDS)  # there is no event of what does not come

    def _left_seconds(self, signal: ExpectedSignal) -> float:
        """How long it may still take to come; never more than it has, also where the clock was set back meanwhile."""
        within_seconds = self._within_seconds(signal)
        after = self._outset_of(signal)
        passed = (datetime.now(UTC) - after.moment.time).total_seconds() if after else within_seconds
        return min(max(0.0, within_seconds - passed), within_seconds)

    def _within_seconds(self, signal: ExpectedSignal) -> float:
        """How long it may take on this machine."""
        return self._lab.patience(signal.within_seconds)

    def _result(
        self, signal: ExpectedSignal | ForbiddenSignal, after: Moment, seen: Seen | None, unknown: str
    ) -> SignalResult:
        return SignalResult(
            what=signal.what,
            signal=signal.model_dump(mode="json", by_alias=True, include={signal.way()}),
            forbidden=isinstance(signal, ForbiddenSignal),
            within_seconds=self._within_seconds(signal) if isinstance(signal, ExpectedSignal) else None,
            after=after.time,
            seen=seen.time if seen else None,
            after_seconds=round((seen.time - after.time).total_seconds(), 3) if seen else None,
            words=seen.words if seen else "",
            unknown=unknown,
        )


def _named(signal: ExpectedSignal | ForbiddenSignal) -> str:
    """What it counts from, where that is not the first fault."""
    return signal.after if isinstance(signal, ExpectedSignal) else signal.during


def _checked(resource: Resource, *, kind: str, place: str) -> Resource:
    """What is named otherwise than objects name themselves would never be found, and pass as forbidden."""
    if kind.lower() != resource.kind.lower():
        raise UsageError(f"{kind!r} is no kind of a signal", facts=[f"objects say {resource.kind!r}"])
    namespace, _, name = place.rpartition("/")
    if bool(namespace) != resource.namespaced or not name:
        shape = "NAMESPACE/NAME" if resource.namespaced else "NAME: it is in no namespace"
        raise UsageError(f"{place!r} names no {resource.kind}", facts=[f"it is {shape}"])
    return resource


def describe_signal(signal: SignalSpec) -> str:
    """A signal in a few words."""
    way = signal.way()
    told = getattr(signal, way).model_dump(by_alias=True, exclude_defaults=True)
    return f"{way} {', '.join(f'{key} {value}' for key, value in told.items())}"
