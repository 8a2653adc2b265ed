from pathlib import Path

import pytest

from fluxlab.toolchain.errors import ToolchainError
from fluxlab.toolchain.flux_cli import write_manifests

URL = "https://github.com/fluxcd/{name}/releases/download/v{version}/{name}.{part}.yaml"


def module_tree(folder: Path, *, name: str = "source-controller", version: str = "1.9.3") -> None:
    """flux2 and one controller as they are in the module cache: write-protected."""
    urls = [URL.format(name=name, version=version, part=part) for part in ("crds", "deployment")]
    texts = {
        f"flux2/manifests/bases/{name}/kustomization.yaml": f"resources: [{urls[0]}, {urls[1]}, account.yaml]\n",
        f"flux2/manifests/bases/{name}/account.yaml": "kind: ServiceAccount\n",
        "flux2/manifests/rbac/kustomization.yaml": "resources: [roles]\n",
        "flux2/manifests/policies/kustomization.yaml": "resources: [policies]\n",
        f"{name}/config/crd/kustomization.yaml": "resources: [crds]\n",
        f"{name}/config/manager/kustomization.yaml": "resources: [deployment]\n",
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    for written in folder.rglob("*"):
        written.chmod(0o555 if written.is_dir() else 0o444)


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """Prints the kustomization that it is given."""
    script = tmp_path / "kubectl"
    script.write_text('#!/bin/sh\ntest "$1" = kustomize || exit 9\ncat "$2/kustomization.yaml"\n')
    script.chmod(0o755)
    return script


def write(tmp_path: Path, kubectl: Path, *, versions: dict[str, str]) -> Path:
    write_manifests(
        module=tmp_path / "modules/flux2",
        controllers={name: tmp_path / "modules" / name for name in versions},
        versions=versions,
        kubectl=kubectl,
        scratch=tmp_path / "scratch",
        destination=tmp_path / "embedded",
    )
    return tmp_path / "embedded"


def test_one_file_is_written_for_each_controller_and_for_what_they_share(tmp_path: Path, kubectl: Path) -> None:
    module_tree(tmp_path / "modules")
    written = write(tmp_path, kubectl, versions={"source-controller": "1.9.3"})
    assert {path.name for path in written.iterdir()} == {"source-controller.yaml", "rbac.yaml", "policies.yaml"}


def test_release_urls_are_replaced_by_the_folders_that_the_releases_are_made_of(tmp_path: Path, kubectl: Path) -> None:
    module_tree(tmp_path / "modules")
    text = (write(tmp_path, kubectl, versions={"source-controller": "1.9.3"}) / "source-controller.yaml").read_text()
    assert text == "resources: [../../source-controller/crd, ../../source-controller/manager, account.yaml]\n"
    base = tmp_path / "scratch/bases/source-controller"
    assert (base / "../../source-controller/crd/kustomization.yaml").read_text() == "resources: [crds]\n"
    assert (base / "../../source-controller/manager/kustomization.yaml").read_text() == "resources: [deployment]\n"


def test_a_flux_that_installs_another_controller_than_the_pinned_one_is_an_error(tmp_path: Path, kubectl: Path) -> None:
    module_tree(tmp_path / "modules", version="1.9.4")
    with pytest.raises(
        ToolchainError, match=r"this flux installs source-controller 1\.9\.4, but the toolchain pins 1\.9\.3"
    ):
        write(tmp_path, kubectl, versions={"source-controller": "1.9.3"})
