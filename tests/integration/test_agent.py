"""The observability agent: an OCI chart, and a token that is in etcd and nowhere else."""

import base64
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tests.integration.canary import holders, spellings
from tests.integration.conftest import CommandLine
from tests.integration.traces import private, supervisor

pytestmark = pytest.mark.integration
Eventually = Callable[..., object]
PUBLIC = "oci://us-docker.pkg.dev/public-causely/public"
SECRET = ("secret", "set", "causely/causely-secrets", "CAUSELY_TOKEN")
TOKEN = "canary*$7f3-token/with+signs"
ROTATED = "canary-rotated-91c2-token"
AT_WORK = tuple(f"flux-playground/{name}" for name in ("kube-apiserver", "kustomize-controller", "helm-controller"))
"""The parts through whose hands the token goes; each day the others are searched together only."""
NOISE = "".join(hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)).encode()
"""So much that what is packed with it is packed for real."""


@pytest.fixture
def lab(fluxlab: CommandLine) -> CommandLine:
    """A lab all of which, but for the cache, lies below the folder of the test."""
    mine = private(fluxlab)
    mine.ok("up", "--name=agent")
    return mine


def secret_of_the_release(lab: CommandLine) -> str:
    """The token in the Secret that the chart makes, read by kubectl."""
    done = lab.run("kubectl", "-n", "causely", "get", "secret", "causely-token", "-o", "jsonpath={.data.token}")
    return base64.b64decode(done.stdout).decode() if done.returncode == 0 else ""


def set_token(lab: CommandLine, value: str) -> None:
    lab.having(TOKEN_HERE=value).ok(*SECRET, "--from-env=TOKEN_HERE")


def in_gzip(place: Path, content: bytes) -> None:
    (place / "log.gz").write_bytes(gzip.compress(content))


def in_zlib(place: Path, content: bytes) -> None:
    (place / "stream").write_bytes(zlib.compress(content))


def in_a_cut_off_stream(place: Path, content: bytes) -> None:
    packed = gzip.compress(content + NOISE)
    (place / "cut").write_bytes(packed[:-5_000])


def in_a_chart_within_an_artifact(place: Path, content: bytes) -> None:
    for name, member in (("chart.tgz", content), ("artifact.tar.gz", None)):
        data = (place / "chart.tgz").read_bytes() if member is None else member
        described = tarfile.TarInfo("templates/secret.yaml")
        described.size = len(data)
        with tarfile.open(place / name, "w:gz") as archive:
            archive.addfile(described, io.BytesIO(data))
    (place / "chart.tgz").unlink()


def in_a_helm_release(place: Path, content: bytes) -> None:
    packed = base64.b64encode(base64.b64encode(gzip.compress(content))).decode()
    (place / "secret.json").write_text(json.dumps({"data": {"release": packed}}))


def git(place: Path, *words: str, stdin: bytes = b"") -> str:
    named = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", *named, *words], cwd=place, input=stdin, stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def in_a_loose_object(place: Path, content: bytes) -> None:
    git(place, "init", "--quiet", "--bare")
    git(place, "hash-object", "-w", "--stdin", stdin=content)


def in_a_pack(place: Path, content: bytes) -> None:
    git(place, "init", "--quiet", "--bare")
    blobs = [git(place, "hash-object", "-w", "--stdin", stdin=each) for each in (NOISE + content + NOISE, NOISE * 3)]
    tree = git(place, "mktree", stdin="".join(f"100644 blob {blob}\t{blob}\n" for blob in blobs).encode())
    git(place, "update-ref", "refs/heads/main", git(place, "commit-tree", tree, "-m", "Add"))
    git(place, "repack", "-a", "-d", "--quiet")
    assert not [*(place / "objects").glob("??/*")], "nothing is loose"


