"""A snapshot says what is in it; one that was made by hand cannot choose where its files go."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard
from tests.unit.memory import BOMBS, MEGABYTE, pack_bomb, run_in_little_memory

from fluxlab import snapshots
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


def test_what_is_still_being_written_does_not_come_along(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    repository, of_host = (
        folder.repositories / "fleet.git",
        folder.registry / "data/docker/registry/v2/repositories/h/x",
    )
    finished = {folder.sinks / "hooks.slack.com", of_host / "_manifests/tags/a.tmp/current/link"}
    unfinished = {
        repository / "objects/tmp_objdir-incoming-a1/ab/cd",  # as git 2.34 and later receive a push
        repository / "objects/incoming-a1/ab/cd",  # as those before it did
        repository / "objects/ab/tmp_obj_a1",
        repository / "objects/pack/tmp_pack_a1",
        repository / "objects/pack/.tmp-17-pack-ab.pack",  # git repack
        folder.sinks / ".hooks.slack.com.17.18",
        folder.charts / "x" / ".adding-a1",
        of_host / "_uploads/1/data",
        of_host / "_manifests/tags/1.0.0/current/link.1b4e28ba.tmp",
    }
    for file in finished | unfinished:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    before = {path.relative_to(folder.root).as_posix() for path in finished}
    found = copied(tmp_path, folder)
    assert before <= found
    assert not {path.relative_to(folder.root).as_posix() for path in unfinished} & found


def test_a_folder_that_goes_while_files_are_looked_for_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab(tmp_path)
    going = folder.registry / "data" / "going"
    (going / "on").mkdir(parents=True)

    def listed(place: str | Path | int) -> Iterator[os.DirEntry[str]]:
        if str(place) == str(going) and going.exists():
            shutil.rmtree(going)
        return listing(place)

    listing = os.scandir
    monkeypatch.setattr("os.scandir", listed)
    assert "registry/data/docker/blob" in copied(tmp_path, folder)


def test_a_folder_that_cannot_be_listed_makes_it_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lab(tmp_path)

    def listed(place: str | Path) -> Iterator[os.DirEntry[str]]:
        if str(place) == str(folder.charts):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(place))
        return listing(place)

    listing = os.scandir
    monkeypatch.setattr("os.scandir", listed)
    with pytest.raises(FluxlabError, match=r"no snapshot was made: .*/charts cannot be read"):
        saved(tmp_path, folder)


# -- beside what others do meanwhile -----------------------------------------------------------------------------------


def git(*words: str | Path) -> str:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(["git", *author, *words], capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository of two branches, one of which has a packed and a newer loose name, and a clone that
    is ahead of it."""
    folder = tmp_path_factory.mktemp("prepared")
    bare, clone = folder / "fleet.git", folder / "clone"
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    git("init", "--quiet", "--initial-branch=main", clone)
    for branch in ("main", "feature", "feature", ""):
        (clone / "file").write_bytes(os.urandom(8))
        git("-C", clone, "add", "file")
        git("-C", clone, "commit", "--quiet", "--message=x")
        if branch:
            git(f"--git-dir={bare}", "pack-refs", "--all")
            git("-C", clone, "push", "--quiet", bare, f"HEAD:refs/heads/{branch}")
    return folder


def served(folder: LabFolder, prepared: Path) -> Path:
    """The lab's repository, and in it what was prepared."""
    repository = folder.repositories / "fleet.git"
    shutil.rmtree(repository)
    return shutil.copytree(prepared / "fleet.git", repository)


def branches(repository: Path) -> str:
    """Each branch of a repository, and its commit."""
    return git(f"--git-dir={repository}", "for-each-ref", "--format=%(refname) %(objectname)")


def in_the_midst(monkeypatch: pytest.MonkeyPatch, function: str, moment: float, act: Callable[[], object]) -> None:
    """Have something happen just before a call of a function of snapshots (0: the first), or (0.5) just after it."""
    calls, plain = count(), getattr(snapshots, function)

    def called(argument: object) -> object:
        now = next(calls)
        if now == moment:
            act()
        found = plain(argument)
        if now == moment - 0.5:
            act()
        return found

    monkeypatch.setattr(snapshots, function, called)


MOMENTS = [("_record", 0), *(("_opened_part", number / 2) for number in range(12))]


