"""Faults of a rehearsal are taken out, also when one of them has to wait for another."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultRecord
from fluxlab.faults.healing import InTheWayError
from fluxlab.lab import Lab
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.results import FaultResult
from fluxlab.rehearsals.steps import Steps


def steps(*names: str, errors: dict[str, FluxlabError]) -> tuple[Steps, list[str]]:
    """Steps with faults that are in; the lab raises each error once, and keeps what it takes out."""
    out: list[str] = []

    def heal(name: str) -> None:
        if error := errors.pop(name, None):
            raise error
        out.append(name)

    lab = cast("Lab", SimpleNamespace(faults=SimpleNamespace(heal=heal)))
    made = Steps(lab, cast("Lookout", None), seed=1, control=False)
    for name in names:
        record: Any = SimpleNamespace(id=name)
        made._in[name] = cast("FaultRecord", record)
        made._faults[name] = FaultResult.model_construct(name=name)
    return made, out


def test_what_another_fault_keeps_in_is_taken_out_after_it() -> None:
    made, out = steps("image", "git", errors={"image": InTheWayError("git is in")})
    with pytest.raises(InTheWayError):
        made.heal("image")
    assert list(made.heal_all()) == [("git", None), ("image", None)]
    assert out == ["git", "image"]


def test_what_could_not_be_taken_out_is_tried_once() -> None:
    made, out = steps("image", errors={"image": FluxlabError("no")})
    assert [str(error) for _, error in made.heal_all()] == ["no"]
    assert (list(made.heal_all()), out) == ([], [])
