"""The screen at the end of `up`: what runs, where the clone is, and what to type next, for this lab and no other."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.test_app import dead_lab

from fluxlab.cli.lab_commands import _print_next, _print_status, _up
from fluxlab.errors import UsageError
from fluxlab.flux.look import Convergence
from fluxlab.flux.pending import Outlook, Pending
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.status import ChartState, ClusterState, ComponentState, FaultTold, LabStatus, RepositoryState

pytestmark = pytest.mark.usefixtures("state_dir")
Captured = pytest.CaptureFixture[str]
ASKS = Pending(
    object="Kustomization causely/causely",
    outlook=Outlook.ASKING,
    why="needs Secret causely/causely-secrets",
    next="fluxlab secret set causely/causely-secrets CAUSELY_TOKEN",
)
SLOW = Pending(object="HelmRelease shop/cart", outlook=Outlook.WAITING, why="is being installed")


def cluster(name: str = "here", *parts: ComponentState, **fields: object) -> ClusterState:
    known: dict[str, object] = {
        "backend": "local",
        "footing": "local",
        "lacks": {"containers": "simulated"},
        "nodes": 1,
    }
    places = {"path": f"clusters/{name}", "kubeconfig": f"/{name}/kubeconfig"}
    return ClusterState.model_validate({"name": name, "components": parts, **known, **places, **fields})


def status(name: str = "playground", *clusters: ClusterState, **fields: object) -> LabStatus:
    dead_lab(name)
    told = {"name": name, "phase": "ready", "folder": f"/labs/{name}", "clusters": clusters or (cluster(),)}
    return LabStatus.model_validate({**told, **fields})


def repository(*clones: str) -> RepositoryState:
    url, clone_url = "https://github.com/acme/fleet.git", "http://127.0.0.1:20001/fleet.git"
    return RepositoryState(
        name="fleet", url=url, branch="main", clone_url=clone_url, head="0123456789abcdef", clones=clones
    )


def next_lines(capsys: Captured, state: LabStatus, *looks: Convergence) -> list[str]:
    _print_next(state, looks)
    heading, *lines = capsys.readouterr().out.strip().splitlines()
    assert heading == "next:"
    return [line.strip() for line in lines]


def pending(name: str, *waits: Pending) -> Convergence:
    return Convergence(cluster=name, commit="c", arrived=(), pending=waits)


def test_the_only_playground_needs_no_name(capsys: Captured) -> None:
    lines = next_lines(capsys, status(repositories=(repository("/home/ada/fleet"),)))
    assert lines == [
        "fluxlab flux get all -A",
        "fluxlab kubectl get pods -A",
        "cd /home/ada/fleet    # edit, git commit, git push; then: fluxlab wait",
    ]


def test_without_a_clone_the_third_is_to_make_one(capsys: Captured) -> None:
    assert next_lines(capsys, status(repositories=(repository(),)))[2].startswith("fluxlab clone    # edit,")


@pytest.mark.parametrize(("name", "beside"), [("shop", ""), ("playground", "other")])
def test_a_lab_with_a_name_or_a_neighbour_is_named_in_each_command(capsys: Captured, name: str, beside: str) -> None:
    if beside:
        dead_lab(beside)
    lines = next_lines(capsys, status(name))
    assert len(lines) == 3
    for line in lines:
        command, *mentioned = line.split("    # ")
        assert f" --lab {name}" in command
        assert all(f"fluxlab wait --lab {name}" in words for words in mentioned if "fluxlab wait" in words)


def test_what_a_person_is_asked_for_comes_first(capsys: Captured) -> None:
    lines = next_lines(capsys, status(), pending("staging", SLOW), pending("production", ASKS))
    assert lines[0] == "# HelmRelease shop/cart: is being installed"
    assert lines[1].split("    # ") == [
        str(ASKS.next),
        "Kustomization causely/causely needs Secret causely/causely-secrets",
    ]
    assert len(lines) == 5


def test_the_screen_shows_what_runs_and_where_the_clone_is(capsys: Captured) -> None:
    parts = (
        ComponentState(name="etcd", state="running", pid=7),
        ComponentState(name="helm-controller", state="stopped"),
    )
    chart = {"repository": "https://charts.example.com", "name": "demo", "version": "0.0.41"}
    _print_status(
        status(
            "playground",
            cluster("here", *parts, nodes=3),
            repositories=(repository("/home/ada/fleet"),),
            charts=(ChartState(**chart, stand_in=True), ChartState(**{**chart, "version": "1.0.0"}, stand_in=False)),
            sinks={"hooks.slack.com": "slack"},
            allowed=("ghcr.io",),
        )
    )
    shown = capsys.readouterr().out
    assert shown.startswith("lab playground: ready\n")
    assert "cluster here (local, 3 nodes; pods are simulated by KWOK" in shown
    assert [line.split() for line in shown.splitlines() if line.startswith("  ")][:3] == [
        ["COMPONENT", "STATE", "PID"],
        ["etcd", "running", "7"],
        ["helm-controller", "stopped", "-"],
    ]
    assert "repository https://github.com/acme/fleet.git (main at 0123456789)" in shown
    assert "  clone: /home/ada/fleet" in shown
    assert "chart demo 0.0.41 at https://charts.example.com (a stand-in by fluxlab, not the public chart)\n" in shown
    assert "chart demo 1.0.0 at https://charts.example.com\n" in shown
    assert "alerts for https://hooks.slack.com end in this lab, as slack's" in shown
    assert "hosts passed through: ghcr.io (what is there is public, and no stand-in)" in shown


def test_what_is_dead_is_shown_with_its_last_words_and_what_to_type(capsys: Captured) -> None:
    dead = ComponentState(name="here/etcd", state="dead", detail="killed by SIGKILL\nlast line")
    _print_status(status("shop", cluster("here", dead)))
    shown = capsys.readouterr().out
    assert shown.startswith("lab shop: broken\n")
    assert "here/etcd is dead\n  killed by SIGKILL\n  last line\n  next: fluxlab up --name shop" in shown


def test_what_is_paused_is_shown_with_what_makes_it_go_on(capsys: Captured) -> None:
    paused = ComponentState(name="here/etcd", state="paused", detail="it does nothing", pid=7)
    until = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
    fault = FaultTold(
        id="etcd-pause-1", fault="etcd-pause", cluster="here", targets=("etcd",), state="injected", until=until
    )
    _print_status(status("shop", cluster("here", paused)))
    shown = capsys.readouterr().out
    assert shown.startswith("lab shop: broken\n")
    assert "here/etcd is paused\n  it does nothing\n  next: fluxlab up --name shop starts it again" in shown
    _print_status(status("shop", cluster("here", paused), faults=(fault,)))
    assert "  next: fluxlab heal etcd-pause-1 --lab shop starts it again" in capsys.readouterr().out


def test_a_cluster_of_containers_does_not_call_its_pods_simulated(capsys: Captured) -> None:
    _print_status(status("playground", cluster("here", backend="kind", footing="kind", lacks={})))
    assert "cluster here (kind)\n" in capsys.readouterr().out


@pytest.mark.parametrize("cut_off", [True, False])
@pytest.mark.parametrize("started", [True, False])
def test_who_is_interrupted_ends_the_lab_that_it_started_and_no_other(
    monkeypatch: pytest.MonkeyPatch, started: bool, cut_off: bool
) -> None:
    if cut_off:  # an earlier start, before the lab was filled
        dead_lab("one").filling.touch()
    ended: list[str] = []

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fluxlab.lab.Lab.up", interrupted)
    monkeypatch.setattr("fluxlab.supervisor.launch.end", lambda folder: ended.append(folder.name))
    monkeypatch.setattr("fluxlab.supervisor.launch._ours", {LabFolder.named("one").root: None} if started else {})
    with pytest.raises(KeyboardInterrupt):
        _up(LabSpec(name="one"), base=Path(), clone=None, timeout=1, retain=False)
    assert ended == (["one"] if started else [])


def test_where_no_clone_can_be_made_no_lab_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "mine").touch()

    def started(*_: object, **__: object) -> None:
        pytest.fail("the lab was started")

    monkeypatch.setattr("fluxlab.lab.Lab.up", started)
    with pytest.raises(UsageError, match="fleet is there already"):
        _up(LabSpec(name="one"), base=Path(), clone=tmp_path / "fleet", timeout=1, retain=False)
