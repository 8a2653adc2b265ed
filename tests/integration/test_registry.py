"""The OCI registry behind the gateway: pushed to and pulled from under public URLs, by the upstream clients."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.conftest import CommandLine, Observer, command_lines
from tests.integration.traces import component, ended

from fluxlab.waiting import never

pytestmark = pytest.mark.integration
Eventually = Callable[..., object]
ARTIFACT = "oci://registry.example.com/acme/settings"
LAB_FILE = """\
name: oci
registries: [registry.example.com, ghcr.io]
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    for command_line in command_lines(tmp_path_factory.mktemp("oci")):
        (command_line.folder / "lab.yaml").write_text(LAB_FILE)
        command_line.ok("up", "lab.yaml")
        yield command_line


@pytest.fixture
def observer(lab: CommandLine) -> Observer:
    return lab.observer("oci")


def push(lab: CommandLine, text: str, *, url: str = ARTIFACT, tag: str = "latest") -> str:
    """Push a folder with one ConfigMap; returns the digest that the client saw."""
    folder = lab.folder / "artifact"
    folder.mkdir(exist_ok=True)
    content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "oci", "namespace": "default"}}
    (folder / "settings.yaml").write_text(json.dumps({**content, "data": {"text": text}}))
    words = (
        "push",
        "artifact",
        f"{url}:{tag}",
        f"--path={folder}",
        "--source=test",
        "--revision=main@sha1:0",
        "-o=json",
    )
    return str(json.loads(lab.ok("flux", *words))["digest"])


def follow(observer: Observer, name: str, *, url: str = ARTIFACT) -> None:
    """Have Flux follow a tag, and apply what is there."""
    flux = "toolkit.fluxcd.io"
    metadata = {"name": name, "namespace": "flux-system"}
    source = {"interval": "2s", "url": url, "ref": {"tag": "latest"}}
    apply = {"interval": "10m", "path": "./", "prune": True, "sourceRef": {"kind": "OCIRepository", "name": name}}
    for kind, group, spec in (
        ("OCIRepository", f"source.{flux}", source),
        ("Kustomization", f"kustomize.{flux}", apply),
    ):
        manifest = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "spec": spec}
        observer.kubectl("apply", "--filename=-", stdin=json.dumps(manifest))


def test_an_artifact_is_applied_and_a_moved_tag_is_followed(
    lab: CommandLine, observer: Observer, eventually: Eventually
) -> None:
    first = push(lab, "one")
    follow(observer, "settings")
    text = "-n=default", "configmap/oci", "--ignore-not-found", "-o=jsonpath={.data.text}"
    eventually(lambda: observer.kubectl("get", *text) == "one")
    second = push(lab, "two")
    assert first != second
    eventually(lambda: observer.kubectl("get", *text) == "two")
    revision = observer.get("-n=flux-system", "ocirepository/settings")["status"]["artifact"]["revision"]
    assert revision == f"latest@{second}"
    about = ("timeline", "--object=ocirepository/flux-system/settings", "--tail=-1")
    told = (f"latest@{first}", f"latest@{second}")
    eventually(lambda: all(map(lab.ok(*about).__contains__, told)), what="the timeline tells where the tag was and is")


def test_each_public_host_has_repositories_of_its_own(lab: CommandLine) -> None:
    push(lab, "here", url="oci://ghcr.io/acme/only-here")
    assert "latest" in lab.ok("flux", "list", "artifacts", "oci://ghcr.io/acme/only-here")
    other = lab.run("flux", "list", "artifacts", "oci://registry.example.com/acme/only-here")
    assert other.returncode != 0
    assert "NAME_UNKNOWN" in other.stderr


def test_a_host_that_is_not_mapped_is_refused_with_the_way_to_map_it(lab: CommandLine) -> None:
    done = lab.run("flux", "list", "artifacts", "oci://quay.io/acme/x")
    assert done.returncode != 0
    assert "quay.io is not mapped in this lab" in done.stderr


