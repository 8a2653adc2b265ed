"""Starts that were cut off, by SIGKILL, with their processes: what the next call fills, takes away and leaves alone.

The supervisors here are played: each is a process that sleeps, and a record that says how far it has come.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from fluxlab.clusters.capabilities import Footing
from fluxlab.clusters.root import LAB_LABEL, Root
from fluxlab.errors import FluxlabError, UsageError
from fluxlab.files import write_private
from fluxlab.processes import Identity
from fluxlab.spec import LabSpec
from fluxlab.state import SERVING, LabFolder, Phase, Record, Step, held, lab_folders
from fluxlab.supervisor import launch as launching
from fluxlab.supervisor.launch import launch, resume
from fluxlab.supervisor.starter import Order

# What is forked here does nothing but to start a lab, and is killed at that.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
SPEC = LabSpec(name="one")
OTHER = LabSpec(name="other")


class Played:
    """A supervisor that serves, and stays in a phase, from its order on."""

    holds = True
    running: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, phase: Phase) -> None:
        self.process = subprocess.Popen(["sleep", "300"])
        self._phase = phase
        Played.running.append(self.process)

    def order(self, order: Order) -> None:
        LabFolder(order.folder).write_record(record(self.process.pid, self._phase))

    def let_go(self) -> None:
        self.holds = False

    def close(self) -> None:
        self.holds = False


def record(pid: int, phase: Phase) -> Record:
    steps = (Step(name=SERVING, at_seconds=0.5),)
    return Record(phase=phase, supervisor=Identity.of(pid), steps=steps)


@pytest.fixture(autouse=True)
def supervisors(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Phase], None]]:
    """Has the next supervisors stay in a phase; without a word they become ready."""
    phases = [Phase.READY]
    monkeypatch.setattr(launching, "start", lambda: Played(phases[-1]))
    monkeypatch.setattr(launching, "find", lambda: SimpleNamespace(binary=Path))
    monkeypatch.setattr(launching, "_ours", {})
    monkeypatch.setattr(launching, "CAUSE_TIMEOUT_SECONDS", 0.1)  # these end without a cause
    assert not state_dir.exists()
    yield phases.append
    for folder in lab_folders():  # also of those that killed processes started
        if (latest := folder.read_record()) and (orphan := latest.supervisor.process()):
            orphan.kill()
    for process in Played.running:
        process.kill()
        process.wait()
    Played.running.clear()


def killed(act: Callable[[], object]) -> None:
    """Do something in a process of its own, which is killed at it."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def start(spec: LabSpec = SPEC, *, retain: bool = False) -> list[str]:
    """Start a lab. Returns what was done: whether it was filled, and what was told."""
    done: list[str] = []
    launch(spec, progress=done.append, serving=lambda folder: done.append(f"filled from {folder}"), retain=retain)
    return done


def is_filled(done: Sequence[str]) -> bool:
    return any(one.startswith("filled from ") for one in done)


def end_supervisor() -> None:
    """End the last one, as a shutdown of the machine does."""
    folder = LabFolder.named(SPEC.name)
    latest = folder.read_record()
    assert latest
    Played.running[-1].kill()
    Played.running[-1].wait()
    folder.write_record(latest.changed(phase=Phase.STOPPING))


# -- charts and scenarios --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.READY])
@pytest.mark.parametrize("alone", [True, False])
def test_a_lab_whose_first_start_was_killed_before_it_was_filled_is_filled_by_the_next(
    supervisors: Callable[[Phase], None],
    eventually: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
    phase: Phase,
    alone: bool,
) -> None:
    answers = SimpleNamespace(status=lambda: None, repair=list)
    monkeypatch.setattr(launching, "Control", lambda _: answers)
    supervisors(phase)
    killed(lambda: launch(SPEC, progress=print, serving=die))
    left = LabFolder.named(SPEC.name).read_record()
    assert left
    if not alone:  # they died together
        os.kill(left.supervisor.pid, signal.SIGKILL)
        eventually(lambda: left.supervisor.process() is None)
    supervisors(Phase.READY)
    assert is_filled(start())
    assert left.supervisor.process() is None


def test_a_retained_lab_whose_scenario_was_mended_is_filled() -> None:
    def broken(_: Path) -> None:
        raise UsageError("there is no scenario")

    with pytest.raises(UsageError):
        launch(SPEC, progress=print, serving=broken, retain=True)
    assert is_filled(start())


