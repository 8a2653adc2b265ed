"""A handle on a lab, as far as it needs no lab that runs."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.unit.broken import broken

from fluxlab.cluster import Cluster
from fluxlab.clusters.backends import NotRemovedError
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.drift.records import DriftReport
from fluxlab.errors import FluxlabError, UsageError, WaitTimeoutError
from fluxlab.fault_records import FaultRecord, FaultRecords, FaultState
from fluxlab.faults.healing import StuckError
from fluxlab.faults.injecting import Faults
from fluxlab.lab import Lab
from fluxlab.processes import Identity
from fluxlab.repository import Repository
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder, Phase, Record
from fluxlab.status import LabStatus
from fluxlab.supervisor.control import Control, SupervisorGoneError


@pytest.fixture
def lab(state_dir: Path) -> Lab:
    folder = LabFolder.named("one")
    folder.create()
    folder.spec.write_text(LabSpec(name="one").model_dump_json())
    assert folder.root.is_relative_to(state_dir)
    return Lab(folder)


def test_a_wait_in_vain_tells_what_it_saw_last(lab: Lab) -> None:
    looks: list[int] = []
    with pytest.raises(WaitTimeoutError, match="three apples") as caught:
        lab.wait_until(
            lambda: looks.append(len(looks)),
            what="three apples",
            timeout_seconds=0,
            state=lambda: f"looked {len(looks)} times",
        )
    assert list(caught.value.facts) == ["looked 1 times"]


@pytest.fixture
def guest(lab: Lab) -> Lab:
    """One with a fault in a cluster of somebody's."""
    cluster = lab.folder.root / "clusters" / "one"
    cluster.mkdir(parents=True)
    Root(footing=Footing.GUEST).save(cluster)
    broken(lab.folder)
    return lab


@dataclass
class Supervisor:
    """One that is gone, until it is brought back."""

    answers: bool = False
    ends: FluxlabError | None = None
    """Why it cannot be brought back."""
    asked: list[str] = field(default_factory=list)
    """In whose name Flux was asked to try again what had failed."""

    def resume(self, folder: LabFolder, *, progress: Callable[[str], None]) -> None:
        progress(f"resuming {folder.name}")
        if self.ends:
            raise self.ends
        self.answers = True

    def heal(self, *ids: str, **_: object) -> Sequence[FaultRecord]:
        if not self.answers:
            raise SupervisorGoneError("its supervisor does not answer")
        records = FaultRecords(LabFolder.named("one"))
        found = [one for one in records.all() if not ids or one.id in ids]
        for record in found:
            records.mend(record)
        return found

    def heal_overdue(self, **_: object) -> Sequence[FaultRecord]:
        """All faults of an earlier supervisor but those that are stuck."""
        records = FaultRecords(LabFolder.named("one"))
        found = [one for one in records.all() if one.supervisor == (1, 0.5) and one.state is not FaultState.STUCK]
        return self.heal(*(one.id for one in found)) if found else []


