"""Grounds: the clusters on which one suite runs, each as somebody who uses fluxlab would bring it."""

import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.conftest import Observer

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
    kubeconfig = owner.cluster.kubeconfig
    context = Observer(kubeconfig).kubectl("config", "current-context").strip()
    consent(kubeconfig, context)
    cluster = ClusterSpec(name=CLUSTER, backend="existing", context=context, kubeconfig=str(kubeconfig))
    return Ground("guest", cluster, Observer(kubeconfig))


GROUNDS: Mapping[str, object] = {"local": _local, "guest": _guest}


@pytest.fixture(scope="session", params=sorted(GROUNDS))
def ground(request: pytest.FixtureRequest) -> Ground:
    """The cluster that this run of the suite is about."""
    make = GROUNDS[request.param]
    assert callable(make)
    found: Ground = make(request)
    return found


@pytest.fixture(scope="session")
def fluxlab_spec(ground: Ground) -> LabSpec:
    """What the suite's labs are like."""
    return ground.spec()
