"""Whether a Docker can run nodes: what it lacks is named, with what to do; what nobody knows of it is no fault."""

import shutil
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import ImageNotFound

from fluxlab.clusters.kind_nodes import DockerError, check, node_image
from fluxlab.errors import FluxlabError

GB = 1_000_000_000
NODE = ("/usr/local/bin/entrypoint", "/sbin/init")
Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 # as shutil has it


def docker(info: dict[str, object] | None = None, **entrypoints: Sequence[str] | None) -> Any:
    """Docker's answers: of its machine, and of the images it has, each by name with what it begins with."""
    images = {name.replace("__", "/") + ":v1.34.1": begins for name, begins in entrypoints.items()}

    def get(name: str) -> object:
        if name not in images:
            raise ImageNotFound(name)
        return SimpleNamespace(attrs={"Config": {"Entrypoint": images[name]}})

    def having(name: str) -> list[object]:
        return [SimpleNamespace(tags=[tag]) for tag in images if tag.startswith(f"{name}:")]

    whole = {"MemTotal": 8 * GB, "CgroupVersion": "2", "SecurityOptions": ["name=seccomp"], **(info or {})}
    return SimpleNamespace(info=lambda: whole, images=SimpleNamespace(get=get, list=having))


def test_a_sound_docker_passes_with_and_without_an_image() -> None:
    check(docker(), wanted="")
    check(docker(kindest__node=NODE), wanted="kindest/node:v1.34.1")
    check(docker(fluxlab__node=NODE), wanted="")


def test_fluxlabs_own_image_is_taken_unless_another_is_wanted() -> None:
    client = docker(fluxlab__node=NODE, kindest__node=NODE)
    assert node_image(client, "") == "fluxlab/node:v1.34.1"
    assert node_image(client, "kindest/node:v1.34.1") == "kindest/node:v1.34.1"
    assert node_image(docker(kindest__node=NODE), "") == ""


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"MemTotal": 2 * GB}, r"Docker has 2\.0 GB of memory, and a node needs 3"),
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, "rootless Docker cannot run privileged nodes"),
        ({"CgroupVersion": "1"}, "cgroup v1, with which kubelet does not start in kind's node image"),
    ],
)
def test_a_machine_that_cannot_run_nodes_is_refused_with_the_reason(info: dict[str, object], told: str) -> None:
    with pytest.raises(DockerError, match=told) as caught:
        check(docker(info), wanted="")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("image", "starts"),
    [
        ("kindest/node:v1.34.1", True),
        ("kindest/node:v1.35.0", False),
        ("kindest/node:v1.35.0@sha256:0123", False),
        ("registry.example.com:5000/kindest/node:v1.36.2", False),
        ("fluxlab/node:v1.36.2-0123", True),
        ("registry.example.com:5000/fluxlab/node:v1.36.2", True),
        ("team/node:latest", True),  # nobody knows
    ],
)
def test_with_cgroup_v1_only_kubelets_that_start_there_are_let_through(image: str, *, starts: bool) -> None:
    told = f"Docker has no node image {image}" if starts else f"cgroup v1, .* in {image}"
    with pytest.raises(FluxlabError, match=told):
        check(docker({"CgroupVersion": "1"}), wanted=image)


def test_with_cgroup_v1_fluxlabs_own_image_does_without_being_named() -> None:
    check(docker({"CgroupVersion": "1"}, fluxlab__node=NODE), wanted="")


@pytest.mark.parametrize(
    ("begins", "told"), [(("/bin/sh", "-c"), "it begins with /bin/sh -c, and"), (None, "it begins with nothing, and")]
)
def test_an_image_that_is_none_for_nodes_is_named(begins: Sequence[str] | None, told: str) -> None:
    with pytest.raises(FluxlabError, match=r"alpine:v1\.34\.1 is no node image") as caught:
        check(docker(alpine=begins), wanted="alpine:v1.34.1")
    assert told in str(caught.value)
    assert "make node-image" in caught.value.hint


@pytest.fixture
def docker_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A folder of Docker's on a disk that is nearly full."""
    sizes = {str(tmp_path): Usage(100 * GB, 98 * GB, 2 * GB)}
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: sizes.get(str(path)) or real(path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return {"DockerRootDir": str(tmp_path)}


def test_a_full_disk_is_named(docker_root: dict[str, object]) -> None:
    with pytest.raises(DockerError, match=r"has 2\.0 GB free, and nodes need 3") as caught:
        check(docker(docker_root), wanted="")
    assert str(docker_root["DockerRootDir"]) in caught.value.what
    assert caught.value.hint == "docker system df"


def test_nothing_is_said_of_the_disk_of_another_machine(
    docker_root: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check(docker({"DockerRootDir": str(tmp_path / "not-here")}), wanted="")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    check(docker(docker_root), wanted="")
