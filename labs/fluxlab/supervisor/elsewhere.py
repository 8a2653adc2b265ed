"""What is broken on purpose in clusters that are there without the lab: once that is gone, nobody takes it out."""

from collections.abc import Sequence
from dataclasses import dataclass

from fluxlab.clusters.backends import NotRemovedError
from fluxlab.clusters.root import lasting
from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultRecord, FaultRecords
from fluxlab.state import LabFolder


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """The records of such faults, of one lab."""

    lab: str
    faults: Sequence[FaultRecord]
    unreadable: Sequence[FluxlabError]
    """Of records that tell nobody what is broken, and where."""

    @classmethod
    def of(cls, folder: LabFolder) -> "Elsewhere":
        """Those that there are now."""
        clusters, records = lasting(folder.root), FaultRecords(folder)
        faults = [one for one in records.readable() if one.cluster in clusters]
        return cls(lab=folder.name, faults=faults, unreadable=records.unreadable() if clusters else ())

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the faults."""
        return [one.id for one in self.faults]

    def check(self, *troubles: FluxlabError) -> None:
        """Raise NotRemovedError if there is any, with what was in the way."""
        if not self.faults and not self.unreadable:
            return
        names = ", ".join(self.ids) or "nobody knows which"
        raise NotRemovedError(
            f"lab {self.lab} leaves faults in a cluster that is not its own: {names}",
            facts=[str(error) for error in [*self.unreadable, *troubles]],
            hint=f"fluxlab up --name {self.lab} takes them out, fluxlab heal --all --give-up leaves them there",
        )
