"""The command line without a running lab: exit codes, usage errors, what goes to which stream."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.unit.broken import broken

from fluxlab.cli import app
from fluxlab.cli.build_progress import BuildProgress
from fluxlab.errors import FluxlabError, UnknownError
from fluxlab.fault_records import FaultState
from fluxlab.processes import Identity
from fluxlab.state import LabFolder, Phase, Record, Step

pytestmark = pytest.mark.usefixtures("state_dir")
SCENARIOS = Path(__file__).parents[3] / "scenarios"
GONE = Identity(pid=1, since_boot=-1.0)


@dataclass(frozen=True)
class Ended:
    code: object
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the program in this process."""

    def call(*words: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["fluxlab", *words])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            app.main()
        shown = capsys.readouterr()
        return Ended(ended.value.code, shown.out, shown.err)

    return call


def dead_lab(name: str, *, phase: Phase = Phase.READY, error: str = "") -> LabFolder:
    """A lab whose supervisor is gone."""
    folder = LabFolder.named(name)
    folder.create()
    folder.spec.write_text(f'{{"name": "{name}"}}')
    steps = (Step(name="processes launched", at_seconds=0.5),)
    folder.write_record(Record(phase=phase, supervisor=GONE, steps=steps, error=error))
    return folder


# -- help and usage --------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_and_succeeds(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    commands = "up down ls status doctor restart logs clone apply wait env shell kubectl flux helm charts toolchain"
    assert not [command for command in commands.split() if f" {command} " not in ended.out]
    assert ended.err == ""


def test_the_version_is_that_of_the_package(run: Run) -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    done = run("--version")
    assert done.code == 0
    assert f'\nversion = "{done.out.strip()}"\n' in project


def test_every_command_has_help(run: Run) -> None:
    for command in (
        "up",
        "down",
        "ls",
        "status",
        "doctor",
        "restart",
        "logs",
        "clone",
        "apply",
        "wait",
        "env",
        "shell",
    ):
        ended = run(command, "--help")
        assert (ended.code, ended.err) == (0, ""), command
        assert "Usage: fluxlab" in ended.out


def test_without_a_word_the_help_is_shown(run: Run) -> None:
    ended = run()
    assert "Usage: fluxlab" in ended.out + ended.err
    assert ended.code in {0, 64}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nope"], "No such command 'nope'"),
        (["--nope"], "No such option"),
        (["up", "--nope"], "No such option"),
        (["up", "--timeout", "soon"], "Invalid value"),
        (["up", "--timeout", "0"], "Invalid value"),
        (["ls", "--output", "yaml"], "Invalid value"),
        (["ls", "surplus"], "unexpected extra argument"),
        (["restart"], "Missing argument"),
        (["logs", "--tail", "-2"], "Invalid value"),
        (["wait", "--timeout", "2 minutes"], "such as 90, 90s, 2m or 1h30m"),
        (["inject", "git-hang", "--for", "0s"], "is no duration"),
        (["charts", "add", "/no/such/chart", "--host", "x"], "does not exist"),
        (["toolchain", "nope"], "No such command"),
    ],
)
def test_what_makes_no_sense_ends_with_64_and_says_why(run: Run, words: list[str], told: str) -> None:
    ended = run(*words)
    assert ended.code == 64
    assert told in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["status"], "error: no lab is running"),
        (["wait"], "error: no lab is running"),
        (["clone"], "next: fluxlab up"),
        (["kubectl", "get", "pods"], "error: no lab is running"),
        (["env"], "error: no lab is running"),
        (["status", "--lab", "x"], "error: there is no lab 'x'"),
        (["status", "--lab", "../x"], "error: '../x' cannot name a lab"),
        (["down", "../x"], "error: '../x' cannot name a lab"),
        (["down", "x"], "error: there is no lab 'x'"),
        (["down", "x", "--all"], "contradict each other"),
        (["up", "--name", "My Lab"], "error: 'My Lab' cannot name a lab"),
        (["up", "--name", ""], "error: '' cannot name a lab"),
        (["up", "/no/such/file"], "error: /no/such/file: cannot be read as a lab file"),
        (["apply", "nope"], "error: no lab is running"),
    ],
)
def test_a_mistake_is_an_error_on_standard_error(run: Run, words: list[str], told: str, state_dir: Path) -> None:
    ended = run(*words)
    assert ended.code == 64
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert not (state_dir / "labs").exists()