@pytest.mark.parametrize(
    "plant",
    [
        in_gzip,
        in_zlib,
        in_a_cut_off_stream,
        in_a_chart_within_an_artifact,
        in_a_helm_release,
        in_a_loose_object,
        in_a_pack,
    ],
)
def test_the_scanner_looks_into_what_is_packed(tmp_path: Path, plant: Callable[[Path, bytes], None]) -> None:
    place = tmp_path / "place"
    place.mkdir()
    plant(place, f"token: {TOKEN}\n".encode())
    raw = [path for path in place.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert raw == [], "who reads files as they are does not find it"
    assert holders(tmp_path, spellings(TOKEN))
    assert holders(tmp_path, spellings(ROTATED)) == []


def test_the_scanner_finds_every_spelling(tmp_path: Path) -> None:
    for number, spelling in enumerate(sorted(spellings(TOKEN))):
        (tmp_path / f"{number}").write_bytes(b"before " + spelling + b" after")
    assert len(holders(tmp_path, spellings(TOKEN))) == len(spellings(TOKEN))
    assert holders(tmp_path, spellings(ROTATED)) == []


@pytest.mark.parametrize(
    "parts", [AT_WORK, pytest.param((), marks=pytest.mark.verify)], ids=["parts at work", "all parts"]
)
def test_the_agent_waits_for_its_token_goes_on_by_itself_and_takes_a_new_one(
    lab: CommandLine, eventually: Eventually, parts: Sequence[str]
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
    assert holders(Path(lab.environment["FLUXLAB_CACHE_DIR"]) / "seeds", values) == []
    assert kept.stat().st_mode & 0o777 == 0o600

    said = "".join(printed(lab, parts)).encode()
    assert b"causely-secrets" in said
    assert [value for value in values if value in said] == []
    programs = b"\n".join(processes_of(lab))
    assert b"--audit-log-path" in programs
    assert [value for value in values if value in programs] == []


def printed(lab: CommandLine, chosen: Sequence[str], codes: Collection[int] = (0, 1)) -> Iterator[str]:
    """All that fluxlab's own reading commands print of a lab; `chosen` are the parts whose logs are, else all are.

    They end with one of these `codes`.
    """
    there = [line.split()[0] for line in lab.ok("logs").splitlines()[1:]]
    assert {"supervisor", "recorder", "gateway", *AT_WORK} <= set(there)
    parts = chosen or there
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
        assert done.returncode in codes, (command, done.stderr)
        assert done.stdout + done.stderr or command[1] in parts, f"{command} printed nothing that could be searched"
        yield done.stdout + done.stderr


def processes_of(lab: CommandLine) -> Iterator[bytes]:
    """What every user of this machine may read of the lab's programs, and its owner of their environment."""
    owner = supervisor(lab, "agent")
    for process in (owner, *owner.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # git, for a moment
            yield "\n".join([*process.cmdline(), *map("=".join, process.environ().items())]).encode()


def test_the_published_shape_is_explained(lab: CommandLine) -> None:
    lab.ok(*SECRET, "--create-namespace", stdin=TOKEN)  # as the guide has it
    lab.ok("apply", "observability-agent-as-published")
    done = lab.run("wait", "--timeout=30")
    assert done.returncode == 1
    assert "HelmRelease causely/causely: its spec holds" in done.stderr
    assert "${CAUSELY_VERSION}" in done.stderr
    assert "postBuild is a field of Flux's Kustomization" in done.stderr
    assert "nor would Kustomization flux-system/causely find Secret flux-system/causely-secrets" in done.stderr
    assert "there is one in namespace causely, but substituteFrom reads no namespace but" in done.stderr


@pytest.mark.verify
def test_a_secret_in_another_namespace_is_pointed_out(lab: CommandLine) -> None:
    lab.ok(*SECRET[:2], "elsewhere/causely-secrets", "CAUSELY_TOKEN", "--create-namespace", stdin="some-token\n")
    lab.ok("apply", "observability-agent")
    assert "there is one in namespace elsewhere" in lab.ok("wait", "--until-asked")
    assert lab.run("wait", "--timeout=1").returncode == 1


def create_by_hand(lab: CommandLine, value: str, eventually: Eventually) -> None:
    """Make the agent's Secret anew as people do who have no fluxlab; returns when Flux has looked."""
    file = lab.folder / "token.txt"
    file.write_text(value)
    lab.ok("kubectl", "-n=causely", "delete", "secret", "causely-secrets", "--ignore-not-found")
    given = f"--from-file=CAUSELY_TOKEN={file}"
    lab.ok("kubectl", "-n=causely", "create", "secret", "generic", "causely-secrets", given)
    file.unlink()
    asked = hashlib.sha256(value.encode()).hexdigest()
    about = ("kustomization", "causely", "-n=causely")
    lab.ok("kubectl", "annotate", *about, "--overwrite", f"reconcile.fluxcd.io/requestedAt={asked}")
    handled = ("kubectl", "get", *about, "-o=jsonpath={.status.lastHandledReconcileAt}")
    eventually(lambda: lab.ok(*handled) == asked, what="Flux has looked")


@pytest.mark.verify
def test_a_secret_made_by_hand_that_flux_takes_for_something_else_is_named(
    lab: CommandLine, eventually: Eventually
) -> None:
    named = "CAUSELY_TOKEN of Secret causely/causely-secrets"
    lab.ok("apply", "observability-agent")
    lab.ok("wait", "--until-asked")
    create_by_hand(lab, f"{TOKEN}\n", eventually)
    arrived = lab.run("wait")
    assert arrived.returncode == 0, arrived.stderr
    assert f"warning: {named}, which Kustomization causely/causely reads, ends with a line feed" in arrived.stderr
    assert secret_of_the_release(lab) == TOKEN

    create_by_hand(lab, f"*{ROTATED}", eventually)
    asking = lab.run("wait", "--until-asked")
    assert asking.returncode == 0, asking.stderr
    assert f"Kustomization causely/causely: cannot be built: {named} reads as something else in YAML" in asking.stdout
    assert "fluxlab secret set causely/causely-secrets CAUSELY_TOKEN" in asking.stdout
    conditions = ("get", "kustomization", "causely", "-n=causely", "-o=jsonpath={.status.conditions}")
    assert ROTATED in lab.ok("kubectl", *conditions), "Flux quotes the value, but for its asterisk"
    said = asking.stdout + asking.stderr + "".join(printed(lab, AT_WORK, codes=(0, 1, 2)))
    assert "unknown anchor" in said
    assert [value for value in spellings(ROTATED) if value in said.encode()] == []
    assert holders(lab.state / "labs" / "agent" / "timeline", spellings(ROTATED)) == []

    set_token(lab, ROTATED)
    lab.ok("wait")
    eventually(lambda: secret_of_the_release(lab) == ROTATED)
    create_by_hand(lab, "", eventually)
    failed = lab.run("wait", "--timeout=20")
    assert failed.returncode == 1
    assert f"{named}, which Kustomization causely/causely reads, is empty" in failed.stderr
