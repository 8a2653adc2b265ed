"""What the parts of a node image say of each other: names and versions that must be the same in several places."""

import re

import yaml
from tools.node_image import images
from tools.node_image.__main__ import key
from tools.node_image.components import NODE_COMPONENTS
from tools.node_image.node import OVERLAY, PLACES

from fluxlab.toolchain import COMPONENTS, KIND_COMPONENTS

BY_NAME = {component.name: component for component in NODE_COMPONENTS}


def overlay(name: str) -> str:
    return (OVERLAY / name).read_text()


def containers(manifest: str) -> list[str]:
    return re.findall(r"image: \"?(docker\.io/fluxlab/[^\s\"]+)|--helper-image=(\S+)", overlay(manifest))


def test_all_programs_of_kubernetes_are_of_the_version_of_the_toolchain() -> None:
    ours = {c.version for c in (*COMPONENTS, *NODE_COMPONENTS) if c.module == "k8s.io/kubernetes"}
    assert len(ours) == 1


def test_every_component_has_a_version_and_checksums() -> None:
    for component in (*NODE_COMPONENTS, *KIND_COMPONENTS):
        assert re.fullmatch(r"\d+\.\d+\.\d+", component.version), component.name
        assert (component.folder / "go.sum").exists()


def test_what_is_put_into_the_node_is_built() -> None:
    assert {name for names in PLACES.values() for name in names} <= set(BY_NAME)


def test_the_sandbox_of_containerd_is_the_image_that_is_loaded() -> None:
    assert f'sandbox_image = "{images.PAUSE}"' in overlay("etc/containerd/config.toml")


def test_the_manifests_name_images_that_are_loaded() -> None:
    version = BY_NAME["local-path-provisioner"].version
    loaded = {f"{images.OWN}/podnet:v1", f"{images.OWN}/busybox:v1", f"{images.OWN}/local-path-provisioner:v{version}"}
    named = {
        name
        for manifest in ("kind/manifests/default-cni.yaml", "kind/manifests/default-storage.yaml")
        for found in containers(manifest)
        for name in found
        if name
    }
    assert named == loaded


def test_the_manifests_are_what_kind_looks_for() -> None:
    cni = overlay("kind/manifests/default-cni.yaml")
    assert "would you kindly template this file" in cni
    assert "would you kindly patch this file" in cni
    for name in ("default-cni.yaml", "default-storage.yaml"):
        assert all(document["kind"] for document in yaml.safe_load_all(overlay(f"kind/manifests/{name}")))


def test_scripts_of_the_overlay_may_be_run() -> None:
    for name in ("usr/local/bin/entrypoint", "kind/bin/kubelet-cgroups"):
        assert (OVERLAY / name).stat().st_mode & 0o111


def test_the_key_is_the_same_each_time() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", key(bare=True))
    assert key(bare=True) == key(bare=True) != key(bare=False) == key(bare=False)