@pytest.fixture(scope="module")
def way_out(lab: CommandLine) -> Path:
    """What leads curl through the gateway, once there is an artifact that no path of another host may lead to."""
    push(lab, "secret", url="oci://registry.example.com/acme/secret")
    return lab.state / "labs" / "oci" / "way-out.sh"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/_catalog",
        "/v2/x/../../_catalog",
        "/v2/%2e%2e/registry.example.com/acme/secret/manifests/latest",
        "/v2/../registry.example.com/acme/secret/manifests/latest",
        "/v2/./_catalog",
        "/v2//registry.example.com/acme/secret/manifests/latest",
    ],
)
def test_no_path_leads_out_of_a_hosts_own_repositories(way_out: Path, path: str) -> None:
    assert way_out.stat().st_mode & 0o077 == 0
    asked = f"curl --silent --path-as-is --write-out '%{{http_code}}' --cacert $SSL_CERT_FILE 'https://ghcr.io{path}'"
    done = subprocess.run(["sh", "-c", f". {way_out}; {asked}"], capture_output=True, text=True, check=False)
    assert done.stdout[-3:] == "404", done.stdout + done.stderr
    assert "schemaVersion" not in done.stdout


def test_a_chart_is_added_to_a_registry_and_listed(lab: CommandLine) -> None:
    chart = Path(__file__).parents[2] / "scenarios" / "observability-agent" / "charts" / "causely"
    lab.ok("charts", "add", str(chart), "--host=oci://ghcr.io/acme/charts")
    assert [line.split()[-1] for line in lab.ok("charts", "list").splitlines()[1:]] == ["oci://ghcr.io/acme/charts"]
    assert "0.0.136" in lab.ok("helm", "show", "chart", "oci://ghcr.io/acme/charts/causely")
    refused = lab.run("charts", "yank", "causely", "0.0.136", "--host=oci://ghcr.io/acme/charts")
    assert refused.returncode == 64


