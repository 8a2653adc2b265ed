"""Child processes: recognised by pid and start time, watched, stopped, and never left behind. All of them are real."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from fluxlab.processes import Identity, ManagedProcess, ProcessDiedError, ProcessGroup, last_words, reap, tail

Eventually = Callable[[Callable[[], object]], None]
STUBBORN = 'trap "" TERM; echo ready; while :; do sleep 0.05; done'


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as child:
        yield child
        child.kill()


@pytest.fixture
def spawn(tmp_path: Path, eventually: Eventually) -> Iterator[Callable[..., ManagedProcess]]:
    """Start a shell script; returns when it has said `ready`, if it ever says so. Whatever happens, it is ended."""
    started: list[ManagedProcess] = []

    def start(script: str, *, name: str = "child") -> ManagedProcess:
        process = ManagedProcess(name, ["sh", "-c", script], log=tmp_path / "logs" / f"{name}.log")
        started.append(process)
        if "echo ready" in script:
            eventually(lambda: "ready" in process.log.read_text())
        return process

    yield start
    for process in started:
        process.signal(signal.SIGKILL)
        process.await_stop(deadline=time.monotonic() + 20)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def said_ready(log: Path) -> bool:
    return "ready" in log.read_text()


def stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


# -- identity --------------------------------------------------------------------------------------------------------


def test_a_running_process_is_recognised_by_pid_and_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    identity = Identity.of(sleeper.pid)
    found = identity.process()
    assert found is not None
    assert found.pid == sleeper.pid == identity.pid
    # By hand: field 22 of the stat file, counted in ticks since the boot; it does not move with the clock.
    ticks = int(Path(f"/proc/{sleeper.pid}/stat").read_text().rpartition(")")[2].split()[19])
    assert identity.since_boot == ticks / os.sysconf("SC_CLK_TCK")


def test_an_identity_is_the_same_in_every_process(sleeper: subprocess.Popen[bytes]) -> None:
    script = f"from fluxlab.processes import Identity; print(repr(Identity.of({sleeper.pid})))"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert seen.strip() == repr(Identity.of(sleeper.pid))


@pytest.mark.parametrize("seconds", [-100.0, -0.03, 0.03, 100.0])
def test_a_recycled_pid_is_never_hit(sleeper: subprocess.Popen[bytes], seconds: float) -> None:
    earlier = replace(Identity.of(sleeper.pid), since_boot=Identity.of(sleeper.pid).since_boot + seconds)
    assert earlier.process() is None
    assert reap([earlier], grace_seconds=0) == []
    assert sleeper.poll() is None


def test_a_zombie_does_not_run(eventually: Eventually) -> None:
    with subprocess.Popen(["sleep", "300"]) as child:
        identity = Identity.of(child.pid)
        os.kill(child.pid, signal.SIGKILL)
        eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert identity.process() is None
        assert reap([identity], grace_seconds=0) == []


def test_a_pid_that_is_not_there_has_no_identity() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with pytest.raises(ProcessLookupError):
        Identity.of(child.pid)
    assert Identity(pid=child.pid, since_boot=1.0).process() is None


# -- reap ------------------------------------------------------------------------------------------------------------


def test_reap_ends_what_runs_and_tells_which(sleeper: subprocess.Popen[bytes]) -> None:
    foreign = replace(Identity.of(os.getpid()), since_boot=1.0)
    assert reap([foreign, Identity.of(sleeper.pid)]) == [sleeper.pid]
    assert gone(sleeper.pid)


def test_reap_ends_processes_of_which_it_is_not_the_parent() -> None:
    shell = subprocess.run(  # the shell ends at once: the sleep has another parent then
        ["sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    )
    orphan = int(shell.stdout)
    assert reap([Identity.of(orphan)]) == [orphan]
    assert gone(orphan)


def test_reap_lets_a_stopped_process_act_on_sigterm(
    tmp_path: Path, spawn: Callable[..., ManagedProcess], eventually: Eventually
) -> None:
    file = tmp_path / "last-words"
    child = spawn(f'trap "echo bye > {file}; exit" TERM; echo ready; while :; do sleep 0.05; done')
    child.signal(signal.SIGSTOP)
    eventually(lambda: stopped(child.identity.pid))
    reap([child.identity], grace_seconds=20)
    assert file.read_text() == "bye\n"
    assert gone(child.identity.pid)


def test_reap_kills_a_stubborn_process_after_the_grace(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn(STUBBORN)
    assert reap([child.identity], grace_seconds=0.1) == [child.identity.pid]
    assert gone(child.identity.pid)


def test_reap_of_nothing_is_nothing() -> None:
    assert reap([]) == []


# -- one process -----------------------------------------------------------------------------------------------------


def test_output_and_errors_go_to_the_end_of_the_log(spawn: Callable[..., ManagedProcess], tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    log.parent.mkdir()
    log.write_text("before\n")
    spawn("echo out; echo err >&2").await_stop(deadline=time.monotonic() + 20)
    assert log.read_text() == "before\nout\nerr\n"


def test_the_environment_is_exactly_the_given_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_TEST_SECRET", "hunter2")
    for name, given in {"none": {}, "one": {"GIVEN": "1"}}.items():
        child = ManagedProcess(name, ["/usr/bin/env"], log=tmp_path / name, environment=given)
        child.await_stop(deadline=time.monotonic() + 20)
        assert child.log.read_text().splitlines() == [f"{key}={value}" for key, value in given.items()]


def test_without_an_environment_it_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_TEST_OURS", "1")
    child = ManagedProcess("env", ["/usr/bin/env"], log=tmp_path / "log")
    child.await_stop(deadline=time.monotonic() + 20)
    assert "FLUXLAB_TEST_OURS=1" in child.log.read_text().splitlines()


def test_a_program_that_reads_its_input_finds_the_end(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn("cat; echo over")
    child.await_stop(deadline=time.monotonic() + 20)
    assert child.ending == "exit code 0"


def test_ctrl_c_at_the_terminal_does_not_reach_it(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn("echo ready; exec sleep 300")
    assert os.getsid(child.identity.pid) == child.identity.pid != os.getsid(0)


def test_a_program_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ManagedProcess("x", ["/no/such/program"], log=tmp_path / "log")


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("exit 0", "exit code 0"),
        ("exit 7", "exit code 7"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("kill -40 $$", "killed by signal 40"),
    ],
)
def test_how_it_ended_is_told_in_words(spawn: Callable[..., ManagedProcess], script: str, ending: str) -> None:
    child = spawn(script)
    child.await_stop(deadline=time.monotonic() + 20)
    assert child.ending == ending
    assert not child.running


def test_while_it_runs_there_is_no_ending(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn("exec sleep 300")
    assert child.running
    assert child.ending == "running"
    assert Identity.of(child.identity.pid) == child.identity


def test_a_death_is_noticed_at_once_and_by_itself(tmp_path: Path) -> None:
    noticed = threading.Event()
    seen: list[str] = []

    def note(process: ManagedProcess) -> None:
        seen.append(f"{process.name}: {process.ending}, running: {process.running}")
        noticed.set()

    child = ManagedProcess("etcd", ["sleep", "300"], log=tmp_path / "log", on_exit=note)
    assert not noticed.is_set()
    os.kill(child.identity.pid, signal.SIGKILL)
    assert noticed.wait(20)
    assert seen == ["etcd: killed by SIGKILL, running: False"]


def test_the_error_of_a_death_quotes_the_last_lines_of_the_log(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn("seq 20; exit 3", name="etcd")
    child.await_stop(deadline=time.monotonic() + 20)
    error = child.died()
    assert isinstance(error, ProcessDiedError)
    assert str(error) == "\n".join(
        ["etcd died: exit code 3", *(f"  {number}" for number in range(13, 21)), f"next: less {child.log}"]
    )


def test_stop_asks_with_sigterm(tmp_path: Path, spawn: Callable[..., ManagedProcess]) -> None:
    file = tmp_path / "last-words"
    child = spawn(f'trap "echo bye > {file}; exit 5" TERM; echo ready; while :; do sleep 0.05; done')
    child.stop(grace_seconds=20)
    assert (child.ending, file.read_text()) == ("exit code 5", "bye\n")
    assert child.expected_to_end


def test_stop_ends_a_stopped_process_by_sigterm(spawn: Callable[..., ManagedProcess], eventually: Eventually) -> None:
    child = spawn("exec sleep 300")
    child.signal(signal.SIGSTOP)
    eventually(lambda: stopped(child.identity.pid))
    child.stop(grace_seconds=20)
    assert child.ending == "killed by SIGTERM"


def test_stop_kills_a_stubborn_process_after_the_grace(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn(STUBBORN)
    child.stop(grace_seconds=0.1)
    assert child.ending == "killed by SIGKILL"
    assert gone(child.identity.pid)


def test_stopping_twice_and_signalling_the_dead_is_harmless(spawn: Callable[..., ManagedProcess]) -> None:
    child = spawn("exec sleep 300")
    child.stop()
    child.stop()
    child.signal(signal.SIGKILL)
    assert child.ending == "killed by SIGTERM"


def test_a_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path, eventually: Eventually) -> None:
    script = f"""
        import time
        from pathlib import Path
        from fluxlab.processes import ManagedProcess
        child = ManagedProcess("child", ["sleep", "300"], log=Path({str(tmp_path / "log")!r}))
        print(child.identity.pid, flush=True)
        time.sleep(300)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            grandchild = Identity.of(int(parent.stdout.readline()))
            assert grandchild.process() is not None
        finally:
            parent.kill()
        parent.wait(20)
    eventually(lambda: gone(grandchild.pid))


