"""A handle on a lab, as far as it needs no lab that runs."""

from pathlib import Path

import pytest
from tests.unit.broken import broken

from fluxlab.clusters.backends import NotRemovedError
from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import Root
from fluxlab.errors import UsageError, WaitTimeoutError
from fluxlab.fault_records import FaultRecords
from fluxlab.faults.injecting import Faults
from fluxlab.lab import Lab
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder


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


def test_a_lab_does_not_end_while_a_fault_stays_in_somebodys_cluster(guest: Lab) -> None:
    with pytest.raises(NotRemovedError, match="git-hang-1") as caught:
        guest.down()
    assert "its supervisor does not answer" in str(caught.value)
    assert FaultRecords(guest.folder).exist()


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
