"""Clusters of containers: what is refused, what is named when it breaks, and what is left in Docker: nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.backends.conftest import need_docker
from tests.integration.conftest import CommandLine
from tests.integration.traces import supervisor

from fluxlab.waiting import wait_until

pytestmark = pytest.mark.integration

Eventually = Callable[..., object]
PROMPT_SECONDS = 30
LABS = ("still", "cut", "bare")
"""What the labs here are called: other workers have theirs in the same Docker."""


@pytest.fixture
def docker() -> Iterator[Callable[..., str]]:
    """Docker's own client, where there is a daemon; afterwards it holds nothing of the labs here."""
    need_docker()

    def ask(*words: str) -> str:
        return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def of_labs(*words: str) -> list[str]:
        return [name for name in ask(*words).split() if any(lab in name for lab in LABS)]

    images = set(ask("images", "--quiet").split())
    yield ask
    assert of_labs("ps", "--all", "--format={{.Names}}") == []
    assert of_labs("network", "ls", "--format={{.Name}}") == []
    assert set(ask("images", "--quiet").split()) == images


def volumes(docker: Callable[..., str], container: str) -> set[str]:
    """The volumes that Docker made for a node."""
    return set(docker("inspect", container, "--format={{range .Mounts}}{{.Name}} {{end}}").split())


def lab_file(fluxlab: CommandLine, name: str, *, cluster: str = "k", **fields: object) -> str:
    file = fluxlab.folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump({"name": name, "clusters": [{"name": cluster, "backend": "kind", **fields}]}))
    return str(file)


def labs(fluxlab: CommandLine) -> str:
    return fluxlab.ok("ls", "-o", "json").strip()


def test_without_a_daemon_it_says_so_at_once(fluxlab: CommandLine, tmp_path: Path) -> None:
    lost = fluxlab.having(DOCKER_HOST=f"unix://{tmp_path / 'nobody'}")
    began = time.monotonic()
    done = lost.run("up", lab_file(fluxlab, "lost"))
    assert time.monotonic() - began < PROMPT_SECONDS
    # On a machine without the program kind that comes first.
    assert done.returncode in {1, 2}
    assert "no Docker daemon answers at unix://" in done.stderr or "kind" in done.stderr
    assert "\nnext: " in done.stderr
    assert labs(fluxlab) == "[]"


def test_a_node_image_that_is_not_there_is_named(fluxlab: CommandLine, docker: Callable[..., str]) -> None:
    del docker
    done = fluxlab.run("up", lab_file(fluxlab, "bare", image="fluxlab/nowhere:v1"))
    assert done.returncode == 1
    assert "Docker has no node image fluxlab/nowhere:v1" in done.stderr
    assert labs(fluxlab) == "[]"


def test_a_cluster_of_that_name_that_somebody_made_is_not_touched(
    fluxlab: CommandLine, somebodys_kind_cluster: tuple[Path, str]
) -> None:
    context = yaml.safe_load(somebodys_kind_cluster[0].read_text())["current-context"]
    lab, _, cluster = context.removeprefix("kind-").partition("-")
    words = ["docker", "inspect", f"{lab}-{cluster}-control-plane", "--format={{.Id}} {{.State.StartedAt}}"]
    before = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    done = fluxlab.run("up", lab_file(fluxlab, lab, cluster=cluster))
    assert done.returncode == 1
    assert f"there is a kind cluster {lab}-{cluster} already, which this lab did not make" in done.stderr
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == before
    assert labs(fluxlab) == "[]"


def test_a_stopped_node_is_named_and_started_again(
    fluxlab: CommandLine, docker: Callable[..., str], eventually: Eventually
) -> None:
    fluxlab.ok("up", lab_file(fluxlab, "still"), timeout=400)
    made = volumes(docker, "still-k-control-plane")
    assert made
    docker("pause", "still-k-control-plane")
    eventually(lambda: fluxlab.run("status", "--lab=still").returncode == 1, what="status notices")
    assert "control-plane is dead\n  container still-k-control-plane is paused" in fluxlab.run("status").stdout
    assert "started again: k/control-plane" in fluxlab.run("up", "--name=still").stderr
    fluxlab.ok("wait", "--lab=still")
    os.kill(supervisor(fluxlab, "still").pid, signal.SIGKILL)
    fluxlab.ok("up", "--name=still", timeout=400)
    fluxlab.ok("wait", "--lab=still")
    fluxlab.ok("down", "still")
    assert made.isdisjoint(docker("volume", "ls", "--quiet").split())


@pytest.mark.parametrize("victim", ["caller", "supervisor"])
def test_who_is_killed_while_nodes_are_made_leaves_nothing(
    fluxlab: CommandLine, docker: Callable[..., str], victim: str
) -> None:
    with fluxlab.start("up", lab_file(fluxlab, "cut")) as starting:
        wait_until(lambda: "cut-k" in docker("ps", "--format={{.Names}}"), what="there is a node", timeout_seconds=60)
        os.kill(starting.pid if victim == "caller" else supervisor(fluxlab, "cut").pid, signal.SIGKILL)
        starting.wait(60)
    fluxlab.ok("down", "--all")
    assert "cut-k" not in docker("ps", "--all", "--format={{.Names}}")
