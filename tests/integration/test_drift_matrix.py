"""Each edit by hand of `drift_matrix.md` on a real lab: Flux does and says, and fluxlab reports, what stands there."""

import json
from typing import Any

import pytest
from tests.integration.drift_cells import Cell, Outcome, cells
from tests.integration.drift_run import Run, run

from fluxlab.documents import Json
from fluxlab.drift.records import Drift
from fluxlab.lab import Lab

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def seen(request: pytest.FixtureRequest, module_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run of all cells that this session is to test; nothing else is reported, and nothing before the edits."""
    calls = [getattr(item, "callspec", None) for item in request.session.items if item.path == request.path]
    chosen: list[Cell] = [call.params["cell"] for call in calls if call]
    found = run(module_lab, chosen, tmp_path_factory.mktemp("matrix"))
    subjects = {cell.subject for cell in chosen}
    autoscaled = {cell.subject for cell in chosen if cell.actor == "hpa"}  # nobody waits with it until all is there
    for report, expected in ((found.before, autoscaled), (found.report, subjects), (found.rest, subjects)):
        assert [str(one) for one in report.drifts if str(one.object) not in expected] == []
        assert report.unknown == ()
    return found


def told(drifts: list[Drift]) -> list[tuple[str, str, str | None, str | None]]:
    return [(str(one.class_), one.pointer, one.desired, one.live) for one in drifts]


def as_json(value: Json) -> str | None:
    return None if value is None else json.dumps(value)


def state(one: object, pointer: str) -> object:
    """The value at a pointer of an object, None where there is none; without a pointer whether it is there."""
    if not pointer:
        return one is not None
    for token in pointer.split("/")[1:]:
        one = one.get(token) if isinstance(one, dict) else None
    return one


def managers(one: Any) -> set[str]:
    """The field managers of an object."""
    return {entry["manager"] for entry in one["metadata"]["managedFields"]}


@pytest.mark.parametrize(
    "cell",
    [pytest.param(cell, id=cell.id, marks=[] if cell.quick else pytest.mark.verify) for cell in cells()],
)
def test_an_edit_becomes_what_the_table_says(seen: Run, cell: Cell) -> None:
    """Nothing more and nothing less is reported of it, and it becomes of it what the report foretells."""
    edit = cell.edit
    drifts = [one for one in seen.report.drifts if str(one.object) == cell.subject]
    wanted = (edit.class_, edit.pointer, as_json(edit.desired), as_json(edit.live))
    differs = cell.outcome not in {Outcome.NOTHING, Outcome.DISOWNED}
    assert told(drifts) == ([wanted] if differs else [])
    reverted = cell.outcome in {Outcome.REVERTED, Outcome.UPGRADED}
    for one in drifts:
        assert one.actor.user == ("system:kube-controller-manager" if cell.actor == "hpa" else "admin as alice")
        # The name of a person is no program's: alice calls her field manager as herself.
        assert cell.known_as in f"{one.actor.manager} {one.actor.user_agent}".lower()
        began, ended = seen.made[cell]
        times = one.times
        assert times.changed
        assert times.detected
        assert began <= times.changed <= ended
        assert times.changed <= times.detected
        assert one.fate.reverted is reverted, one.fate

    edited, left = (state(objects.get(cell.subject), edit.pointer) for objects in (seen.edited, seen.left))
    assert edited == (edit.live if edit.pointer else edited)
    assert (left != edited) is reverted
    if edit.name == "same":
        second = [cell.known_as in managers(objects[cell.subject]) for objects in (seen.edited, seen.left)]
        assert second == [True, cell.outcome is Outcome.NOTHING]

    said = " ".join(seen.events.get(cell.word, ()))
    match cell.outcome:
        case Outcome.KEPT | Outcome.NOTHING | Outcome.UPGRADED:
            assert said == ""
        case Outcome.WARNED:
            assert said.startswith("DriftDetected: ")
        case Outcome.REVERTED if cell.owner == "enabled":
            assert "DriftDetected: " in said
            assert "DriftCorrected: " in said
        case Outcome.REVERTED:
            assert said.endswith("created" if edit.class_ == "deleted" else "configured")
        case Outcome.DISOWNED:
            assert said.endswith("configured")
    detected = cell.outcome is Outcome.WARNED or (cell.outcome is Outcome.REVERTED and cell.owner == "enabled")
    assert (cell.word in seen.conditions) is detected

    rest = [one for one in seen.rest.drifts if str(one.object) == cell.subject]
    assert told(rest) == (told(drifts) if cell.outcome in {Outcome.KEPT, Outcome.WARNED} else [])
    assert [bool(one.flux_said) for one in rest] == [cell.outcome is Outcome.WARNED] * len(rest)
