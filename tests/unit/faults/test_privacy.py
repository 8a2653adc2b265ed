"""What only healing needs to know of a fault is told to nobody."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.fault_records import FaultRecord, FaultRecords
from fluxlab.faults.base import Injection, NoParameters, Plan
from fluxlab.state import LabFolder

CANARY = "canary-of-a-secret"


def record() -> FaultRecord:
    return FaultRecord(
        id="secret-empty-1",
        fault="secret-empty",
        cluster="c",
        targets=("shop/token",),
        undo={"secret": CANARY},
        seed=1,
        began=datetime.now(UTC),
        until=datetime.now(UTC),
        supervisor=(1, 1.0),
    )


def test_a_record_is_told_without_it() -> None:
    assert CANARY in record().model_dump_json()
    assert '"secret-empty-1"' in record().told()
    assert not [text for text in (record().told(), repr(record()), str(record())) if CANARY in text]


def test_plans_and_injections_do_not_show_it() -> None:
    plan = Plan(touches=frozenset(), undo={"secret": CANARY})
    injection = Injection(id="x", target="", parameters=NoParameters(), undo=plan.undo)
    assert CANARY not in repr(plan) + repr(injection)


def test_a_record_that_cannot_be_read_is_not_quoted(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.spec.touch()
    records = FaultRecords(folder)
    with records.alone():
        records.write(record())
    (file,) = (tmp_path / "faults").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().replace('"seed": 1', '"seed": "none"'))
    with pytest.raises(FluxlabError, match="cannot be read") as caught:
        records.all()
    assert "seed" in str(caught.value)
    assert CANARY not in str(caught.value)