# -- the last lines of a log -----------------------------------------------------------------------------------------


def test_the_tail_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"1\n2\n\xff\nlast without an end")
    assert tail(log, 2) == ["\ufffd", "last without an end"]
    assert tail(log, 99) == ["1", "2", "\ufffd", "last without an end"]
    assert tail(log, 0) == []


def test_the_tail_of_no_log_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "missing") == []
    (tmp_path / "empty").touch()
    assert tail(tmp_path / "empty") == []


def test_the_tail_of_a_huge_log_is_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{number:07}\n" for number in range(50_000)))
    assert tail(log, 3) == ["0049997", "0049998", "0049999"]


def test_the_last_words_are_those_before_the_stack_trace(tmp_path: Path) -> None:
    log = tmp_path / "log"
    trace = "goroutine 1 [running]:\nmain.f(0x1)\n\t/f.go:1 +0x2\ncreated by main.g\n\t/g.go:2\n"
    log.write_text(f"a\npanic: full\n\n{trace}")
    assert last_words(log) == ["a", "panic: full"]
    log.write_text("")
    assert last_words(log) == last_words(tmp_path / "missing") == []


# -- a group ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def changes() -> list[int]:
    return []


@pytest.fixture
def group(changes: list[int]) -> Iterator[ProcessGroup]:
    made = ProcessGroup(changed=lambda _: changes.append(threading.get_ident()))
    yield made
    made.stop(*made.identities(), grace_seconds=0)


