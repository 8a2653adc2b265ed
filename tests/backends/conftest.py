"""Grounds: the clusters on which one suite runs, each as somebody who uses fluxlab would bring it."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest
from tests.integration.conftest import Observer, eventually, fluxlab  # noqa: F401 # the two fixtures are used by tests here

from fluxlab.clusters.backends import kind_program
from fluxlab.clusters.kind import preloads
from fluxlab.lab import Lab
from fluxlab.spec import ClusterSpec, LabSpec

IMAGE = "registry.k8s.io/pause:3.10.2"
"""What a workload of the suite runs: real clusters have it on every node already."""
CLUSTER = "here"


@dataclass(frozen=True)
class Ground:
    """Where a lab's cluster is."""

    name: str
    cluster: ClusterSpec
    owner: Observer | None = None
    """Whose cluster it is, where it is somebody's."""

    def spec(self, name: str = "conformance") -> LabSpec:
        return LabSpec(name=name, clusters=[self.cluster])


def consent(kubeconfig: Path, context: str) -> None:
    """Give a cluster to fluxlab, as its owner does."""
    words = [sys.executable, "-m", "fluxlab", "consent", context, f"--kubeconfig={kubeconfig}"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def somebodys_lab() -> Iterator[Lab]:
    """A cluster with a Flux that is not the tested lab's: another lab's."""
    lab = Lab.up(LabSpec(name=f"owner-{secrets.token_hex(3)}"), lifeline=True)
    yield lab
    observer = Observer(lab.cluster.kubeconfig)  # labs of tests end in the background
    lab.wait_until(lambda: "fluxlab-" not in observer.kubectl("get", "namespaces", "-o", "name"), what="its guests go")
    lab.down()


def _local(_: pytest.FixtureRequest) -> Ground:
    return Ground("local", ClusterSpec(name=CLUSTER))


def _guest(request: pytest.FixtureRequest) -> Ground:
    owner: Lab = request.getfixturevalue("somebodys_lab")
    return _existing("guest", owner.cluster.kubeconfig)


def _existing(name: str, kubeconfig: Path, *, address: str = "") -> Ground:
    context = Observer(kubeconfig).kubectl("config", "current-context").strip()
    consent(kubeconfig, context)
    cluster = ClusterSpec(
        name=CLUSTER, backend="existing", context=context, kubeconfig=str(kubeconfig), address=address
    )
    return Ground(name, cluster, Observer(kubeconfig))


def _kind(_: pytest.FixtureRequest) -> Ground:
    need_docker()
    return Ground("kind", ClusterSpec(name=CLUSTER, backend="kind"))


def _installed(request: pytest.FixtureRequest) -> Ground:
    kubeconfig, address = request.getfixturevalue("somebodys_kind_cluster")
    return _existing("installed", kubeconfig, address=address)


def need_docker() -> None:
    """Skip where there is no Docker; where it is installed and of no use, fail."""
    done = (
        subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=30, check=False)
        if which("docker")
        else None
    )
    if done and done.returncode == 0:
        return
    if which("dockerd"):
        pytest.fail(f"Docker is installed here, and of no use: {done.stderr if done else 'no client'}")
    pytest.skip("NOT TESTED WITH REAL CONTAINERS: no Docker here (make verify-kind installs it)")


@pytest.fixture(scope="session")
def somebodys_kind_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A kind cluster without Flux that nobody but its owner made, and this machine's address for its pods."""
    need_docker()
    folder = tmp_path_factory.mktemp("kind")
    kind, name = str(kind_program()), f"owner-{secrets.token_hex(3)}"
    kubeconfig = folder / "kubeconfig"
    image = [f"--image={tag}" for tag in own_node_images()[-1:]]
    words = [kind, "create", "cluster", f"--name={name}", f"--kubeconfig={kubeconfig}", *image]
    made = subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
    try:
        assert made.returncode == 0, made.stderr
        for archive in (file for file in preloads() if file.suffix == ".tar"):
            load = [kind, "load", "image-archive", str(archive), f"--name={name}"]
            subprocess.run(load, check=True, capture_output=True, timeout=300)
        asked = ["docker", "network", "inspect", "kind", "-f", "{{range .IPAM.Config}}{{.Gateway}} {{end}}"]
        gateways = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
        yield kubeconfig, next(one for one in gateways if "." in one)
    finally:
        subprocess.run([kind, "delete", "cluster", f"--name={name}"], capture_output=True, timeout=120, check=False)


def own_node_images() -> list[str]:
    words = ["docker", "images", "--filter=reference=fluxlab/node", "--format={{.Repository}}:{{.Tag}}"]
    return sorted(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


GROUNDS: Mapping[str, Callable[[pytest.FixtureRequest], Ground]] = {
    "local": _local,
    "guest": _guest,
    "installed": _installed,
    "kind": _kind,
}


@pytest.fixture(scope="session", params=sorted(GROUNDS))
def ground(request: pytest.FixtureRequest) -> Ground:
    """The cluster that this run of the suite is about."""
    return GROUNDS[request.param](request)


@pytest.fixture(scope="session", autouse=True)
def used_images(record_testsuite_property: Callable[[str, object], None]) -> None:
    """The report says with which node image it was."""
    if (
        which("docker")
        and subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0
    ):
        for tag in own_node_images():
            words = ["docker", "image", "inspect", tag, "--format={{.Id}}"]
            record_testsuite_property(
                tag, subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
            )


@pytest.fixture(scope="session")
def fluxlab_spec(ground: Ground) -> LabSpec:
    """What the suite's labs are like."""
    return ground.spec()
