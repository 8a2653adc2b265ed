"""What the flux command line embeds: Flux's own manifests, put together offline from the modules of its parts."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from fluxlab.commands import run

from .errors import ToolchainError

# flux2's bases name what each controller's release publishes, which is its config/crd and config/manager, built.
RELEASE = re.compile(
    r"https://github\.com/fluxcd/(?P<name>[a-z-]+)/releases/download/v(?P<version>[^/]+)/"
    r"(?P=name)\.(?P<part>crds|deployment)\.yaml"
)
FOLDERS = {"crds": "crd", "deployment": "manager"}
SHARED = ("rbac", "policies")


def write_manifests(
    *,
    module: Path,
    controllers: Mapping[str, Path],
    versions: Mapping[str, str],
    kubectl: Path,
    scratch: Path,
    destination: Path,
) -> None:
    """Write one file for each controller, one for RBAC and one for network policies: what flux2's bundle.sh makes.

    `module` is the source of flux2, `controllers` those of the controllers. The extra controllers (image automation,
    source-watcher) are left out: `flux install --components-extra` fails for want of their files.
    """
    destination.mkdir(parents=True)
    for name, source in controllers.items():
        _copy(source / "config/crd", scratch / name / "crd")
        _copy(source / "config/manager", scratch / name / "manager")
        base = _copy(module / "manifests/bases" / name, scratch / "bases" / name)
        _point_at_sources(base / "kustomization.yaml", versions=versions)
        _kustomize(kubectl, base, destination / f"{name}.yaml")
    for name in SHARED:
        _kustomize(kubectl, _copy(module / "manifests" / name, scratch / name), destination / f"{name}.yaml")


def export(flux: Path, *, home: Path) -> str:
    """What `flux install --export` prints. The proxy that nobody answers proves that it needs no network."""
    nowhere = "http://127.0.0.1:9"
    environment = {"HOME": str(home), "KUBECONFIG": "/dev/null", "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere}
    return run([flux, "install", "--export"], environment=environment).stdout


def _point_at_sources(kustomization: Path, *, versions: Mapping[str, str]) -> None:
    """Replace the release URLs by the folders that they were built from. Raises ToolchainError on another version."""

    def local(found: re.Match[str]) -> str:
        name, version = found["name"], found["version"]
        if versions.get(name) != version:
            ours = versions.get(name, "none")
            raise ToolchainError(f"this flux installs {name} {version}, but the toolchain pins {ours}")
        return f"../../{name}/{FOLDERS[found['part']]}"

    kustomization.write_text(RELEASE.sub(local, kustomization.read_text()))


def _kustomize(kubectl: Path, folder: Path, target: Path) -> None:
    target.write_text(run([kubectl, "kustomize", folder], environment={"KUBECONFIG": "/dev/null"}).stdout)


def _copy(source: Path, target: Path) -> Path:
    """Copy without the write protection of the module cache."""
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)
    return target