def test_a_lab_is_filled_from_where_its_first_start_was_asked_for_unless_somebody_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path) -> None:
        raise UsageError("there is no scenario")

    for given, again, wanted in (
        (tmp_path / "a", None, tmp_path / "a"),
        (tmp_path / "a", tmp_path / "b", tmp_path / "b"),
    ):
        with pytest.raises(UsageError):
            launch(SPEC, progress=print, base=given, serving=broken, retain=True)
        monkeypatch.chdir("/")
        seen: list[Path] = []
        launch(SPEC, progress=print, base=again, serving=seen.append)
        assert seen == [wanted]
        end_supervisor()
        LabFolder.named(SPEC.name).remove()


@pytest.mark.parametrize("retain", [True, False])
def test_a_lab_that_was_never_filled_goes_when_its_start_fails_again_unless_it_is_to_be_kept(retain: bool) -> None:
    def broken(_: Path) -> None:
        raise UsageError("there is no scenario")

    with pytest.raises(UsageError):
        launch(SPEC, progress=print, serving=broken, retain=True)
    with pytest.raises(UsageError):
        launch(SPEC, progress=print, serving=broken, retain=retain)
    assert LabFolder.named(SPEC.name).root.exists() is retain


def test_a_lab_that_was_filled_keeps_what_its_owner_made_of_it_in_later_starts(
    supervisors: Callable[[Phase], None],
) -> None:
    assert is_filled(start())
    end_supervisor()
    assert not is_filled(start())
    end_supervisor()
    supervisors(Phase.FAILED)
    with pytest.raises(FluxlabError, match="did not start"):
        start()
    assert LabFolder.named(SPEC.name).filled


def test_a_lab_that_is_there_is_resumed() -> None:
    start()
    end_supervisor()
    resume(LabFolder.named(SPEC.name), progress=print)
    found = LabFolder.named(SPEC.name).read_record()
    assert found
    assert (found.phase, found.supervisor.pid) == (Phase.READY, Played.running[-1].pid)


@pytest.mark.parametrize("left", ["nothing", "a start that never filled it"])
def test_no_lab_is_made_by_who_resumes_one(left: str) -> None:
    folder = LabFolder.named(SPEC.name)
    if left != "nothing":
        killed(lambda: launch(SPEC, progress=print, serving=die))
    there = folder.root.exists()
    with pytest.raises(UsageError, match="lab one") as caught:
        resume(folder, progress=print)
    assert "fluxlab up --name one" in str(caught.value)
    assert folder.root.exists() is there
    assert folder.filling.exists() is there, "it is to be filled still"


def test_what_began_as_a_snapshot_is_filled() -> None:
    launch(SPEC, progress=print, prepare=lambda folder: (folder.root / "data").touch())
    end_supervisor()
    assert not is_filled(start())


def test_a_lab_of_before_there_were_marks_is_filled() -> None:
    folder = LabFolder.named(SPEC.name)
    write_private(folder.spec, SPEC.model_dump_json())
    assert not is_filled(start())


# -- what was left half-made -----------------------------------------------------------------------------------------


def unpack_and_die(folder: LabFolder) -> None:
    (folder.root / "secret").write_text("secret")
    die()


def try_and_die(*_: object, folder: LabFolder) -> None:
    folder.create()
    write_private(folder.scratch / "access" / "client.key", "secret")
    die()


@pytest.mark.parametrize("at", ["unpacking", "trying credentials"])
def test_what_a_killed_start_left_half_made_goes_with_the_next_of_any_name(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    with monkeypatch.context() as earlier:
        if at == "trying credentials":
            earlier.setattr("fluxlab.clusters.backends.check", try_and_die)
        killed(lambda: launch(SPEC, progress=print, prepare=unpack_and_die))
    assert [path.read_text() for path in (state_dir / "labs/one").rglob("*") if path.is_file()] == ["secret"]
    told = start(OTHER)
    assert [path.name for path in (state_dir / "labs").iterdir()] == ["other"]
    assert not list((state_dir / "locks").glob("one*"))
    assert any("lab one" in line for line in told)


def test_what_somebody_makes_right_now_is_left_alone() -> None:
    made = LabFolder.named(SPEC.name)
    with held(made.lock(), what="lab one", timeout_seconds=0):
        made.create()
        start(OTHER)
        assert made.root.exists()
        assert Path(made.lock().lock_file).exists()


def test_a_whole_lab_is_left_alone_whatever_has_become_of_its_supervisor() -> None:
    start()
    end_supervisor()
    start(OTHER)
    assert LabFolder.named(SPEC.name).filled


def test_of_what_is_half_made_nothing_is_forgotten_that_is_in_somebodys_cluster() -> None:
    half = LabFolder.named(SPEC.name)
    Root(footing=Footing.GUEST, labels={LAB_LABEL: "one"}).save(half.cluster("shared"))
    told = start(OTHER)
    assert (half.cluster("shared") / "root.json").exists()
    assert any("still there" in line and "fluxlab down one" in line for line in told)