def test_a_group_knows_its_processes_by_name(tmp_path: Path, group: ProcessGroup) -> None:
    children = {name: group.start(name, ["sleep", "300"], log=tmp_path / name) for name in ("a", "b")}
    assert group.get("a") is children["a"]
    assert group.get("c") is None
    assert group.identities() == {name: child.identity for name, child in children.items()}
    assert {identity.pid for identity in group.identities().values()} == {
        child.pid for child in psutil.Process().children() if child.name() == "sleep"
    }
    assert group.dead() == []
    group.check()


def test_each_start_and_each_end_is_announced(
    tmp_path: Path, group: ProcessGroup, changes: list[int], eventually: Eventually
) -> None:
    child = group.start("a", ["sleep", "300"], log=tmp_path / "a")
    assert changes == [threading.get_ident()]
    os.kill(child.identity.pid, signal.SIGKILL)
    eventually(lambda: len(changes) == 2)
    assert group.identities() == {}


def test_a_death_by_itself_is_an_error_and_one_on_purpose_is_not(
    tmp_path: Path, group: ProcessGroup, eventually: Eventually
) -> None:
    group.start("told", ["sleep", "300"], log=tmp_path / "told")
    group.start("crashed", ["sh", "-c", "echo no space left; exit 1"], log=tmp_path / "crashed")
    group.stop("told")
    eventually(group.dead)
    assert [process.name for process in group.dead()] == ["crashed"]
    with pytest.raises(ProcessDiedError, match=r"crashed died: exit code 1\n  no space left"):
        group.check()


