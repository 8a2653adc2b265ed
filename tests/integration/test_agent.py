"""The observability agent: an OCI chart, and a token that is in etcd and nowhere else."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from tests.integration.conftest import CommandLine
from tests.integration.traces import supervisor

pytestmark = pytest.mark.integration
Eventually = Callable[..., object]
PUBLIC = "oci://us-docker.pkg.dev/public-causely/public"
SECRET = ("secret", "set", "causely/causely-secrets", "CAUSELY_TOKEN")
TOKEN = "canary*$7f3-token/with+signs"
ROTATED = "canary-rotated-91c2-token"


@pytest.fixture
def lab(fluxlab: CommandLine) -> CommandLine:
    fluxlab.ok("up", "--name=agent")
    return fluxlab


def secret_of_the_release(lab: CommandLine) -> str:
    """The token in the Secret that the chart makes, read by kubectl."""
    done = lab.run("kubectl", "-n", "causely", "get", "secret", "causely-token", "-o", "jsonpath={.data.token}")
    return base64.b64decode(done.stdout).decode() if done.returncode == 0 else ""


def set_token(lab: CommandLine, value: str) -> None:
    lab.having(TOKEN_HERE=value).ok(*SECRET, "--from-env=TOKEN_HERE")


def spellings(value: str) -> set[bytes]:
    """A value as it may lie around: raw, in base64 at any offset, URL-encoded, in JSON."""
    raw = value.encode()
    shifted = [base64.b64encode(b"x" * offset + raw)[4:-4] for offset in range(3)]
    return {
        raw,
        base64.b64encode(raw).rstrip(b"="),
        *shifted,
        quote(value, safe="").encode(),
        json.dumps(value)[1:-1].encode(),
    }


def holders(folder: Path, values: set[bytes]) -> list[str]:
    """The files below a folder that hold any of the values."""
    files = [Path(parent) / name for parent, _, names in os.walk(folder) for name in names]
    regular = [path for path in files if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in regular if any(value in path.read_bytes() for value in values)]


def test_the_scanner_finds_every_spelling(tmp_path: Path) -> None:
    for number, spelling in enumerate(sorted(spellings(TOKEN))):
        (tmp_path / f"{number}").write_bytes(b"before " + spelling + b" after")
    assert len(holders(tmp_path, spellings(TOKEN))) == len(spellings(TOKEN))
    assert holders(tmp_path, spellings(ROTATED)) == []


def test_the_agent_waits_for_its_token_goes_on_by_itself_and_takes_a_new_one(
    lab: CommandLine, eventually: Eventually
) -> None:
    lab.ok("apply", "observability-agent")
    asking = lab.run("wait", "--until-asked")
    assert asking.returncode == 0, asking.stderr
    assert "waits for Secret causely/causely-secrets with key CAUSELY_TOKEN" in asking.stderr
    assert "waits for Secret causely/causely-secrets with key CAUSELY_TOKEN" in asking.stdout
    assert "fluxlab secret set causely/causely-secrets CAUSELY_TOKEN" in asking.stdout
    waiting = lab.run("wait", "--timeout=3")  # also during one of Flux's attempts, which come every five seconds
    assert waiting.returncode == 1
    told = waiting.stderr.partition("has not arrived within 3 s")[2]
    assert "waits for Secret causely/causely-secrets with key CAUSELY_TOKEN" in told
    assert "fluxlab secret set causely/causely-secrets CAUSELY_TOKEN" in told

    lab.ok("kubectl", "-n", "causely", "create", "secret", "generic", "causely-secrets", "--from-literal=OTHER=x")
    assert "waits for Secret causely/causely-secrets with key CAUSELY_TOKEN" in lab.ok("wait", "--until-asked")
    assert lab.run("wait", "--timeout=1").returncode == 1

    set_token(lab, TOKEN)
    eventually(lambda: secret_of_the_release(lab) == TOKEN, within=30)
    lab.ok("wait")
    set_token(lab, ROTATED)
    eventually(lambda: secret_of_the_release(lab) == ROTATED, within=30)
    other = lab.ok("kubectl", "-n", "causely", "get", "secret", "causely-secrets", "-o", "jsonpath={.data.OTHER}")
    assert base64.b64decode(other) == b"x"  # the other key stays

    told = lab.ok("status")
    assert f"chart causely 0.0.136 at {PUBLIC} (a stand-in" in told
    state = lab.state / "labs" / "agent"
    values = spellings(TOKEN) | spellings(ROTATED)
    assert any("etcd" in path for path in holders(state, values))  # where it belongs
    etcd = f"{state.relative_to(lab.folder)}/clusters/flux-playground/etcd/"
    kept = state / "secret-values.json"  # by which it is masked, also when it has been rotated
    besides = [lab.folder / path for path in holders(lab.folder, values) if not path.startswith(etcd)]
    assert besides == [kept]
    assert kept.stat().st_mode & 0o777 == 0o600

    said = "".join(printed(lab)).encode()
    assert b"causely-secrets" in said
    assert [value for value in values if value in said] == []
    programs = b"\n".join(processes_of(lab))
    assert b"--audit-log-path" in programs
    assert [value for value in values if value in programs] == []


def printed(lab: CommandLine) -> Iterator[str]:
    """All that fluxlab's own reading commands print of a lab."""
    parts = [line.split()[0] for line in lab.ok("logs").splitlines()[1:]]
    assert {"supervisor", "recorder", "gateway", "flux-playground/kustomize-controller"} <= set(parts)
    commands = [
        *(("status",), ("status", "-o", "json"), ("ls", "-o", "json"), ("doctor",), ("env",), ("charts", "list")),
        *(("timeline", "--level=debug", "--tail=-1"), ("timeline", "--level=debug", "-o", "json")),
        *(("logs", part, "--tail=-1") for part in parts),
        *(("logs", "--level=debug", "--tail=-1"), ("logs", "-o", "json")),
        *(("drift",), ("drift", "-o", "json"), ("alerts", "-o", "json"), ("report-only", "status")),
        *(("wait", "--timeout=5"), ("wait", "--timeout=5", "-o", "json")),
    ]
    for command in commands:
        done = lab.run(*command)
        assert done.returncode in {0, 1}, (command, done.stderr)
        assert done.stdout + done.stderr or command[1] in parts, f"{command} printed nothing that could be searched"
        yield done.stdout + done.stderr


