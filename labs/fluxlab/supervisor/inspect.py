"""How a lab is, from outside: asked of its supervisor, or told from its record when that does not answer."""

from fluxlab.fault_records import FaultRecords
from fluxlab.state import LabFolder, Phase
from fluxlab.status import FaultTold, LabStatus, StepState

from .control import Control, SupervisorGoneError
from .launch import alive


def status_of(folder: LabFolder) -> LabStatus:
    """How the lab is, whatever has become of its supervisor, and what is broken in it on purpose."""
    unknown = "\n".join(error.what for error in FaultRecords(folder).unreadable())
    return _told(folder).model_copy(update={"faults": faults_of(folder), "faults_unknown": unknown})


def faults_of(folder: LabFolder) -> tuple[FaultTold, ...]:
    """What is on record as broken on purpose, of the records that can be read."""
    fields = set(FaultTold.model_fields)
    return tuple(FaultTold.model_validate(one.model_dump(include=fields)) for one in FaultRecords(folder).readable())


def _told(folder: LabFolder) -> LabStatus:
    record = folder.read_record()
    phase, error = "dead", f"its supervisor is gone; see {folder.supervisor_log}"
    if record and alive(record):
        try:
            return Control(folder).status()
        except SupervisorGoneError as gone:
            if record.phase is Phase.READY:  # it would answer, or it ended just now
                phase, error = ("hung", gone.what) if alive(record) else (phase, error)
            else:
                phase, error = record.phase, ""
    return LabStatus(
        name=folder.name,
        phase="failed" if record and record.phase == Phase.FAILED else phase,
        error=(record and record.error) or error,
        folder=str(folder.root),
        steps=tuple(StepState(name=step.name, at_seconds=step.at_seconds) for step in record.steps) if record else (),
    )
