from pathlib import Path
from types import MappingProxyType

import pytest
from tools.image_archives import Image
from tools.workload_images.components import WORKLOAD_COMPONENTS
from tools.workload_images.images import images, tagged
from tools.workload_images.rendered import Use, uses

from fluxlab.toolchain import Toolchain
from fluxlab.toolchain.components import CONTROLLERS

MANIFESTS = """
kind: Deployment
spec:
  template:
    spec:
      initContainers: [{name: wait, image: busybox, command: [sh, -c, "true"]}]
      containers:
      - {name: flagd, image: "example.test/flagd:v1", command: [/flagd-build, start], ports: [{containerPort: 8013}]}
      - {name: ui, image: "example.test/demo:1-ui"}
---
kind: ConfigMap
data: {image: not-one}
---
kind: DaemonSet
spec: {template: {spec: {containers: [{name: other, image: busybox}]}}}
---
kind: Pod
spec: {containers: [{name: c, image: "example.test/demo:1-ui", ports: [{containerPort: 80}, {containerPort: 80}]}]}
---
"""


def programs(folder: Path) -> Toolchain:
    names = [*CONTROLLERS, "standin", "agent", "sh"]
    return Toolchain(
        key="key",
        programs=MappingProxyType({name: folder / name for name in names}),
        versions=MappingProxyType(dict.fromkeys(names, "1")),
    )


def made(image: str, tmp_path: Path, **expected: tuple[str, ...] | tuple[int, ...]) -> Image:
    fields = {"containers": ("c",), "commands": (), "ports": (), **expected}
    return images([Use(image=image, **fields)], programs=programs(tmp_path), busybox=tmp_path / "busybox")[0]  # type: ignore[arg-type]


def paths(image: Image) -> set[str]:
    return {member.path for layer in image.layers for member in getattr(layer, "members", ())}


def test_all_images_of_all_workloads_are_found_with_what_is_expected_of_them() -> None:
    assert uses(MANIFESTS) == [
        Use(image="busybox", containers=("wait", "other"), commands=(), ports=()),
        Use(image="example.test/demo:1-ui", containers=("ui", "c"), commands=(), ports=(80,)),
        Use(image="example.test/flagd:v1", containers=("flagd",), commands=("/flagd-build",), ports=(8013,)),
    ]


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("postgres:18.4", "docker.io/library/postgres:18.4"),
        ("otel/collector:1", "docker.io/otel/collector:1"),
        ("ghcr.io/fluxcd/flux:v1", "ghcr.io/fluxcd/flux:v1"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
    ],
)
def test_a_short_name_is_that_of_the_default_registry(image: str, full: str) -> None:
    assert tagged(image) == full


def test_a_controller_of_flux_stands_for_itself_and_is_not_root(tmp_path: Path) -> None:
    image = made("ghcr.io/fluxcd/source-controller:v1.9.3", tmp_path)
    assert image.entrypoint == ("/usr/local/bin/source-controller",)
    assert image.user == "65534:65534"


def test_a_component_is_told_its_name_and_ports_and_found_under_its_commands(tmp_path: Path) -> None:
    image = made(
        "example.test/flagd:v1", tmp_path, containers=("flagd",), commands=("/flagd-build",), ports=(8013, 8016)
    )
    assert image.entrypoint == ("/usr/local/bin/standin",)
    assert (image.environment["STANDIN_NAME"], image.environment["STANDIN_PORTS"]) == ("flagd", "8013,8016")
    assert "flagd-build" in paths(image)


def test_the_agent_is_a_program_of_its_own(tmp_path: Path) -> None:
    assert made("example.test/public/mediator:0.0.136", tmp_path).entrypoint == ("/usr/local/bin/agent",)
    assert made("example.test/demo:3.0.0-agent", tmp_path).entrypoint == ("/usr/local/bin/standin",)


def test_init_containers_find_a_shell_and_an_nc_that_can_look(tmp_path: Path) -> None:
    image = made("busybox", tmp_path)
    assert image.names == ("docker.io/library/busybox:latest",)
    assert {"bin/sh", "bin/nc", "bin/cp", "bin/sleep"} <= paths(image)


def test_every_program_has_a_version_and_checksums() -> None:
    for component in WORKLOAD_COMPONENTS:
        assert component.version
        assert (component.folder / "go.sum").exists()