@pytest.mark.parametrize(("function", "moment"), MOMENTS)
def test_a_push_to_another_branch_meanwhile_leaves_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Path, function: str, moment: float
) -> None:
    folder = lab(tmp_path)
    repository = served(folder, prepared)
    before = branches(repository)
    push = ("-C", prepared / "clone", "push", "--quiet", repository, "HEAD:refs/heads/feature")
    in_the_midst(monkeypatch, function, moment, lambda: git(*push))
    copied(tmp_path, folder)
    copy = tmp_path / "copy/git/fleet.git"
    git(f"--git-dir={copy}", "fsck", "--full", "--strict")
    assert branches(repository) != before
    assert branches(copy) in (before, branches(repository))


@pytest.mark.parametrize("words", [("pack-refs", "--all"), ("gc", "--quiet", "--prune=now")])
@pytest.mark.parametrize("moment", [number / 2 for number in range(12)])
def test_of_a_repository_that_is_tidied_meanwhile_there_is_all_or_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Path, words: tuple[str, ...], moment: float
) -> None:
    folder = lab(tmp_path)
    repository = served(folder, prepared)
    in_the_midst(monkeypatch, "_opened_part", moment, lambda: git(f"--git-dir={repository}", *words))
    assert_whole_or_refused(tmp_path, folder)


def assert_whole_or_refused(root: Path, folder: LabFolder) -> None:
    refused = ""
    try:
        copied(root, folder)
    except FluxlabError as error:
        refused = error.hint
    if refused:
        assert refused == "try again"
        return
    copy = root / "copy/git/fleet.git"
    git(f"--git-dir={copy}", "fsck", "--full", "--strict")
    assert branches(copy) == branches(folder.repositories / "fleet.git")


@pytest.mark.parametrize("look", [1, 2])
def test_objects_that_are_packed_once_the_packs_were_listed_are_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: Path, look: int
) -> None:
    folder = lab(tmp_path)
    repository = served(folder, prepared)
    seen: list[str] = []

    def listed(place: str | Path) -> Iterator[os.DirEntry[str]]:
        packs = str(repository / "objects/pack")
        if seen.count(packs) == look and seen[-1] == packs:
            git(f"--git-dir={repository}", "gc", "--quiet", "--prune=now")
        seen.append(str(place))
        return listing(place)

    listing = os.scandir
    monkeypatch.setattr("os.scandir", listed)
    assert_whole_or_refused(tmp_path, folder)
    assert seen.count(str(repository / "objects/pack")) >= look


TAGS = "registry/data/docker/registry/v2/repositories/ghcr.io/x/_manifests"


