"""Labs for rehearsals: the first that needs something is made, the next start from its snapshot."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fluxlab.fault_records import FaultRecords
from fluxlab.files import make_private
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec
from fluxlab.state import described_labs
from fluxlab.supervisor.starter import copying

from .spec import LabNeeds

Progress = Callable[[str], None]


def check_faults() -> None:
    """Raise StuckError when in some lab a fault could not be taken out: before more is broken that is mended.

    Raises FluxlabError when nobody can tell.
    """
    for folder in described_labs():
        if FaultRecords(folder).all():
            Lab(folder).faults.check()


class Grounds:
    """Gives labs, one for each run, until it is closed."""

    def __init__(self, folder: Path | None) -> None:
        """For several runs keep snapshots, which hold Secrets, in a folder (see `fluxlab.runs`).

        Their supervisors are copies of one that is loaded. Without a folder each lab is made anew.
        """
        self._folder = folder
        self._snapshots: dict[LabNeeds, Path] = {}
        self._copying = ExitStack()
        if folder:
            self._copying.enter_context(copying())

    def close(self) -> None:
        """End what the supervisors are copied from; once more changes nothing."""
        self._copying.close()

    @contextmanager
    def lab(
        self, needs: LabNeeds, *, progress: Progress = lambda _: None, timeout_factor: float = 1.0
    ) -> Iterator[Lab]:
        """A lab that has what is needed, and in which everything has arrived; it is gone after the block.

        Raises what `Lab.up`, `Lab.restore` and `Lab.converge` raise.
        """
        name = f"rehearsal-{secrets.token_hex(3)}"
        if snapshot := self._snapshots.get(needs):
            lab = Lab.restore(snapshot, name=name, progress=progress, lifeline=True)
        else:
            lab = Lab.up(_spec(name, needs), progress=progress, lifeline=True)
        lab.timeout_factor = timeout_factor
        try:
            if not snapshot:
                self._prepare(lab, needs)
            yield lab
        finally:
            lab.close()
            lab.down()

    def _prepare(self, lab: Lab, needs: LabNeeds) -> None:
        for need in needs.secrets:
            place, _, key = need.partition(" ")
            lab.cluster.set_secret(place, key, secrets.token_hex(16), create_namespace=True)
        lab.converge()
        if self._folder:
            target = make_private(self._folder) / f"{len(self._snapshots)}.snapshot"
            lab.save_snapshot(target)
            self._snapshots[needs] = target


def _spec(name: str, needs: LabNeeds) -> LabSpec:
    spec = LabSpec(name=name, links=needs.links, scenarios=list(needs.scenarios))
    clusters = [cluster.model_copy(update={"nodes": needs.nodes}) for cluster in spec.clusters]
    return spec.model_copy(update={"clusters": clusters})
