"""Rehearsal files: read, and refused with their place when they are none, or break what cannot be broken."""

from collections.abc import Iterator
from pathlib import Path

from fluxlab.errors import UsageError
from fluxlab.faults.catalogue import find_fault
from fluxlab.faults.choosing import chosen_parameters
from fluxlab.model_files import Complaint, read_model

from .spec import Rehearsal

_PLACES = (Path(__file__).parents[1] / "scenarios", Path(__file__).parents[3] / "scenarios")
"""In a wheel the scenarios lie in the package; in a checkout beside `labs`."""


def load_rehearsal(file: Path) -> Rehearsal:
    """The rehearsal in a file. Raises UsageError that names file, line and what is allowed."""
    return read_model(file, Rehearsal, what="a rehearsal", check=_faults)


def _faults(rehearsal: Rehearsal) -> Iterator[Complaint]:
    """Of faults that are not in the catalogue, or cannot have their parameters."""
    for number, step in enumerate(rehearsal.steps):
        if step.fault:
            try:
                chosen_parameters(find_fault(step.fault.fault), step.fault.set)
            except UsageError as error:
                yield ("steps", number, "fault"), "; ".join([error.what, *error.facts])


def shipped_rehearsals() -> list[Path]:
    """The files of the rehearsals that come with fluxlab."""
    return sorted({file.name: file for place in _PLACES for file in place.glob("rehearsals/*.yaml")}.values())