def test_a_mistake_in_a_lab_file_is_told_with_its_line(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text("name: x\nclusters:\n- node: 3\n")
    ended = run("up", str(file))
    assert ended.code == 64
    allowed = "address, backend, context, image, kubeconfig, name, nodes, path"
    assert f"  {file}:3: clusters.0.node: unknown field; allowed here: {allowed}\n" in ended.err


def test_of_several_labs_one_must_be_chosen(run: Run) -> None:
    for name in ("one", "two"):
        dead_lab(name)
    for words in (["status"], ["down"]):
        ended = run(*words)
        assert ended.code == 64
        assert "there are several labs" in ended.err
        assert "one" in ended.err
    assert (LabFolder.named("one").root / "spec.json").exists()


def test_what_was_left_half_made_is_in_no_commands_way_and_goes_with_the_next_removal(run: Run) -> None:
    dead_lab("one")
    half = LabFolder.named("half")
    half.create()
    assert "lab one: dead" in run("status").out
    assert [lab["name"] for lab in json.loads(run("ls", "-o", "json").out)] == ["one"]
    ended = run("down")
    assert (ended.code, "lab one is gone" in ended.err) == (0, True)
    assert not half.root.exists()


@pytest.mark.parametrize("words", [["half"], ["--all"], []])
def test_what_was_left_half_made_can_be_removed_by_itself(run: Run, words: list[str]) -> None:
    half = LabFolder.named("half")
    half.create()
    assert run("down", *words).code == 0
    assert not half.root.exists()


# -- answers ---------------------------------------------------------------------------------------------------------


def test_where_nothing_is_there_lists_are_empty_and_down_has_nothing_to_do(run: Run) -> None:
    assert run("ls").out.split() == ["NAME", "STATE", "CLUSTERS", "BROKEN"]
    assert json.loads(run("ls", "-o", "json").out) == []
    ended = run("down")
    assert (ended.code, ended.err) == (0, "no lab is there\n")


def test_a_lab_whose_supervisor_is_gone_is_dead(run: Run) -> None:
    dead_lab("one")
    ended = run("status")
    assert ended.code == 1
    assert "lab one: dead" in ended.out
    assert "fluxlab up --name one" in ended.out
    told = json.loads(run("status", "-o", "json").out)
    assert (told["name"], told["phase"], told["steps"]) == (
        "one",
        "dead",
        [{"name": "processes launched", "at_seconds": 0.5}],
    )
    assert [lab["phase"] for lab in json.loads(run("ls", "--output", "json").out)] == ["dead"]


def test_a_lab_that_failed_says_why(run: Run) -> None:
    dead_lab("one", phase=Phase.FAILED, error="etcd died: exit code 1")
    ended = run("status", "--lab", "one")
    assert ended.code == 1
    assert "lab one: failed" in ended.out
    assert "etcd died: exit code 1" in ended.out


def test_the_status_tells_which_faults_are_in(run: Run) -> None:
    folder = dead_lab("one")
    assert "on purpose" not in run("status").out
    broken(folder, state=FaultState.STUCK, undo={"password": "hunter2hunter2"})
    shown = run("status").out
    assert (
        "broken on purpose: fault git-hang-1 in github.com: could not be taken out (fluxlab heal git-hang-1)" in shown
    )
    for words in (("status", "-o", "json"), ("ls", "-o", "json")):
        told = run(*words).out
        assert '"git-hang"' in told
        assert "hunter2" not in told


@pytest.mark.parametrize(
    ("state", "how", "timed"),
    [
        (FaultState.INJECTED, "until ", True),
        (FaultState.WAITING, "waits to be taken out", False),
        (FaultState.STUCK, "could not be taken out", False),
    ],
)
def test_a_time_is_told_only_of_faults_that_it_ends(run: Run, state: FaultState, how: str, *, timed: bool) -> None:
    until = datetime.now(UTC) + timedelta(hours=5)
    broken(dead_lab("one"), state=state, until=until)
    at = f"{until.astimezone():%H:%M:%S}"
    shown, listed = run("status").out, run("heal").out
    assert f"in github.com: {how}" in shown
    assert (at in shown) == timed
    assert state.value in listed
    assert (at in listed) == timed


def test_how_it_was_before_a_fault_that_was_given_up_can_be_read_where_that_is_told(run: Run) -> None:
    broken(dead_lab("one"), state=FaultState.STUCK, undo={"password": "hunter2hunter2"})
    ended = run("heal", "--all", "--give-up")
    assert (ended.code, ended.out) == (0, "git-hang-1: given up\n")
    assert "hunter2" not in ended.err
    told = [Path(word) for word in ended.err.split() if word.startswith("/")]
    assert [json.loads(file.read_text())["undo"]["password"] for file in told] == ["hunter2hunter2"]
    assert {place.stat().st_mode & 0o077 for place in (*told, *(file.parent for file in told))} == {0}
    assert "on purpose" not in run("status").out


def test_a_record_of_a_fault_that_cannot_be_read_is_told_and_the_rest_of_the_status_too(run: Run) -> None:
    file = dead_lab("one").root / "faults" / "git-hang-1.json"
    file.parent.mkdir()
    file.write_text("{")
    shown = run("status").out
    assert "lab one: dead" in shown
    assert f"what is broken on purpose is not known: {file} cannot be read" in shown


def test_the_lab_is_also_chosen_by_a_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        dead_lab(name)
    monkeypatch.setenv("FLUXLAB_LAB", "two")
    assert "lab two: dead" in run("status").out
    assert "lab two is gone" in run("down").err
    ended = run("down")
    assert (ended.code, ended.err) == (64, "error: there is no lab 'two'\nnext: fluxlab ls\n")
    assert LabFolder.named("one").root.exists(), "another one was not meant"
    assert run("down", "--all").code == 0
    assert not LabFolder.named("one").root.exists()


def test_the_list_of_scenarios_is_there_for_programs_too(run: Run) -> None:
    listed = json.loads(run("apply", "-o", "json").out)
    assert [one["name"] for one in listed] == sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.yaml"))
    assert all(one["description"] for one in listed)


def test_without_a_name_apply_lists_the_scenarios(run: Run) -> None:
    lines = run("apply").out.splitlines()
    assert any(line.startswith("otel-demo ") and "demo" in line.removeprefix("otel-demo") for line in lines)
    assert len(lines) == 1 + len([*SCENARIOS.glob("*/scenario.yaml")])


def test_where_no_lab_can_run_that_is_said_before_anything_is_made(
    run: Run, monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    ended = run("up", "--name", "one")
    assert ended.code == 1
    assert "labs run on Linux only, so far; this is darwin" in ended.err
    assert not (state_dir / "labs" / "one").exists()


def test_a_disk_that_a_build_may_fill_is_told_when_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = 2_500_000_000
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    BuildProgress().planned(["etcd", "flux"])
    assert "free" not in capsys.readouterr().err
    BuildProgress().planned(["etcd", "flux", "helm"])
    assert "only 2.5 GB are free" in capsys.readouterr().err


def test_what_a_lab_cannot_be_is_told_of_options_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "linked.yaml").write_text("links: true\n")
    ended = run("up", str(tmp_path / "linked.yaml"), "--backend", "kind")
    assert ended.code == 64
    assert "links: flux-playground is not on backend local" in ended.err
    ended = run("up", "--nodes", "500")
    assert ended.code == 64
    assert "clusters.0.nodes: Input should be less than or equal to 200" in ended.err


@pytest.mark.parametrize("words", [["-h"], ["status", "-h"], ["charts", "-h"], ["charts", "add", "-h"]])
def test_help_is_there_for_those_who_type_little(run: Run, words: list[str]) -> None:
    ended = run(*words)
    assert ended.code == 0
    assert "Usage: fluxlab" in ended.out


@pytest.mark.usefixtures("refused")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_what_needs_a_supervisor_says_that_it_is_gone(run: Run) -> None:
    dead_lab("one")
    ended = run("restart", "etcd")
    assert ended.code == 2
    assert "error: lab one: its supervisor does not answer" in ended.err
    assert "next: fluxlab up --name one" in ended.err


def test_the_logs_of_a_dead_lab_can_be_read(run: Run) -> None:
    folder = dead_lab("one")
    folder.supervisor_log.write_text("1\n2\n3\n")
    assert run("logs", "supervisor", "--tail", "2").out == "2\n3\n"
    assert run("logs").out.splitlines()[1].split() == ["supervisor", str(folder.supervisor_log)]


def test_what_programs_wrote_of_secrets_is_masked_when_it_is_shown(run: Run) -> None:
    folder = dead_lab("one")
    (folder.sinks / "hooks.slack.com").mkdir(parents=True)
    folder.supervisor_log.write_text('Post "https://hooks.slack.com/services/T0/pass-word": 410\n')
    shown = [run("logs", "supervisor", "--tail", tail).out for tail in ("0", "1", "-1")]
    masked = 'Post "https://hooks.slack.com/[redacted]": 410\n'
    assert shown == ["", masked, masked]


def test_a_dead_lab_is_removed_and_its_name_is_free(run: Run, state_dir: Path) -> None:
    for name in ("one", "two"):
        dead_lab(name)
    ended = run("down", "--all")
    assert ended.code == 0
    assert ended.out == ""
    assert {"lab one is gone", "lab two is gone"} <= set(ended.err.splitlines())
    assert list((state_dir / "labs").iterdir()) == []


# -- how the program ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (FluxlabError("it is false", facts=["seen: x"], hint="look"), 1, "error: it is false\n  seen: x\nnext: look\n"),
        (UnknownError("could not tell"), 2, "error: could not tell\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_how_an_error_ends_the_program(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, told: str
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(app, "app", fail)
    ended = run("ls")
    assert (ended.code, ended.out, ended.err) == (code, "", told)


def test_a_reader_that_has_had_enough_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", sys.stdout)  # main gives it up: it is put back afterwards
    monkeypatch.setattr(app, "app", fail)
    monkeypatch.setattr("sys.argv", ["fluxlab", "ls"])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1


def test_help_is_fast_because_it_imports_nothing_heavy(state_dir: Path) -> None:
    heavy = ["pydantic", "httpx", "yaml", "starlette", "uvicorn", "psutil", "trustme", "kubernetes", "filelock"]
    script = f"""
import sys
sys.argv = ["fluxlab", "--help"]
from fluxlab.cli.app import main
try:
    main()
except SystemExit as ended:
    print("CODE", ended.code, *[name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "CODE 0"
    assert not state_dir.exists()


def test_a_command_does_not_load_what_only_others_need() -> None:
    others = ["trustme", "ruamel", "tarfile", "kubernetes", "docker", "fluxlab.faults", "fluxlab.drift.examine"]
    script = f"import sys, fluxlab.lab; print(*[name for name in {others} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_kind_is_listed_only_when_asked_for(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path))
    names = {with_kind: {entry["name"] for entry in listed(run, *with_kind)} for with_kind in ((), ("--with", "kind"))}
    assert names["--with", "kind"] - names[()] == {"kind"}
    assert "kind is not installed" in run("toolchain", "path", "kind").err


def test_the_key_of_the_toolchain_is_told_before_it_is_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLUXLAB_TOOLCHAIN", str(tmp_path))
    before = run("toolchain", "key")
    assert (before.code, len(before.out.strip())) == (0, 64)
    assert before.out == run("toolchain", "key").out
    monkeypatch.setattr("fluxlab.toolchain.entries.RECIPE_EDITION", 10**6)
    assert run("toolchain", "key").out != before.out


def listed(run: Run, *options: str) -> list[dict[str, str]]:
    ended = run("toolchain", "list", "--output", "json", *options)
    assert ended.code == 1
    found: list[dict[str, str]] = json.loads(ended.out)
    return found


@pytest.mark.parametrize("command", ["rehearse", "up"])
def test_a_name_that_no_file_can_have_is_told_and_is_no_answer(run: Run, command: str) -> None:
    ended = run(command, "x" * 300)
    assert ended.code not in {0, 1}
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err


def test_a_lab_of_another_version_is_told_and_how_to_remove_it(run: Run) -> None:
    dead_lab("old").spec.write_text('{"name": "old", "galaxies": 3}')
    ended = run("env", "--lab", "old")
    assert "spec.json is damaged" in ended.err
    assert ended.err.endswith("next: fluxlab down old\n")


def test_what_the_terminal_cannot_show_ends_no_command() -> None:
    script = "import sys; from fluxlab.cli import app; app.app = lambda **_: print(chr(0x1F600)); app.main()"
    given = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=given, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\U0001f600\n", "")


@pytest.mark.parametrize("host", ["a b", "host:x", "https://charts.example.org", "Host.example.org"])
def test_a_chart_goes_to_a_host_that_can_be_one(run: Run, tmp_path: Path, host: str) -> None:
    dead_lab("one")
    chart = tmp_path / "x.tgz"
    chart.write_bytes(b"")
    ended = run("charts", "add", str(chart), "--host", host, "--prefix", "/stable")
    assert (ended.code, ended.err.splitlines()[0]) == (64, f"error: {host!r} is no host name")