def test_a_dead_process_is_replaced(tmp_path: Path, group: ProcessGroup, eventually: Eventually) -> None:
    group.start("a", ["false"], log=tmp_path / "a")
    eventually(group.dead)
    again = group.start("a", ["sleep", "300"], log=tmp_path / "a")
    assert group.get("a") is again
    assert group.dead() == []


def test_a_living_process_is_not_lost_to_another_of_its_name(tmp_path: Path, group: ProcessGroup) -> None:
    first = group.start("a", ["sleep", "300"], log=tmp_path / "a")
    with pytest.raises(ValueError, match="a runs already"):
        group.start("a", ["sleep", "300"], log=tmp_path / "a")
    assert group.get("a") is first


def test_all_are_asked_before_any_is_killed(tmp_path: Path, group: ProcessGroup, eventually: Eventually) -> None:
    logs = {name: tmp_path / name for name in ("stubborn", "polite")}
    group.start("stubborn", ["sh", "-c", STUBBORN], log=logs["stubborn"])
    polite = f'trap "kill -0 $1 && echo bye; exit" TERM; {STUBBORN.partition("; ")[2]}'
    stubborn_pid = str(group.identities()["stubborn"].pid)
    group.start("polite", ["sh", "-c", polite, "sh", stubborn_pid], log=logs["polite"])
    for log in logs.values():
        eventually(partial(said_ready, log))
    group.stop("stubborn", "unknown", "polite", grace_seconds=1.0)
    endings = {name: process.ending for name in logs if (process := group.get(name))}
    assert endings == {"stubborn": "killed by SIGKILL", "polite": "exit code 0"}
    assert logs["polite"].read_text() == "ready\nbye\n"  # asked while the stubborn one still lived


def test_the_grace_is_one_for_all(tmp_path: Path, group: ProcessGroup, eventually: Eventually) -> None:
    names = [f"stubborn-{number}" for number in range(20)]
    for name in names:
        group.start(name, ["sh", "-c", STUBBORN], log=tmp_path / name)
    for name in names:
        eventually(partial(said_ready, tmp_path / name))
    began = time.monotonic()
    group.stop(*names, grace_seconds=0.5)
    assert 0.5 <= time.monotonic() - began < 5, "20 stubborn ones, each with a grace of its own, take 10 s"
    assert group.identities() == {}


# -- held back -------------------------------------------------------------------------------------------------------


def test_who_is_held_back_begins_when_it_is_let_go_and_with_its_order(tmp_path: Path, eventually: Eventually) -> None:
    log = tmp_path / "log"
    process = ManagedProcess("reader", ["sh", "-c", "echo loaded; cat; echo done"], log=log, held_back=True)
    eventually(lambda: log.read_text() == "loaded\n")
    assert process.running
    process.let_go(b"an order\n")
    eventually(lambda: not process.running)
    assert (process.ending, log.read_text()) == ("exit code 0", "loaded\nan order\ndone\n")
    process.let_go()


def test_who_is_stopped_while_it_is_held_back_does_not_begin(tmp_path: Path, eventually: Eventually) -> None:
    log = tmp_path / "log"
    process = ManagedProcess("reader", ["sh", "-c", "echo loaded; read x; echo begun"], log=log, held_back=True)
    eventually(lambda: log.read_text() == "loaded\n")
    process.stop()
    assert (process.ending, log.read_text()) == ("killed by SIGTERM", "loaded\n")


def test_who_has_ended_may_be_let_go(tmp_path: Path, eventually: Eventually) -> None:
    process = ManagedProcess("gone", ["true"], log=tmp_path / "log", held_back=True)
    eventually(lambda: not process.running)
    process.let_go(b"an order\n")
