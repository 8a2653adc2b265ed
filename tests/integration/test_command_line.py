"""What is typed wrongly or is missing is said in one clear error, with the place and what to do, and leaves nothing."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.conftest import CommandLine
from tests.integration.traces import leftovers, private

pytestmark = pytest.mark.integration

USAGE = 64


@pytest.fixture
def alone(fluxlab: CommandLine) -> CommandLine:
    return private(fluxlab)


def refused(fluxlab: CommandLine, *words: str, code: int) -> str:
    """What a command says on stderr that ends with this exit code, without a traceback, and leaves nothing."""
    done = fluxlab.run(*words, timeout=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert leftovers(fluxlab) == []
    return done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusters:\n- name: a\n  nodez: 3\n", ("lab.yaml:3", "clusters.0.nodez", "unknown field", "nodes")),
        ("scenarios: [no-such]\n", ("no-such", "otel-demo")),
        ("charts: [{url: https://a.example/charts, charts: [gone.tgz]}]\n", ("gone.tgz", "https://a.example/charts")),
        ("name: a\n\tb: c\n", ("lab.yaml", "no valid YAML")),
        *(
            pytest.param(text, said, marks=pytest.mark.verify)
            for text, said in (
                ("name: a\nclusterz: []\n", ("lab.yaml:2", "clusterz", "unknown field", "clusters")),
                ("clusters:\n- nodes: many\n", ("lab.yaml:2", "clusters.0.nodes", "integer")),
                ("clusters:\n- nodes: '3'\n", ("lab.yaml:2", "clusters.0.nodes", "integer")),
                ("name: [a]\n", ("lab.yaml:1", "name", "string")),
                ("clusters:\n- path: ../../etc\n", ("lab.yaml:2", "clusters.0.path", "relative path")),
                ("repository:\n  url: git@github.com:acme/fleet\n", ("lab.yaml:2", "repository.url")),
                ("repository: {branch: --upload-pack=x}\n", ("lab.yaml:1", "repository.branch")),
                ("- 1\n", ("lab.yaml:1", "the whole file")),
            )
        ),
    ],
)
def test_a_wrong_lab_file_is_refused_with_file_line_and_field(
    alone: CommandLine, text: str, said: tuple[str, ...]
) -> None:
    (alone.folder / "lab.yaml").write_text(text)
    error = refused(alone, "up", "lab.yaml", code=USAGE)
    assert all(word in error for word in said), error


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a\n", "$(touch x)"),
        *(
            pytest.param(name, marks=pytest.mark.verify)
            for name in ("", ".", "..", "a/b", "/etc", "A", "-a", "a-", "a b", "é", "a" * 41, "a\u0660")
        ),
    ],
)
def test_a_hostile_name_is_refused(alone: CommandLine, name: str) -> None:
    assert "cannot name a lab" in refused(alone, "up", f"--name={name}", code=USAGE)


def test_a_hostile_name_is_refused_by_every_command(alone: CommandLine) -> None:
    for words in (["down", "../x"], ["status", "--lab=../x"], ["logs", "--lab=../x"], ["clone", "--lab=../x"]):
        assert "cannot name a lab" in refused(alone, *words, code=USAGE)


def test_what_is_not_there_is_named(alone: CommandLine) -> None:
    assert "missing.yaml" in refused(alone, "up", "missing.yaml", code=USAGE)
    assert "there is no lab 'x'" in refused(alone, "status", "--lab=x", code=USAGE)
    assert "there is no lab 'x'" in refused(alone, "down", "x", code=USAGE)
    assert "fluxlab up" in refused(alone, "status", code=USAGE)
    assert alone.run("down").returncode == 0
    refused(alone, "up", "--nonsense", code=USAGE)
    refused(alone, "down", "x", "--all", code=USAGE)


def test_without_git_up_says_so(alone: CommandLine) -> None:
    error = refused(alone.having(PATH="/nowhere"), "up", code=1)
    assert "git is not on PATH" in error
    assert "install git" in error


def test_the_help_of_other_programs_needs_no_lab(alone: CommandLine) -> None:
    for words in (("kubectl", "--help"), ("flux", "-h"), ("helm", "--help")):
        done = alone.run(*words, timeout=60)
        assert done.returncode == 0, done.stderr
        assert f"Usage:\n  {words[0]} " in done.stdout
        assert f"fluxlab {words[0]} [--lab NAME] [--cluster NAME] ARGS..." in done.stderr


def test_without_a_toolchain_up_says_how_to_get_one(alone: CommandLine) -> None:
    error = refused(alone.having(FLUXLAB_CACHE_DIR=str(alone.folder / "empty")), "up", code=1)
    assert "the toolchain is not installed" in error
    assert str(alone.folder / "empty") in error
    assert "fluxlab toolchain build" in error


@pytest.mark.parametrize("damage", ["cut short", "altered", "not executable"])
def test_a_damaged_program_is_named_and_not_run(alone: CommandLine, damage: str) -> None:
    cache = alone.folder / "cache" / "toolchain"
    cache.mkdir(parents=True)
    for entry in (Path(alone.environment["FLUXLAB_CACHE_DIR"]) / "toolchain").glob("[a-z]*"):
        if entry.name.startswith("etcdutl-"):
            shutil.copytree(entry, cache / entry.name)
        else:
            (cache / entry.name).symlink_to(entry)
    program = next(cache.glob("etcdutl-*/etcdutl"))
    if damage == "cut short":
        os.truncate(program, 4096)
    elif damage == "altered":
        with program.open("r+b") as file:
            file.seek(4096)
            file.write(b"\0" * 64)
    else:
        program.chmod(0o600)
    error = refused(alone.having(FLUXLAB_CACHE_DIR=str(cache.parent)), "up", code=1)
    assert "the toolchain is damaged" in error
    assert str(program.parent) in error
    assert "fluxlab toolchain build" in error


@pytest.mark.parametrize("place", ["file", "/proc/fluxlab"])
def test_a_state_folder_that_cannot_be_made_is_named(alone: CommandLine, place: str) -> None:
    (alone.folder / "file").write_text("")
    state = str(alone.folder / place)
    done = alone.having(FLUXLAB_STATE_DIR=state).run("up")
    assert done.returncode == 1
    assert state in done.stderr
    assert "FLUXLAB_STATE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_rubbish_in_the_state_folder_disturbs_nothing(alone: CommandLine) -> None:
    labs = alone.state / "labs"
    (labs / "no lab").mkdir(parents=True)
    (labs / "README").write_text("")
    (labs / "half").mkdir()
    (labs / "half" / "record.json").write_text("{")
    (alone.state / "trash" / "old").mkdir(parents=True)
    (alone.state / "trash" / "old" / "file").write_text("")
    (alone.state / "trash" / "file").write_text("")
    assert json.loads(alone.ok("ls", "-o", "json")) == []
    assert "removing what a start of lab half left half-made" in alone.run("down").stderr
    assert not (labs / "half").exists()
    assert list((alone.state / "trash").iterdir()) == []
    assert "no lab is there" in alone.run("down", "--all").stderr


def test_a_lab_can_be_asked_with_closed_streams(shared: CommandLine) -> None:
    command = f"exec {sys.executable} -m fluxlab status --lab shared"
    for redirection in ("<&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{command} {redirection}"], env=shared.environment, timeout=60, check=False)
        assert done.returncode == 0, redirection


def test_a_reader_that_has_had_enough_is_no_error(shared: CommandLine) -> None:
    log = shared.state / "labs/shared/clusters/flux-playground/logs/kube-apiserver.log"
    with log.open("a") as file:
        file.write(("x" * 99 + "\n") * 1000)  # more than goes into a pipe of which nobody reads
    command = f"{sys.executable} -m fluxlab logs kube-apiserver --lab shared -n 100000 | head -n 1"
    done = subprocess.run(["sh", "-c", command], env=shared.environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_logs_are_listed_and_printed_by_component(shared: CommandLine) -> None:
    listed = shared.ok("logs", "--lab=shared")
    for name in ("supervisor", "gateway", "flux-playground/etcd", "flux-playground/source-controller"):
        assert name in listed
    last = shared.ok("logs", "source-controller", "--lab=shared", "--tail=3").splitlines()
    file = shared.state / "labs/shared/clusters/flux-playground/logs/source-controller.log"
    assert len(last) == 3
    assert set(last) <= set(file.read_text().splitlines())
    error = shared.run("logs", "nonsense", "--lab=shared")
    assert error.returncode == USAGE
    assert "flux-playground/etcd" in error.stderr


def test_an_unknown_component_is_refused_with_those_there_are(shared: CommandLine) -> None:
    done = shared.run("restart", "nonsense", "--lab=shared")
    assert done.returncode == USAGE
    assert "kube-scheduler" in done.stderr
    assert shared.run("restart", "other/etcd", "--lab=shared").returncode == USAGE


def test_status_and_ls_agree_as_json(shared: CommandLine) -> None:
    status = json.loads(shared.ok("status", "--lab=shared", "-o", "json"))
    assert status["phase"] == "ready"
    names = [lab["name"] for lab in json.loads(shared.ok("ls", "-o", "json"))]
    assert names == ["shared"]
    parts = {part["name"]: part["state"] for part in status["clusters"][0]["components"]}
    assert set(parts.values()) == {"running"}
    assert len(parts) == 9


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("causely-secrets", "KEY"), "x", "names no Secret"),
        (("default/UPPER", "KEY"), "x", "names no Secret"),
        (("default/name", "bad key"), "x", "is no key"),
        (("default/name", "KEY"), "", "is empty"),
        (("default/name", "KEY"), "\n", "is empty"),
        (("nowhere/name", "KEY"), "x", "no namespace nowhere"),
        (("default/name", "KEY", "--from-env=NOT_THERE"), "", "no variable of the name that --from-env gives"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_reason(
    shared: CommandLine, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    done = shared.run("secret", "set", *arguments, stdin=stdin)
    assert done.returncode == 64
    assert said in done.stderr


def test_a_value_that_substitution_would_change_is_set_with_a_warning(shared: CommandLine) -> None:
    done = shared.run("secret", "set", "default/odd", "KEY", stdin='two\nlines "quoted"\n')
    assert done.returncode == 0
    assert "warning: the value holds a line feed" in done.stderr
    read = shared.ok("kubectl", "-n", "default", "get", "secret", "odd", "-o", "jsonpath={.data.KEY}")
    assert base64.b64decode(read) == b'two\nlines "quoted"'
    shared.ok("kubectl", "-n", "default", "delete", "secret", "odd")
