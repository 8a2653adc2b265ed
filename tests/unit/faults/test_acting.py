"""What a fault has started is ended before the fault is taken out, whoever had started it and was killed."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest
from tests.unit.faults.conftest import Lab, lab_at

from fluxlab.commands import CommandError, run
from fluxlab.faults import healing

ROOT = Path(__file__).parents[3]
Eventually = Callable[[Callable[[], object]], None]

PROGRAM = """
    echo $$ > {pids}/program
    sh -c 'echo $$ > {pids}/grandchild; setsid -w sleep 60' &
    wait
"""
"""A part of what it has started leaves its process group."""
BREAKER = """
    import sys
    from pathlib import Path

    import pytest
    from tests.unit.faults.conftest import lab_at

    from fluxlab.commands import run

    folder, step, program = sys.argv[1:]
    lab = lab_at(Path(folder), pytest.MonkeyPatch())
    lab.fault.at[step] = lambda: run(["sh", "-c", program])
    with lab.faults.during("brittle", cluster="c", target="a"):
        pass
"""


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """Where the processes of a program write down who they are; none is left."""
    folder = tmp_path / "pids"
    folder.mkdir()
    yield folder
    for file in folder.iterdir():
        if process := running(file):
            for child in [*process.children(recursive=True), process]:
                child.kill()


def running(file: Path) -> psutil.Process | None:
    """The process that has written its pid into a file, if it runs."""
    try:
        process = psutil.Process(int(file.read_text()))
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
    return process if runs(process) else None


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended: a zombie, for which somebody has yet to ask, has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def killed_at(step: str, tmp_path: Path, pids: Path, eventually: Eventually) -> list[psutil.Process]:
    """Whoever puts a fault in and takes it out is killed at a step, while what it runs there goes on: returns that."""
    words = [sys.executable, "-c", dedent(BREAKER), str(tmp_path / "labs/one"), step, PROGRAM.format(pids=pids)]
    with subprocess.Popen(words, cwd=ROOT) as breaker:
        eventually(lambda: running(pids / "program") and running(pids / "grandchild"))
        breaker.kill()
    found = [process for name in ("program", "grandchild") if (process := running(pids / name))]
    assert len(found) == 2, "it goes on"
    return [*found, *found[1].children()]


@pytest.mark.parametrize("step", ["inject", "prove", "heal"])
def test_what_a_killed_caller_had_started_has_ended_before_the_fault_is_taken_out(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually, step: str
) -> None:
    left = killed_at(step, tmp_path, pids, eventually)
    lab, seen = lab_at(tmp_path / "labs/one", monkeypatch), list[bool]()
    lab.fault.at["heal"] = lambda: seen.extend(map(runs, left))
    lab.faults.heal()
    assert lab.out == ["a"]
    assert seen == [False] * len(left)


def test_what_an_injection_had_started_that_failed_has_ended_before_the_fault_is_taken_out(
    lab: Lab, pids: Path
) -> None:
    """It has left the process group that ends with a command."""
    seen: list[bool] = []

    def inject() -> None:
        run(["sh", "-c", f"setsid sh -c 'echo $$ > {pids}/program; sleep 60' >/dev/null 2>&1 & sleep 1; exit 3"])

    lab.fault.at = {"inject": inject, "heal": lambda: seen.append(running(pids / "program") is not None)}
    with pytest.raises(CommandError, match="exit code 3"):
        lab.faults.inject("brittle", cluster="c", target="a")
    assert (pids / "program").exists()
    assert seen == [False]


def test_what_others_have_started_goes_on(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    left = killed_at("inject", tmp_path, pids, eventually)
    with subprocess.Popen(["sleep", "60"]) as other:
        lab_at(tmp_path / "labs/one", monkeypatch).faults.heal()
        assert other.poll() is None
        other.kill()
    assert [runs(one) for one in left] == [False] * len(left), "although something had to be ended"


@pytest.mark.parametrize("step", ["inject", "heal"])
def test_what_an_action_that_succeeded_has_left_in_the_background_goes_on(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually, step: str
) -> None:
    """A browser, or an agent, that a plugin of kubectl has started is the user's own."""
    lab = lab_at(tmp_path / "labs/one", monkeypatch)
    begin = f"setsid sh -c 'echo $$ > {pids}/background; exec sleep 60' >/dev/null 2>&1 &"
    lab.fault.at[step] = lambda: run(["sh", "-c", f"{begin} until [ -s {pids}/background ]; do sleep 0.05; done"])
    with lab.faults.during("brittle", cluster="c", target="a"):
        pass
    assert (pids / "background").exists()
    with lab.faults.during("brittle", cluster="c", target="a"):
        pass
    assert running(pids / "background")
    left = killed_at("inject", tmp_path, pids, eventually)
    lab.faults.heal()
    assert [runs(one) for one in left] == [False] * len(left)
    assert running(pids / "background"), "also when there is something to be ended"


def test_a_push_that_the_git_server_has_taken_from_who_was_ended_is_over_before_the_fault_is_taken_out(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """This process is the supervisor whose children answer pushes."""
    killed_at("inject", tmp_path, pids, eventually)
    lab, ended = lab_at(tmp_path / "labs/one", monkeypatch), list[int | None]()
    with subprocess.Popen(["sleep", "1.5"], env={"PATH_INFO": "/fleet.git/git-receive-pack"}) as push:
        lab.fault.at["heal"] = lambda: ended.append(push.poll())
        lab.faults.heal()
    assert ended == [0]


def test_a_push_that_takes_longer_than_one_attempt_waits_is_over_before_the_fault_is_taken_out(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """Whoever had begun it is ended in the first attempt."""
    monkeypatch.setattr(healing, "PUSH_SECONDS", 0.5)
    killed_at("inject", tmp_path, pids, eventually)
    lab, ended = lab_at(tmp_path / "labs/one", monkeypatch), list[int | None]()
    with subprocess.Popen(["sleep", "1"], env={"PATH_INFO": "/fleet.git/git-receive-pack"}) as push:
        lab.fault.at["heal"] = lambda: ended.append(push.poll())
        lab.faults.heal()
    assert ended == [0]


def test_a_push_is_waited_for_also_when_whoever_waited_for_it_was_cut_off(
    tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    killed_at("inject", tmp_path, pids, eventually)
    lab, ended = lab_at(tmp_path / "labs/one", monkeypatch), list[int | None]()
    with subprocess.Popen(["sleep", "1.5"], env={"PATH_INFO": "/fleet.git/git-receive-pack"}) as push:
        with monkeypatch.context() as cut:
            cut.setattr(healing, "wait_until", lambda *_, **__: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                lab.faults.heal()
        lab.fault.at["heal"] = lambda: ended.append(push.poll())
        lab.faults.heal()
    assert ended == [0]
