"""A snapshot starts elsewhere as the lab that it was made of, with keys of its own; anything else is refused."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from tests.integration.conftest import CommandLine, command_lines
from tests.integration.gitops import Person, git
from tests.integration.traces import component, leftovers, private

Eventually = Callable[..., object]
TOKEN = "canary-of-the-agent-77c1"
LAB = "original"
LABS = ("original", "copy")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    for fluxlab in command_lines(tmp_path_factory.mktemp("snapshots")):
        file = fluxlab.folder / "lab.yaml"
        file.write_text(f"name: {LAB}\nscenarios: [shop, observability-agent]\n")
        fluxlab.ok("up", str(file))
        fluxlab.ok("secret", "set", "causely/causely-secrets", "CAUSELY_TOKEN", f"--lab={LAB}", stdin=TOKEN)
        fluxlab.ok("wait", f"--lab={LAB}")
        clean = fluxlab.run("drift", f"--lab={LAB}")  # what comes with fluxlab, with no exception for anything in it
        assert (clean.returncode, clean.stdout) == (0, ""), clean.stderr
        yield Person.of(fluxlab, LAB)


@pytest.fixture(scope="module")
def snapshot(person: Person) -> Path:
    file = person.fluxlab.folder / "lab.tar.zst"
    person.push("marker", "before")
    person.fluxlab.ok("snapshot", "save", str(file), f"--lab={LAB}")
    return file


def seen(fluxlab: CommandLine, lab: str) -> dict[str, object]:
    """What a restored lab must have in common with its original, seen with kubectl."""
    observer = fluxlab.observer(lab)
    flux = observer.get("gitrepositories,helmcharts,kustomizations,helmreleases", "-A")["items"]
    pods = observer.get("pods", "-A")["items"]
    marker = observer.get("configmap", "marker", "-n", "default")
    token = observer.get("secret", "causely-secrets", "-n", "causely")
    return {
        "flux": {(item["kind"], item["metadata"]["name"]): item["metadata"]["uid"] for item in flux},
        "pods": {(pod["metadata"]["namespace"], pod["metadata"]["name"], pod["status"]["phase"]) for pod in pods},
        "marker": (marker["metadata"]["uid"], marker["data"]),
        "token": base64.b64decode(token["data"]["CAUSELY_TOKEN"]).decode(),
    }


def lab_keys(fluxlab: CommandLine, lab: str) -> dict[str, str]:
    """The keys and tokens that belong to one lab alone."""
    observer = fluxlab.observer(lab)
    folder = fluxlab.state / "labs" / lab
    secrets = {
        name: observer.get("secret", name, "-n", "flux-system")["data"][key]
        for name, key in (("flux-system", "password"), ("fluxlab-push", "token"))
    }
    files = {name: (folder / name).read_text() for name in ("git/fleet.token", "clusters/flux-playground/pki/ca.key")}
    return {**secrets, **files}


def test_a_snapshot_starts_elsewhere_with_keys_of_its_own(
    person: Person, snapshot: Path, tmp_path: Path, eventually: Eventually
) -> None:
    original = seen(person.fluxlab, LAB)
    assert snapshot.stat().st_mode & 0o777 == 0o600
    for elsewhere in command_lines(tmp_path):
        _starts_elsewhere(person, elsewhere, snapshot, original, eventually)


def _starts_elsewhere(
    person: Person, elsewhere: CommandLine, snapshot: Path, original: dict[str, object], eventually: Eventually
) -> None:
    elsewhere.ok("snapshot", "restore", str(snapshot), "--name=copy")
    assert seen(elsewhere, "copy") == original
    ours, theirs = lab_keys(elsewhere, "copy"), lab_keys(person.fluxlab, LAB)
    assert not {*ours.values()} & {*theirs.values()}
    # It is alive: Flux follows pushes, Kubernetes makes pods, both labs mind their own business.
    copy = Person.of(elsewhere, "copy")
    copy.push("marker", "after")
    eventually(lambda: copy.sees("marker", "after"), what="Flux follows a push")
    copy.deploys("fresh")
    assert person.sees("marker", "before")
    assert git("log", "--format=%s", "-1", cwd=copy.clone) == "Set marker to after"
    elsewhere.ok("wait", "--lab=copy")
    chart = copy.observer.get("helmcharts", "-A")["items"][0]
    port = chart["status"]["artifact"]["url"].split("/")[2]
    assert port not in json.dumps(person.observer.get("helmcharts", "-A"))


def test_no_key_of_the_lab_is_in_its_snapshot(person: Person, snapshot: Path) -> None:
    content = zstandard.ZstdDecompressor().decompressobj().decompress(snapshot.read_bytes())
    # The scanner finds what is there: the agent's token belongs to the cluster, and comes along.
    assert TOKEN.encode() in content
    for name, key in lab_keys(person.fluxlab, LAB).items():
        spellings = {key.strip().encode(), base64.b64encode(key.strip().encode())}
        plain = base64.b64decode(key) if name in {"flux-system", "fluxlab-push"} else b""
        assert not [spelling for spelling in {*spellings, plain} - {b""} if spelling in content], name
    assert b"PRIVATE KEY" not in content


def test_a_lab_that_has_not_converged_is_not_saved(person: Person, snapshot: Path, tmp_path: Path) -> None:
    component(person.fluxlab, LAB, "source-controller").suspend()
    try:
        person.push("marker", "unseen")
        done = person.fluxlab.run("snapshot", "save", str(tmp_path / "x"), f"--lab={LAB}", "--timeout=3")
    finally:
        component(person.fluxlab, LAB, "source-controller").resume()
    assert done.returncode == 1
    assert "GitRepository" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert snapshot.exists()


def altered(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :]


@pytest.mark.parametrize(
    "harm",
    [
        *("flipped late", "cut short", "missing"),
        *(pytest.param(harm, marks=pytest.mark.verify) for harm in ("flipped early", "lengthened", "rubbish", "empty")),
    ],
)
def test_a_damaged_snapshot_is_refused_and_leaves_nothing(snapshot: Path, tmp_path: Path, harm: str) -> None:
    whole = snapshot.read_bytes()
    file = tmp_path / "damaged.tar.zst"
    content = {
        "flipped early": altered(whole, 200),
        "flipped late": altered(whole, len(whole) - 50),
        "cut short": whole[: len(whole) // 2],
        "lengthened": whole + b"more",
        "rubbish": b"rubbish" * 1000,
        "empty": b"",
    }
    if harm in content:
        file.write_bytes(content[harm])
    for plain in command_lines(tmp_path):
        fluxlab = private(plain)
        done = fluxlab.run("snapshot", "restore", str(file))
        assert done.returncode == (64 if harm == "missing" else 1), done.stderr
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr
        assert leftovers(fluxlab) == []


def test_a_snapshot_of_another_toolchain_is_refused(snapshot: Path, tmp_path: Path) -> None:
    content = zstandard.ZstdDecompressor().decompressobj().decompress(snapshot.read_bytes())
    before = content.index(b'"etcd":"3.') + len(b'"etcd":"3.')
    other = content[:before] + (b"5" if content[before : before + 1] != b"5" else b"4") + content[before + 1 :]
    file = tmp_path / "other.tar.zst"
    file.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(other))
    for plain in command_lines(tmp_path):
        fluxlab = private(plain)
        done = fluxlab.run("snapshot", "restore", str(file))
        assert done.returncode == 1
        assert "another toolchain" in done.stderr
        assert "etcd 3.5" in done.stderr
        assert leftovers(fluxlab) == []


def test_a_file_of_another_digest_or_for_a_name_that_is_taken_is_refused(person: Person, snapshot: Path) -> None:
    done = person.fluxlab.run("snapshot", "restore", str(snapshot), "--name=other", f"--sha256={'0' * 64}")
    assert done.returncode == 1
    assert "not the file that was asked for" in done.stderr
    taken = person.fluxlab.run("snapshot", "restore", str(snapshot))
    assert taken.returncode == 64
    assert "is there already" in taken.stderr
    assert [state["name"] for state in json.loads(person.fluxlab.ok("ls", "-o", "json"))] == [LAB]


def test_what_a_snapshot_holds_is_shown(person: Person, snapshot: Path) -> None:
    shown = json.loads(person.fluxlab.ok("snapshot", "show", str(snapshot), "-o", "json"))
    assert shown["spec"]["name"] == LAB
    assert shown["toolchain"]["flux"]
    assert shown["registries"] == ["us-docker.pkg.dev"]
    assert shown["commit"] in git("log", "--format=%H", cwd=person.clone).split()
