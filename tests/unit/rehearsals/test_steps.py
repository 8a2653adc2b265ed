"""Faults of a rehearsal are taken out, also when one of them has to wait for another."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.fault_records import BusyError, FaultRecord
from fluxlab.faults.healing import InTheWayError, StuckError
from fluxlab.lab import Lab
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.results import FaultResult
from fluxlab.rehearsals.steps import Steps
from fluxlab.supervisor.control import SupervisorGoneError


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


@pytest.mark.parametrize("error", [StuckError("no"), UsageError("there is no fault 'image'")])
def test_what_is_stuck_or_not_on_record_any_more_is_not_tried_again(error: FluxlabError) -> None:
    made, out = steps("image", errors={"image": error})
    with pytest.raises(type(error)):
        made.heal("image")
    assert (list(made.heal_all()), out) == ([], [])


@pytest.mark.parametrize(
    "error",
    [BusyError("another process heals"), SupervisorGoneError("no answer"), FluxlabError("another one is stuck")],
)
def test_what_may_be_in_still_is_tried_again_in_the_end(error: FluxlabError) -> None:
    made, out = steps("image", errors={"image": error})
    with pytest.raises(type(error)):
        made.heal("image")
    assert list(made.heal_all()) == [("image", None)]
    assert (list(made.heal_all()), out) == ([], ["image"])
