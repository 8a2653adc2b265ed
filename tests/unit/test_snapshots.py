"""A snapshot says what is in it; one that was made by hand cannot choose where its files go."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fluxlab.errors import FluxlabError
from fluxlab.snapshots import Snapshot, SnapshotRefusedError, _File, read, save, unpack
from fluxlab.spec import LabSpec
from fluxlab.state import LabFolder
from fluxlab.toolchain.archives import NAME, add, compressed

VERSIONS = {"etcd": "3.6.14", "flux": "2.9.2"}


def lab(root: Path) -> LabFolder:
    folder = LabFolder(root / "lab")
    for name, content in {
        "clusters/flux-playground/artifacts/a.tar.gz": b"artifact",
        "git/fleet.git/HEAD": b"ref: refs/heads/main\n",
        "git/fleet.git/objects/ab/cd": b"blob",
        "git/fleet.git/hooks/post-receive": b"#!/bin/sh",
        "git/fleet.token": b"a-token",
        "charts/x/url": b"https://charts.example.com",
        "registry/data/docker/blob": b"layer",
        "registry/config.json": b"a secret of the registry",
        "registry/hosts/ghcr.io/.keep": b"",
    }.items():
        file = folder.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (root / "etcd").mkdir()
    (root / "etcd" / "flux-playground.db").write_bytes(b"database")
    return folder


def saved(root: Path, *, unchanged: bool = True) -> Path:
    target = root / "snapshot"
    save(
        lab(root),
        LabSpec(),
        commit="c" * 40,
        toolchain=VERSIONS,
        etcd=root / "etcd",
        target=target,
        unchanged=lambda: unchanged,
    )
    return target


def test_what_was_saved_is_unpacked_and_nothing_that_is_the_labs_own(tmp_path: Path) -> None:
    file = saved(tmp_path)
    copy = LabFolder(tmp_path / "copy")
    snapshot = unpack(file, copy, toolchain=VERSIONS)
    assert snapshot == read(file)
    found = {
        path.relative_to(copy.root).as_posix(): path.read_bytes() for path in copy.root.rglob("*") if path.is_file()
    }
    assert found == {
        "clusters/flux-playground/snapshot.db": b"database",
        "clusters/flux-playground/artifacts/a.tar.gz": b"artifact",
        "git/fleet.git/HEAD": b"ref: refs/heads/main\n",
        "git/fleet.git/objects/ab/cd": b"blob",
        "charts/x/url": b"https://charts.example.com",
        "registry/data/docker/blob": b"layer",
    }
    assert (copy.registry / "hosts" / "ghcr.io").is_dir()


def test_a_push_meanwhile_makes_it_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(FluxlabError, match="pushed meanwhile"):
        saved(tmp_path, unchanged=False)
    assert not (tmp_path / "snapshot").exists()


def forged(root: Path, *, files: dict[str, bytes], registries: tuple[str, ...] = ()) -> Path:
    target = root / "forged"
    records = {name: _File(sha256=hashlib.sha256(text).hexdigest(), size=len(text)) for name, text in files.items()}
    snapshot = Snapshot(
        created=datetime.now(UTC),
        commit="c" * 40,
        spec=LabSpec(),
        toolchain=VERSIONS,
        registries=(),
        files=records,
    )
    with compressed(target, level=1) as archive:
        add(archive, NAME, json.dumps({**snapshot.model_dump(mode="json"), "registries": registries}).encode())
        for name, text in files.items():
            add(archive, name, text)
    return target


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/passwd",
        "charts/../../outside",
        "clusters/other/artifacts/a",
        "clusters/flux-playground/kubeconfig",
        "git/fleet.git/hooks/post-receive",
        "git/fleet.git/config",
        "git/fleet.git/objects/info/alternates",
        "git/other.git/HEAD",
        "registry/config.json",
        "way-out.sh",
        "charts//x",
        "charts/a\\b",
    ],
)
def test_a_forged_snapshot_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    file = forged(tmp_path, files={name: b"x"})
    with pytest.raises(SnapshotRefusedError, match="no snapshot holds"):
        unpack(file, LabFolder(tmp_path / "copy"), toolchain=VERSIONS)
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "outside").exists()


def test_a_forged_file_that_is_also_a_folder_is_refused(tmp_path: Path) -> None:
    file = forged(tmp_path, files={"charts/a": b"x", "charts/a/b": b"y"})
    with pytest.raises(SnapshotRefusedError):
        unpack(file, LabFolder(tmp_path / "copy"), toolchain=VERSIONS)


@pytest.mark.parametrize("host", ["..", "a/b", "", "a\0b"])
def test_a_forged_registry_cannot_name_another_folder(tmp_path: Path, host: str) -> None:
    file = forged(tmp_path, files={}, registries=(host,))
    with pytest.raises(SnapshotRefusedError):
        unpack(file, LabFolder(tmp_path / "copy"), toolchain=VERSIONS)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({**VERSIONS, "etcd": "3.7.0"}, "etcd 3.6.14 instead of 3.7.0"),
        ({"etcd": "3.6.14"}, "flux 2.9.2 instead of none"),
        ({**VERSIONS, "helm": "4"}, "helm missing instead of 4"),
    ],
)
def test_another_toolchain_is_named(tmp_path: Path, versions: dict[str, str], said: str) -> None:
    with pytest.raises(SnapshotRefusedError, match=said):
        unpack(saved(tmp_path), LabFolder(tmp_path / "copy"), toolchain=versions)
