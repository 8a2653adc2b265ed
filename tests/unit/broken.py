"""Records of faults as they lie on disk: data for what only reads them."""

from datetime import UTC, datetime

from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState
from fluxlab.state import LabFolder


def broken(folder: LabFolder, **changes: object) -> FaultRecords:
    """The records of a lab with one fault: git-hang-1, which is in, in cluster `one`, and whose time is over."""
    now, records = datetime.now(UTC), FaultRecords(folder)
    record = FaultRecord(
        id="git-hang-1",
        fault="git-hang",
        cluster="one",
        targets=("github.com",),
        seed=0,
        state=FaultState.INJECTED,
        began=now,
        until=now,
        supervisor=(1, 0.5),
    )
    records.write(record.changed(**changes))
    return records