def test_helm_in_a_shell_of_the_lab_pushes_to_its_registry(
    lab: CommandLine, observer: Observer, tmp_path: Path
) -> None:
    url, chart = "oci://ghcr.io/acme/pushed", tmp_path / "small"
    chart.mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: small\nversion: 1.2.3\n")
    typed = f"helm package {chart} --destination {tmp_path}\nhelm push {tmp_path}/small-1.2.3.tgz {url}\n"
    done = lab.having(SHELL="/bin/sh").run("shell", stdin=typed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Pushed: ghcr.io/acme/pushed/small:1.2.3" in done.stdout + done.stderr
    metadata = {"name": "pushed", "namespace": "flux-system"}
    source = {"interval": "2s", "url": f"{url}/small", "ref": {"tag": "1.2.3"}}
    manifest = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": metadata}
    observer.kubectl("apply", "--filename=-", stdin=json.dumps({**manifest, "spec": source}))
    observer.kubectl("wait", "-n=flux-system", "--for=condition=Ready", "ocirepository/pushed", "--timeout=30s")
    found = observer.get("-n=flux-system", "ocirepository/pushed")["status"]["artifact"]["revision"]
    assert found.startswith("1.2.3@sha256:")


def test_an_altered_blob_is_refused_and_named(lab: CommandLine, observer: Observer, eventually: Eventually) -> None:
    url = "oci://registry.example.com/acme/altered"
    push(lab, "altered", url=url)
    blobs = (lab.state / "labs" / "oci" / "registry" / "data").rglob("blobs/sha256/*/*/data")
    layer = max(blobs, key=lambda blob: blob.stat().st_mtime_ns * (blob.read_bytes()[:2] == b"\x1f\x8b"))
    content = layer.read_bytes()
    middle = len(content) // 2  # not the end: source-controller 1.9.3 reads no further than the archive's last file
    layer.write_bytes(content[:middle] + b"oops" + content[middle + 4 :])
    follow(observer, "altered", url=url)

    def said() -> str:
        conditions = observer.get("-n=flux-system", "ocirepository/altered").get("status", {}).get("conditions", [])
        return " ".join(str(each["message"]) for each in conditions)

    eventually(lambda: "failed to extract layer contents" in said())
    assert observer.kubectl("get", "-n=default", "configmap/oci", "-o=jsonpath={.data.text}") != "altered"


def test_a_registry_that_dies_is_told_of_and_repaired_with_its_content(
    lab: CommandLine, eventually: Eventually
) -> None:
    push(lab, "kept", url="oci://ghcr.io/acme/kept")
    victim = component(lab, "oci", "registry")
    psutil.Process(victim.pid).kill()
    eventually(lambda: ended(victim))
    status = lab.run("status")
    assert status.returncode == 1
    assert "killed by SIGKILL" in status.stdout
    refused = lab.run("flux", "list", "artifacts", "oci://ghcr.io/acme/kept")
    assert refused.returncode != 0
    assert "gave no answer" in refused.stderr or "502" in refused.stderr
    assert "registry" in lab.run("up", "--name=oci").stderr
    assert "latest" in lab.ok("flux", "list", "artifacts", "oci://ghcr.io/acme/kept")


@pytest.mark.verify
def test_a_registry_that_hangs_is_told_of_and_repaired(lab: CommandLine) -> None:
    victim = component(lab, "oci", "registry")
    victim.suspend()
    status = lab.run("status")
    assert status.returncode == 1
    assert "does not answer" in status.stdout
    assert "started again: registry" in lab.run("up", "--name=oci").stderr
    assert component(lab, "oci", "registry").pid != victim.pid
    lab.ok("status")
    lab.ok("restart", "registry")
    lab.ok("status")


def test_a_registry_that_is_slow_serves_what_it_was_asked_for(
    lab: CommandLine, observer: Observer, eventually: Eventually
) -> None:
    url = "oci://ghcr.io/acme/slow"
    pushed = push(lab, "slow", url=url)
    slow = component(lab, "oci", "registry")
    slow.suspend()
    try:
        asking = lab.start("flux", "list", "artifacts", url)
        follow(observer, "slow", url=url)
        with pytest.raises(subprocess.TimeoutExpired):  # several seconds in which nothing comes
            asking.wait(timeout=4)
        assert "registry is paused" in lab.run("status").stdout
    finally:
        slow.resume()
    answer, complaint = asking.communicate(timeout=60)
    assert asking.returncode == 0, complaint
    assert "latest" in answer

    def revision() -> str:
        source = observer.get("-n=flux-system", "ocirepository/slow")
        return str(source.get("status", {}).get("artifact", {}).get("revision"))

    eventually(lambda: revision() == f"latest@{pushed}", within=60)
    lab.ok("status")


def is_asked_in_vain() -> bool:
    """Whether somebody waits at a registry that takes no connection: the kernel gives such a one no inode."""
    lines = map(str.split, Path("/proc/net/unix").read_text().splitlines())
    return any(words[6:] == ["0", "registry.sock"] for words in lines)


def test_a_registry_that_is_slow_is_not_started_again(lab: CommandLine, eventually: Eventually) -> None:
    url = "oci://ghcr.io/acme/unhurried"
    push(lab, "unhurried", url=url)
    slow = component(lab, "oci", "registry")
    slow.suspend()
    with lab.start("up", "--name=oci") as up:
        try:
            eventually(is_asked_in_vain)
            asking = lab.start("flux", "list", "artifacts", url)
            # `up` asks for the status first, which waits for the registry twice for a second.
            never(lambda: ended(slow), what="the registry ended", for_seconds=5)
        finally:
            slow.resume()
        _, said = up.communicate(timeout=60)
    assert up.returncode == 0, said
    assert "started again" not in said
    assert component(lab, "oci", "registry") == slow
    answer, complaint = asking.communicate(timeout=60)
    assert "latest" in answer, complaint


def test_nobody_comes_in_by_another_door(lab: CommandLine) -> None:
    registry = component(lab, "oci", "registry")
    assert [each.laddr for each in registry.net_connections("tcp")] == []
    socket = lab.state / "labs" / "oci" / "registry" / "registry.sock"
    assert Path(socket).is_socket()
    assert socket.parent.stat().st_mode & 0o077 == 0