def processes_of(lab: CommandLine) -> Iterator[bytes]:
    """What every user of this machine may read of the lab's programs, and its owner of their environment."""
    owner = supervisor(lab, "agent")
    for process in (owner, *owner.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # git, for a moment
            yield "\n".join([*process.cmdline(), *map("=".join, process.environ().items())]).encode()


def test_the_published_shape_is_explained(lab: CommandLine) -> None:
    lab.ok("apply", "observability-agent-as-published")
    done = lab.run("wait", "--timeout=30")
    assert done.returncode == 1
    assert "HelmRelease causely/causely: its spec holds" in done.stderr
    assert "${CAUSELY_VERSION}" in done.stderr
    assert "postBuild is a field of Flux's Kustomization" in done.stderr


@pytest.mark.verify
def test_a_secret_in_another_namespace_is_pointed_out(lab: CommandLine) -> None:
    lab.ok(*SECRET[:2], "elsewhere/causely-secrets", "CAUSELY_TOKEN", "--create-namespace", stdin="some-token\n")
    lab.ok("apply", "observability-agent")
    assert "there is one in namespace elsewhere" in lab.ok("wait", "--until-asked")
    assert lab.run("wait", "--timeout=1").returncode == 1


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
    assert "a line feed and a double quote" in done.stderr
    read = shared.ok("kubectl", "-n", "default", "get", "secret", "odd", "-o", "jsonpath={.data.KEY}")
    assert base64.b64decode(read) == b'two\nlines "quoted"'
    shared.ok("kubectl", "-n", "default", "delete", "secret", "odd")
