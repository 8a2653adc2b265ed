"""One fault that is on record, with what it takes to put it in, to prove it, and to take it out again."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from fluxlab.errors import WaitTimeoutError
from fluxlab.fault_records import FaultRecord, pair
from fluxlab.processes import Identity
from fluxlab.state import LabFolder
from fluxlab.timeline.entries import Detail, Entry, Level, Source
from fluxlab.timeline.folder import FAULTS, TimelineFolder
from fluxlab.timeline.journal import Journal
from fluxlab.waiting import wait_until

from .base import Ground, Injection
from .catalogue import AnyFault, find_fault

Patience: TypeAlias = Callable[[float], float]
"""How long to wait for what should take so many seconds."""
LOOK_SECONDS = 0.1
PASSING_SECONDS = 10.0
"""How long something may look like a fault that is not in: a rollout comes to its end."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault, its record, and the ground that it is done to."""

    record: FaultRecord
    ground: Ground
    patience: Patience

    @cached_property
    def fault(self) -> AnyFault:
        """What the record names."""
        return find_fault(self.record.fault)

    @cached_property
    def injection(self) -> Injection[Any]:
        """What the fault itself is given of the record."""
        (target,) = self.record.targets
        parameters = self.fault.parameters.model_validate(self.record.parameters)
        return Injection(id=self.record.id, target=target, parameters=parameters, undo=self.record.undo)

    def __str__(self) -> str:
        return named(self.record)

    def coincidence(self) -> str:
        """What shows it although nothing was done, and does not pass: it would prove nothing afterwards."""
        try:
            wait_until(
                lambda: not self.fault.injected(self.ground, self.injection),
                what=f"{self} does not show before it is put in",
                timeout_seconds=self.patience(PASSING_SECONDS),
                state=lambda: self.fault.injected(self.ground, self.injection),
                interval_seconds=LOOK_SECONDS,
            )
        except WaitTimeoutError as error:
            return "\n".join(error.facts)
        return ""

    def put_in(self) -> None:
        """Inject it. May be cut off anywhere."""
        self.fault.inject(self.ground, self.injection)

    def seen(self) -> str:
        """What shows it, as soon as something does. Raises WaitTimeoutError."""
        return self._await(self.fault.injected, f"{self} shows")

    def take_out(self) -> None:
        """Heal it, however much of it is in."""
        self.fault.heal(self.ground, self.injection)

    def gone(self) -> str:
        """What shows that it is gone, as soon as something does. Raises WaitTimeoutError."""
        return self._await(self.fault.healed, f"{self} is gone")

    def by_hand(self) -> tuple[str, ...]:
        """What a person can type who has to take it out."""
        return tuple(self.fault.by_hand(self.ground, self.injection))

    def _await(self, proof: Callable[[Ground, Injection[Any]], str], what: str) -> str:
        return wait_until(
            lambda: proof(self.ground, self.injection),
            what=what,
            timeout_seconds=self.patience(self.fault.proof_seconds),
            interval_seconds=LOOK_SECONDS,
        )


def named(record: FaultRecord) -> str:
    """A fault and what it is done to, as people are told."""
    return f"{record.fault} ({', '.join(record.targets)})"


def myself() -> tuple[int, float]:
    """This process, as records have it."""
    return pair(Identity.of(os.getpid()))


def note(lab: LabFolder, record: FaultRecord, text: str, *, level: Level = Level.INFO) -> None:
    """Say on the lab's timeline what has become of a fault, unless the lab has gone, and its timeline with it.

    Where the disk does not take it, that is logged, and nothing else is the worse for it.
    """
    if not lab.spec.exists():
        return
    try:
        folder = TimelineFolder(lab)
        journal = Journal(folder.journal(FAULTS), redactor=folder.redactor())
        entry = Entry(
            time=journal.now(),
            source=Source.FAULT,
            text=text,
            level=level,
            cluster=record.cluster,
            part=record.id,
            details={Detail.FAULT: record.fault},
        )
        journal.append([entry])
    except OSError as error:
        log.warning("%s: %s; not on the timeline: %s", record.id, text, error)
