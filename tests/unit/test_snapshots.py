"""A snapshot says what is in it; one that was made by hand cannot choose where its files go."""

import hashlib
import json
import os
import subprocess
import tarfile
from contextlib import AbstractContextManager
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


def saved(root: Path, folder: LabFolder | None = None, *, target: Path | None = None, unchanged: bool = True) -> Path:
    target = target or root / "snapshot"
    save(
        folder or lab(root),
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


def copied(root: Path, folder: LabFolder) -> set[str]:
    """The places of what a snapshot brings along to another lab."""
    copy = LabFolder(root / "copy")
    unpack(saved(root, folder), copy, toolchain=VERSIONS)
    return {path.relative_to(copy.root).as_posix() for path in copy.root.rglob("*") if path.is_file()}


def test_a_branch_a_tag_and_a_blob_come_along_whatever_they_are_called(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    git = ("git", f"--git-dir={folder.repositories / 'fleet.git'}")
    subprocess.run([*git, "init", "--quiet", "--bare"], check=True)
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    tree = subprocess.run([*git, "mktree"], input=b"", capture_output=True, check=True).stdout.decode().strip()
    made = subprocess.run([*git, *author, "commit-tree", "-m", "x", tree], capture_output=True, check=True)
    commit = made.stdout.decode().strip()
    refs = {"refs/heads/main", "refs/heads/info/x", "refs/tags/info/1", "refs/heads/objects/info/y"}
    for ref in refs:
        subprocess.run([*git, "update-ref", ref, commit], check=True)
    (folder.root / "registry/data/info").mkdir()
    (folder.root / "registry/data/info/link").write_text("x")
    names = copied(tmp_path, folder)
    assert {name.removeprefix("git/fleet.git/") for name in names if "/refs/" in name} == refs
    assert "registry/data/info/link" in names


def test_what_git_keeps_for_itself_does_not_come_along(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    for name in ("objects/info/alternates", "HEAD.lock", "refs/heads/main.lock", "config"):
        file = folder.repositories / "fleet.git" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    assert {name for name in copied(tmp_path, folder) if name.startswith("git/")} == {
        "git/fleet.git/HEAD",
        "git/fleet.git/objects/ab/cd",
    }


def ended() -> int:
    """The pid of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_a_killed_save_left_goes_and_nothing_of_others(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    places = tmp_path / "[a]"
    places.mkdir()
    left = {places / f".lab[1].{pid}" for pid in (ended(), os.getpid())}
    others = {places / name for name in (".lab[1].1a", ".lab[1].²", f".lab1.{ended()}", f".lab[1].x.{ended()}")}
    others |= {places / f".lab[1].{os.getppid()}", places / f".lab[1].{10**30}"}
    for file in left | others:
        file.write_text("secret")
    target = saved(tmp_path, folder, target=places / "lab[1]")
    assert set(places.iterdir()) == {target, *others}
    assert read(target).commit == "c" * 40


def test_a_file_that_cannot_be_read_is_named_and_the_target_is_not_blamed(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    chart = folder.charts / "x" / "url"
    chart.unlink()
    chart.symlink_to("/proc/self/mem")  # which anybody may open and nobody can read from its beginning
    with pytest.raises(FluxlabError, match=r"charts/x/url cannot be read") as caught:
        saved(tmp_path, folder)
    assert "Input/output error" in str(caught.value)
    assert not (tmp_path / "snapshot").exists()


def test_a_file_that_changes_while_it_is_saved_makes_it_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab(tmp_path)
    blob = folder.registry / "data" / "docker" / "blob"

    def changed(path: Path, *, level: int, mode: int) -> AbstractContextManager[tarfile.TarFile]:
        blob.write_bytes(b"other")  # of the same length
        return compressed(path, level=level, mode=mode)

    monkeypatch.setattr("fluxlab.snapshots.compressed", changed)
    with pytest.raises(FluxlabError, match=r"docker/blob changed meanwhile"):
        saved(tmp_path, folder)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


def test_a_snapshot_that_cannot_be_read_to_its_end_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "broken"
    file.symlink_to("/proc/self/mem")
    for use in (read, lambda broken: unpack(broken, LabFolder(tmp_path / "copy"), toolchain=VERSIONS)):
        with pytest.raises(FluxlabError, match="broken cannot be read") as caught:
            use(file)
        assert "Input/output error" in str(caught.value)


def test_a_file_that_was_altered_in_the_archive_is_refused(tmp_path: Path) -> None:
    file = forged(tmp_path, files={"charts/a": b"text"}, stored={"charts/a": b"tExt"})
    with pytest.raises(SnapshotRefusedError, match="digest of 'charts/a'"):
        unpack(file, LabFolder(tmp_path / "copy"), toolchain=VERSIONS)


def test_a_push_meanwhile_makes_it_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(FluxlabError, match="pushed meanwhile"):
        saved(tmp_path, unchanged=False)
    assert not (tmp_path / "snapshot").exists()


def forged(
    root: Path,
    *,
    files: dict[str, bytes],
    registries: tuple[str, ...] = (),
    stored: dict[str, bytes] | None = None,
) -> Path:
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
        for name, text in (stored or files).items():
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


def test_where_no_snapshot_can_be_written_is_named(tmp_path: Path) -> None:
    plain = tmp_path / "file"
    plain.write_text("")
    with pytest.raises(FluxlabError, match=f"{plain}/snapshot cannot be written"):
        saved(tmp_path, target=plain / "snapshot")


def test_a_snapshot_is_its_owners_only_from_its_first_byte_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []

    def looked(archive: tarfile.TarFile, name: str, content: bytes) -> None:
        modes.extend(file.stat().st_mode & 0o777 for file in tmp_path.glob(".snapshot.*"))
        add(archive, name, content)

    monkeypatch.setattr("fluxlab.snapshots.add", looked)
    monkeypatch.setattr("os.chmod", None)  # nobody mends it afterwards
    mask = os.umask(0)
    try:
        saved(tmp_path)
    finally:
        os.umask(mask)
    assert set(modes) == {0o600}