def push_chart(folder: LabFolder, tag: str, text: str) -> None:
    """Store as distribution does (registry/storage/{blobwriter,manifeststore,tagstore}.go), in its order."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    for name, content in {
        f"registry/data/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data": text,
        f"{TAGS}/revisions/sha256/{digest}/link": f"sha256:{digest}",
        f"{TAGS}/tags/{tag}/index/sha256/{digest}/link": f"sha256:{digest}",
        f"{TAGS}/tags/{tag}/current/link": f"sha256:{digest}",
    }.items():
        (folder.root / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / name).write_text(content)


@pytest.mark.parametrize(("function", "moment"), MOMENTS)
def test_a_chart_that_is_pushed_meanwhile_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, moment: float
) -> None:
    folder = lab(tmp_path)
    push_chart(folder, "1.0.0", "first")

    def push() -> None:
        push_chart(folder, "1.0.0", "moved")
        push_chart(folder, "2.0.0", "new")

    in_the_midst(monkeypatch, function, moment, push)
    copied(tmp_path, folder)
    tags = list((tmp_path / "copy" / TAGS / "tags").iterdir())
    assert tags
    for tag in tags:
        digest = (tag / "current/link").read_text().removeprefix("sha256:")
        assert (tmp_path / "copy" / TAGS / "revisions/sha256" / digest / "link").exists()
        blobs = tmp_path / "copy/registry/data/docker/registry/v2/blobs/sha256"
        assert (blobs / digest[:2] / digest / "data").exists()


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


@pytest.mark.parametrize("content", [b"", b"lay", b"layers and layers"])
def test_a_file_that_shrinks_or_grows_while_it_is_saved_makes_it_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    folder = lab(tmp_path)
    blob = folder.registry / "data" / "docker" / "blob"

    def opened(source: Path | bytes) -> BinaryIO:
        found = opening(source)
        if source == blob and next(times):  # not when its digest is taken
            blob.write_bytes(content)
        return found

    times, opening = count(), snapshots._opened_part
    monkeypatch.setattr(snapshots, "_opened_part", opened)
    with pytest.raises(FluxlabError, match=r"docker/blob changed meanwhile"):
        saved(tmp_path, folder)
    assert not [path for path in tmp_path.iterdir() if path.is_file()]


SAVED = """
os.cpu_count = lambda: 1  # each thread that compresses takes memory
folder, etcd, target = map(Path, sys.argv[1:])
save(LabFolder(folder), LabSpec(), commit="c" * 40, toolchain={}, etcd=etcd, target=target, unchanged=lambda: True)
print("saved")
"""


def test_a_large_file_is_saved_in_little_memory(tmp_path: Path) -> None:
    folder = lab(tmp_path)
    layer = folder.registry / "data" / "docker" / "layer"
    with layer.open("wb") as file:
        file.write(b"layer")
        file.truncate(192 * MEGABYTE)
    imports = "import os\nfrom fluxlab.snapshots import save\nfrom fluxlab.spec import LabSpec\n"
    imports += "from fluxlab.state import LabFolder"
    words: list[str | Path] = [folder.root, tmp_path / "etcd", tmp_path / "snapshot"]
    # Most of it is the compression's.
    assert run_in_little_memory(imports=imports, code=SAVED, words=words, megabytes=256) == "saved"
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    found = read(tmp_path / "snapshot").files["registry/data/docker/layer"]
    assert found == _File(sha256=digest, size=192 * MEGABYTE)


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


def long_name(length: int) -> str:
    """A name of so many bytes, no part of which is too long."""
    return ("charts/" + f"{'x' * 200}/" * 21)[: length - 1] + "x"


def test_names_as_long_as_they_can_be_are_unpacked(tmp_path: Path) -> None:
    copy = LabFolder(tmp_path / "copy")
    longest = os.pathconf(tmp_path, "PC_PATH_MAX") - 1 - len(os.fsencode(copy.root)) - 1
    files = {"charts/" + "x" * 255: b"x", "charts/" + "ä" * 127: b"y", long_name(longest): b"z"}
    unpack(forged(tmp_path, files=files), copy, toolchain=VERSIONS)
    assert {name: (copy.root / name).read_bytes() for name in files} == files


@pytest.mark.parametrize("name", ["x" * 256, f"{'x' * 256}/y", "ä" * 128, long_name(4096), long_name(3990)])
def test_a_forged_name_that_is_too_long_for_a_file_is_refused(tmp_path: Path, name: str) -> None:
    deep = LabFolder(tmp_path / ("y" * 100) / "copy")
    with pytest.raises(SnapshotRefusedError, match=f"a name in it is too long for a file below {deep.root}"):
        unpack(forged(tmp_path, files={f"charts/{name}": b"x"}), deep, toolchain=VERSIONS)


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


REFUSED = """
try:
    {what}
except SnapshotRefusedError as error:
    print(error.what)
"""
SNAPSHOTS = "from fluxlab.snapshots import SnapshotRefusedError, read, unpack\nfrom fluxlab.state import LabFolder"


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_forged_description_of_a_file_takes_no_memory(tmp_path: Path, bomb: str) -> None:
    whole = (
        zstandard.ZstdDecompressor()
        .decompressobj()
        .decompress(forged(tmp_path, files={"charts/a": bytes(MEGABYTE)}).read_bytes())
    )
    file = pack_bomb(tmp_path / "bomb", bomb, before=whole[: whole.index(b"charts/a\0")])
    code = REFUSED.format(what=f"unpack(Path(sys.argv[1]), LabFolder(Path(sys.argv[2])), toolchain={VERSIONS!r})")
    said = run_in_little_memory(imports=SNAPSHOTS, code=code, words=[file, tmp_path / "copy"], megabytes=512)
    assert said.startswith(f"{file} was refused: "), said


def test_a_forged_snapshot_that_begins_with_a_name_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    file = pack_bomb(tmp_path / "bomb", "long name")
    code = REFUSED.format(what="read(Path(sys.argv[1]))")
    said = run_in_little_memory(imports=SNAPSHOTS, code=code, words=[file], megabytes=512)
    assert said.startswith(f"{file} was refused: "), said


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