@pytest.fixture
def supervisor(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    found = Supervisor()
    unopened = SimpleNamespace(api=None, root=Root(), close=lambda: None)
    lab.clusters = {"one": cast("Cluster", unopened)}  # instead of what would be opened
    monkeypatch.setattr("fluxlab.lab.try_again", lambda *_, who, **__: found.asked.append(who))
    monkeypatch.setattr("fluxlab.lab.resume", found.resume)
    monkeypatch.setattr(Faults, "heal", found.heal)
    monkeypatch.setattr(Faults, "heal_overdue", found.heal_overdue)
    return found


def test_who_heals_a_lab_whose_supervisor_is_gone_brings_it_back_and_says_so(lab: Lab, supervisor: Supervisor) -> None:
    broken(lab.folder)
    told: list[str] = []
    assert [one.id for one in lab.heal(progress=told.append)] == ["git-hang-1"]
    assert "its supervisor does not answer" in told[0]
    assert "resuming one" in told
    assert not FaultRecords(lab.folder).exist()
    assert supervisor.asked == ["fluxlab-up"]


def test_what_somebody_has_put_in_since_the_lab_was_brought_back_stays(lab: Lab, supervisor: Supervisor) -> None:
    records = broken(lab.folder)
    broken(lab.folder, id="git-hang-2", state=FaultState.STUCK)
    broken(lab.folder, id="git-hang-3", state=FaultState.STUCK)

    def put_in(_: str) -> None:
        if supervisor.answers:
            return
        broken(lab.folder, id="git-hang-4", supervisor=(2, 0.5))

    healed = lab.heal("git-hang-2", progress=put_in)
    assert [one.id for one in healed] == ["git-hang-1", "git-hang-2"]
    assert [one.id for one in records.all()] == ["git-hang-3", "git-hang-4"]


def test_a_lab_whose_supervisor_is_only_silent_is_not_brought_back(lab: Lab, supervisor: Supervisor) -> None:
    """It may be paused: whoever wants the lab would lose it."""
    records = broken(lab.folder)
    lab.folder.write_record(Record(phase=Phase.READY, supervisor=Identity.of(os.getpid())))  # one that runs
    told: list[str] = []
    with pytest.raises(SupervisorGoneError):
        lab.heal(progress=told.append)
    assert not supervisor.answers
    assert told == []
    assert records.exist()


def test_a_supervisor_that_answers_is_left_alone(lab: Lab, supervisor: Supervisor) -> None:
    broken(lab.folder)
    supervisor.answers = True
    told: list[str] = []
    assert [one.id for one in lab.heal("git-hang-1", progress=told.append)] == ["git-hang-1"]
    assert told == []


def test_a_lab_is_not_brought_back_to_heal_what_is_not_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed: list[LabFolder] = []
    monkeypatch.setattr("fluxlab.lab.resume", lambda folder, **_: resumed.append(folder))
    assert lab.heal() == []
    broken(lab.folder)
    with pytest.raises(UsageError, match="there is no fault 'git-hang-2'"):
        lab.heal("git-hang-2")
    assert resumed == []


def test_a_lab_does_not_end_while_a_fault_stays_in_somebodys_cluster(guest: Lab, supervisor: Supervisor) -> None:
    supervisor.ends = FluxlabError("the cluster does not answer")
    with pytest.raises(NotRemovedError, match="git-hang-1") as caught:
        guest.down()
    assert "the cluster does not answer" in str(caught.value)
    assert "fluxlab heal --all --give-up" in str(caught.value)
    assert FaultRecords(guest.folder).exist()


def test_a_lab_whose_supervisor_is_gone_takes_its_fault_out_of_somebodys_cluster_before_it_ends(
    guest: Lab, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[LabFolder] = []
    monkeypatch.setattr("fluxlab.lab.end", lambda folder, **_: ended.append(folder))
    guest.down()
    assert supervisor.answers
    assert not FaultRecords(guest.folder).exist()
    assert ended == [guest.folder]


def test_who_is_refused_for_what_is_stuck_is_told_that_the_lab_runs(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(lab.folder, state=FaultState.STUCK, trouble="no way")
    monkeypatch.setattr("fluxlab.lab.launch", lambda *_, **__: None)
    with pytest.raises(StuckError, match="no way") as caught:
        Lab.up(lab.spec)
    assert caught.value.exit_code == 1
    assert "lab one runs: whatever had died in it was started again" in caught.value.facts


def test_a_fault_that_the_watchdog_has_taken_out_meanwhile_keeps_no_lab_from_its_end(
    guest: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heal(*_: object, **__: object) -> None:
        for record in (records := FaultRecords(guest.folder)).all():
            records.forget(record)
        raise UsageError("there is no fault 'git-hang-1'")

    ended: list[LabFolder] = []
    monkeypatch.setattr(Faults, "heal", heal)
    monkeypatch.setattr("fluxlab.lab.end", lambda folder, **_: ended.append(folder))
    guest.down()
    assert ended == [guest.folder]


def test_a_lab_that_is_there_needs_no_scenario_nor_chart_of_its_file(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = LabSpec.model_validate(
        {
            "name": lab.name,
            "scenarios": ["./of-another-folder"],
            "charts": [{"url": "https://charts.example.org", "charts": ["gone.tgz"]}],
        }
    )
    launched: list[LabSpec] = []
    monkeypatch.setattr("fluxlab.lab.launch", lambda spec, **_: launched.append(spec))
    Lab.up(wanted)
    assert launched == [wanted]
    lab.folder.spec.unlink()
    with pytest.raises(UsageError, match="there is no scenario"):
        Lab.up(wanted)


def test_a_lab_that_is_half_made_is_in_nobodys_way(lab: Lab) -> None:
    LabFolder.named("half").create()
    assert Lab.find().folder == lab.folder
    with pytest.raises(UsageError, match="there is no lab 'half'") as caught:
        Lab.find("half")
    assert caught.value.facts == ("there are: one",)


@pytest.mark.usefixtures("state_dir")
def test_a_kubeconfig_is_meant_from_the_lab_file_on_and_not_from_where_its_supervisor_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[LabSpec] = []

    def launch(spec: LabSpec, **_: object) -> None:
        launched.append(spec)
        folder = LabFolder.named(spec.name)
        folder.create()
        folder.spec.write_text(spec.model_dump_json())

    monkeypatch.setattr("fluxlab.lab.launch", launch)
    monkeypatch.setenv("HOME", "/home/ada")
    paths = ["./team.yaml", "/etc/team.yaml", "~/team.yaml", "a.yaml:b.yaml", ""]
    clusters = [{"name": f"c{n}", "backend": "existing", "kubeconfig": path} for n, path in enumerate(paths)]
    Lab.up(LabSpec.model_validate({"name": "mine", "clusters": clusters}), base=tmp_path)
    assert [cluster.kubeconfig for cluster in launched[0].clusters] == [
        f"{tmp_path}/team.yaml",
        "/etc/team.yaml",
        "/home/ada/team.yaml",
        f"{tmp_path}/a.yaml:{tmp_path}/b.yaml",
        "",
    ]


NOTHING = DriftReport(drifts=(), unknown=(), examined=1)


def test_of_a_lab_without_a_supervisor_nobody_knows_which_charts_stand_in(lab: Lab) -> None:
    simulated = SimpleNamespace(name="one", root=Root(simulated=True))
    lab.clusters = {"one": cast("Cluster", simulated)}
    pods, charts = lab.unreal()
    assert pods.startswith("pods are simulated")
    assert charts.startswith("which charts are stand-ins for public ones is not known: lab one: its supervisor")


def test_a_report_of_drift_is_there_whatever_the_supervisor_answers_and_does_not_wait_long_for_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def examine(*_: object, **__: object) -> DriftReport:
        asked.append("clusters")
        return NOTHING

    def status(_: Control, *, timeout_seconds: float | None = None) -> LabStatus:
        assert timeout_seconds
        assert timeout_seconds < 5
        asked.append("supervisor")
        raise FluxlabError("the supervisor failed")

    monkeypatch.setattr("fluxlab.drift.examine.examine", examine)
    monkeypatch.setattr(Control, "status", status)
    lab.clusters = {"playground": cast("Cluster", SimpleNamespace(name="playground", root=Root(simulated=False)))}
    lab.repository = cast("Repository", None)  # nothing is read of it
    report = lab.drift()
    assert asked == ["clusters", "supervisor"]
    assert report.examined == 1
    assert report.unreal == ("which charts are stand-ins for public ones is not known: the supervisor failed",)
