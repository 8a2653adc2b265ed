"""Faults of a rehearsal are taken out, also when one of them has to wait for another."""

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.fault_records import BusyError, FaultRecord
from fluxlab.faults.healing import InTheWayError, StuckError
from fluxlab.lab import Lab
from fluxlab.rehearsals.lookout import Lookout
from fluxlab.rehearsals.results import FaultResult
from fluxlab.rehearsals.spec import PublishSpec, Step
from fluxlab.rehearsals.steps import Steps
from fluxlab.servers.chart_packaging import package_chart
from fluxlab.servers.charts import ChartRepository
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


def publishing(tmp_path: Path) -> tuple[Steps, ChartRepository]:
    charts = ChartRepository(tmp_path / "charts")
    for version in ("1.0.0", "0.9.0"):
        source = tmp_path / version / "cart"
        (source / "templates").mkdir(parents=True)
        (source / "Chart.yaml").write_text(f"apiVersion: v2\nname: cart\nversion: {version}\n")
        (source / "templates" / "note").write_text(version)
        charts.add(package_chart(source, source.parent))
    folder = SimpleNamespace(scratch=tmp_path)
    lab = cast("Lab", SimpleNamespace(charts=lambda _: charts, folder=folder))
    return Steps(lab, cast("Lookout", None), seed=1, control=True), charts


def test_a_version_is_published_also_in_a_control_run_and_holds_what_the_newest_does(tmp_path: Path) -> None:
    made, charts = publishing(tmp_path)
    publish = PublishSpec(chart="cart", version="1.1.0", repository="https://charts.shop.example/stable")
    assert made.take(Step(publish=publish)) == ""
    assert [one.version for one in charts.charts()] == ["1.1.0", "1.0.0", "0.9.0"]
    with tarfile.open(charts.folder / "cart-1.1.0.tgz") as archive:
        note = archive.extractfile("cart/templates/note")
        assert note
        assert note.read() == b"1.0.0"


def test_a_chart_that_nobody_has_cannot_be_published(tmp_path: Path) -> None:
    made, _ = publishing(tmp_path)
    publish = PublishSpec(chart="till", version="1.1.0", repository="https://charts.shop.example/stable")
    assert made.take(Step(publish=publish)) == "https://charts.shop.example/stable has no chart till"
