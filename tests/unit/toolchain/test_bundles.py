import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from tests.unit.memory import pack_bomb, run_in_little_memory
from tests.unit.toolchain.conftest import Bench

from fluxlab.toolchain import DiskFullError, ToolchainError, find
from fluxlab.toolchain.bundling import bundle
from fluxlab.toolchain.contents import Contents
from fluxlab.toolchain.installing import install
from fluxlab.toolchain.unpacking import BundleRefusedError

Members = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture
def archive(bench: Bench, tmp_path: Path) -> Path:
    """A genuine bundle; afterwards the cache is empty, as on another machine."""
    bench.install()
    path = bundle(tmp_path / "genuine.tar.zst", components=bench.components).path
    bench.cache.rename(tmp_path / "maker")
    return path


def unpack(path: Path) -> Members:
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        return [(member, source.read() if (source := tar.extractfile(member)) else b"") for member in tar]


def pack(path: Path, members: Members) -> Path:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path.write_bytes(zstandard.ZstdCompressor().compress(raw.getvalue()))
    return path


def at(members: Members, ending: str) -> int:
    return next(index for index, (member, _) in enumerate(members) if member.name.endswith(ending))


def refused(bench: Bench, path: Path, reason: str, **options: str) -> BundleRefusedError:
    """That installing is refused for this reason, and nothing is left."""
    with pytest.raises(BundleRefusedError) as caught:
        install(path, components=bench.components, **options)
    assert reason in str(caught.value)
    assert str(path) in caught.value.what
    assert [child.name for child in bench.store.root.iterdir()] == [".lock"]
    return caught.value


def test_a_bundle_makes_the_same_toolchain_elsewhere(bench: Bench, archive: Path) -> None:
    installed = install(archive, components=bench.components)
    assert installed == find(components=bench.components, verify=True)
    assert installed.binary("alpha").read_text().startswith("#!/bin/sh")
    assert os.access(installed.binary("alpha"), os.X_OK)
    assert bench.leftovers() == []


def test_a_program_is_one_file_elsewhere_too_whatever_it_is_called(named: Bench, tmp_path: Path) -> None:
    named.install()
    path = bundle(tmp_path / "b", components=named.components).path
    names = [member.name.rpartition("/")[2] for member, _ in unpack(path)]
    assert names.count("first") == 1
    assert "second" not in names
    named.cache.rename(tmp_path / "maker")
    installed = install(path, components=named.components)
    assert installed.binary("first").samefile(installed.binary("second"))
    assert all(os.access(installed.binary(name), os.X_OK) for name in ("first", "second", "beta"))
    assert named.store.condition(named.entry("alpha"), verify=True).state == "installed"


def test_two_programs_in_the_place_of_one_are_refused(named: Bench, tmp_path: Path) -> None:
    named.install()
    folder = named.store.folder(named.entry("alpha"))
    (folder / "second").write_text("#!/bin/sh\necho 1.2.3, or something else\n")
    named.manifest(folder, named.entry("alpha")).write(folder)
    path = bundle(tmp_path / "b", components=named.components).path
    named.cache.rename(tmp_path / "maker")
    refused(named, path, "first and second are not one program")


def test_the_digest_that_bundle_tells_is_accepted_by_install(bench: Bench, tmp_path: Path) -> None:
    bench.install()
    written = bundle(tmp_path / "b", components=bench.components)
    assert written.sha256 == hashlib.sha256(written.path.read_bytes()).hexdigest()
    assert written.size == written.path.stat().st_size
    install(written.path, components=bench.components, expected_sha256=f"{written.sha256.upper()}\n")


def test_the_same_toolchain_gives_the_same_bytes(bench: Bench, archive: Path, tmp_path: Path) -> None:
    install(archive, components=bench.components)
    again = bundle(tmp_path / "again", components=bench.components)
    assert again.path.read_bytes() == archive.read_bytes()


def test_a_folder_as_destination_gets_a_telling_name(bench: Bench, tmp_path: Path) -> None:
    bench.install()
    written = bundle(tmp_path, components=bench.components)
    assert written.path.name.startswith("fluxlab-toolchain-linux-")
    assert written.path.name.endswith(f"-{written.key[:12]}.tar.zst")


def test_the_manifest_comes_first_and_lists_digests_licences_and_what_has_none(archive: Path) -> None:
    members = unpack(archive)
    assert members[0][0].name == "manifest.json"
    contents = Contents.parse(members[0][1])
    texts = {member.name: content for member, content in members if member.name.startswith("licences/")}
    assert texts == {
        "licences/example.test/alpha@v1.2.3/LICENSE": b"text of alpha\n",
        "licences/example.test/alpha@v1.2.3/sub/NOTICE": b"notice\n",
        "licences/example.test/beta@v1.2.3/LICENSE": b"text of beta\n",
        "licences/example.test/beta@v1.2.3/sub/NOTICE": b"notice\n",
        "licences/example.test/both@v1.0.0/LICENSE": b"text of both\n",
    }
    assert contents.without_licence == ("example.test/none@v0.1.0",)
    digests = {name: hashlib.sha256(text).hexdigest() for name, text in texts.items()}
    assert {f"licences/{name}": record.sha256 for name, record in contents.licences.items()} == digests


def test_a_damaged_toolchain_is_not_bundled(bench: Bench, tmp_path: Path) -> None:
    bench.install()
    content = bytearray(bench.path("alpha").read_bytes())
    content[-2] ^= 1
    seen = bench.path("alpha").stat()
    bench.path("alpha").write_bytes(content)
    os.utime(bench.path("alpha"), ns=(seen.st_atime_ns, seen.st_mtime_ns))
    with pytest.raises(ToolchainError, match="the toolchain is damaged"):
        bundle(tmp_path / "b", components=bench.components)
    assert not (tmp_path / "b").exists()


def test_a_bundle_that_cannot_be_written_leaves_no_part_of_it(bench: Bench, tmp_path: Path) -> None:
    bench.install()
    with pytest.raises(ToolchainError, match="cannot be written") as caught:
        bundle(tmp_path / "nowhere" / "b", components=bench.components)
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_a_full_disk_is_named_and_nothing_is_left(bench: Bench, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFullError, match="no space left on the disk of") as caught:
        install(archive, components=bench.components)
    assert str(bench.store.root) in caught.value.what
    assert "GB free" in caught.value.facts[0]
    assert bench.leftovers() == []
    with pytest.raises(DiskFullError):
        bundle_elsewhere(archive.parent / "maker", archive.parent / "other", bench, monkeypatch)
    assert not list(archive.parent.glob("*other*"))


def bundle_elsewhere(cache: Path, target: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXLAB_CACHE_DIR", str(cache))
    bundle(target, components=bench.components)


def alter_program(members: Members) -> None:
    index = at(members, "/alpha")
    member, content = members[index]
    members[index] = (member, content[:-2] + b"!\n")


def lengthen_program(members: Members) -> None:
    index = at(members, "/alpha")
    members[index] = (members[index][0], members[index][1] + b"!")


def alter_licence(members: Members) -> None:
    index = at(members, "both@v1.0.0/LICENSE")
    members[index] = (members[index][0], b"text of BOTH\n")


def lose_program(members: Members) -> None:
    del members[at(members, "/beta")]


def lose_licence(members: Members) -> None:
    del members[at(members, "both@v1.0.0/LICENSE")]


def add_file(members: Members) -> None:
    members.append((tarfile.TarInfo("extra"), b"x"))


def add_folder(members: Members) -> None:
    folder = tarfile.TarInfo("alpha")
    folder.type = tarfile.DIRTYPE
    members.append((folder, b""))


def repeat_file(members: Members) -> None:
    members.append(members[at(members, "/alpha")])


def climb_out(members: Members) -> None:
    index = at(members, "/alpha")
    members[index] = (tarfile.TarInfo("../../alpha"), members[index][1])


def start_at_root(members: Members) -> None:
    index = at(members, "/alpha")
    members[index] = (tarfile.TarInfo("/tmp/alpha"), members[index][1])  # noqa: S108


def replaced(kind: bytes) -> Callable[[Members], None]:
    def put(members: Members) -> None:
        index = at(members, "/alpha")
        other = tarfile.TarInfo(members[index][0].name)
        other.type, other.linkname = kind, "/etc/passwd"
        members[index] = (other, b"")

    return put


def manifest_last(members: Members) -> None:
    members.append(members.pop(0))


def no_manifest(members: Members) -> None:
    del members[0]


def manifest_is_no_json(members: Members) -> None:
    members[0] = (members[0][0], b"{")


def nested_manifest(members: Members) -> None:
    members[0] = (members[0][0], b"[" * 100_000)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (alter_program, "is not that of its manifest"),
        (lengthen_program, "bytes instead of"),
        (alter_licence, "is not that of its manifest"),
        (lose_program, "missing: beta-"),
        (lose_licence, "missing: licences/example.test/both@v1.0.0/LICENSE"),
        (add_file, "not in its manifest: 'extra'"),
        (add_folder, "not in its manifest: 'alpha'"),
        (repeat_file, "twice: 'alpha-"),
        (climb_out, "not in its manifest: '../../alpha'"),
        (start_at_root, "not in its manifest: '/tmp/alpha'"),
        (replaced(tarfile.SYMTYPE), "not a plain file"),
        (replaced(tarfile.LNKTYPE), "not a plain file"),
        (replaced(tarfile.CHRTYPE), "not a plain file"),
        (replaced(tarfile.FIFOTYPE), "not a plain file"),
        (replaced(tarfile.DIRTYPE), "not a plain file"),
        (manifest_last, "does not begin with manifest.json"),
        (no_manifest, "does not begin with manifest.json"),
        (manifest_is_no_json, "manifest.json cannot be read"),
        (nested_manifest, "manifest.json cannot be read"),
    ],
)
def test_a_bundle_with_other_content_is_refused(
    bench: Bench, archive: Path, change: Callable[[Members], None], reason: str
) -> None:
    members = unpack(archive)
    change(members)
    error = refused(bench, pack(archive.with_name("changed"), members), reason)
    assert "fluxlab toolchain bundle" in error.hint


def rewrite(archive: Path, change: Callable[[dict[str, object]], None]) -> Path:
    members = unpack(archive)
    fields = json.loads(members[0][1])
    change(fields)
    members[0] = (members[0][0], json.dumps(fields).encode())
    return pack(archive.with_name("rewritten"), members)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("platform", "plan9/mips", "it is for plan9/mips, and this machine is linux/"),
        ("key", "0" * 64, "its key is not that of its components"),
        ("kind", "something", "another kind or format of file"),
        ("format", 2, "another kind or format of file"),
        ("components", {}, "alpha is not in it; beta is not in it"),
        ("components", [], "components is no object"),
        ("licences", {"x": {"sha256": "y", "size": 10**11}}, "more than any toolchain does"),
        ("licences", {"x": {"sha256": "y", "size": -1}}, "size is no whole number"),
        ("without_licence", [1], "no list of texts"),
    ],
)
def test_a_bundle_for_something_else_is_refused(
    bench: Bench, archive: Path, field: str, value: object, reason: str
) -> None:
    refused(bench, rewrite(archive, lambda fields: fields.update({field: value})), reason)


def test_a_bundle_of_another_version_is_refused_and_the_versions_are_named(
    bench: Bench, archive: Path, make_component: Callable[..., object]
) -> None:
    make_component("alpha", version="1.3.0")
    # A component remembers its version: as in a new process, these have not read it yet.
    components = tuple(replace(component) for component in bench.components)
    refused(replace(bench, components=components), archive, "alpha is 1.2.3 instead of 1.3.0")


def test_a_bundle_of_another_build_of_the_same_version_is_refused(bench: Bench, archive: Path) -> None:
    with (bench.components[0].folder / "go.sum").open("a") as file:
        file.write("example.test/other v1.0.0 h1:x=\n")
    refused(bench, archive, "alpha 1.2.3 is another build (key ")


def test_a_bundle_cut_anywhere_is_refused(bench: Bench, archive: Path) -> None:
    content = archive.read_bytes()
    short = archive.with_name("short")
    for length in {0, 1, 3, 10, *range(50, len(content), len(content) // 20), len(content) - 5, len(content) - 1}:
        short.write_bytes(content[:length])
        refused(bench, short, "was refused")


def test_a_bundle_with_a_bit_changed_is_refused_unless_it_unpacks_to_the_same(bench: Bench, archive: Path) -> None:
    content = archive.read_bytes()
    genuine = unpack(archive)
    changed = archive.with_name("changed")
    refusals = 0
    for position in range(0, len(content), max(1, len(content) // 60)):
        changed.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        if unpacks_to(changed, genuine):  # zstd has a few bits of padding
            continue
        refused(bench, changed, "was refused")
        refusals += 1
    assert refusals > 40


def unpacks_to(path: Path, genuine: Members) -> bool:
    try:
        return [content for _, content in unpack(path)] == [content for _, content in genuine]
    except (zstandard.ZstdError, tarfile.TarError):
        return False


@pytest.mark.parametrize("tail", [b"\0", b"garbage" * 10_000, zstandard.ZstdCompressor().compress(b"more")])
def test_a_bundle_with_something_appended_is_refused(bench: Bench, archive: Path, tail: bytes) -> None:
    longer = archive.with_name("longer")
    longer.write_bytes(archive.read_bytes() + tail)
    refused(bench, longer, "something follows the end of the compressed data")


def test_something_after_the_end_of_the_archive_is_refused(bench: Bench, archive: Path) -> None:
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(archive.read_bytes())
    path = archive.with_name("after")
    path.write_bytes(zstandard.ZstdCompressor().compress(raw + b"\0" * 10240 + b"more"))
    refused(bench, path, "something follows the end of the archive")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x1f\x8b\x08 gzip", os.urandom(5000)])
def test_a_file_of_another_kind_is_refused(bench: Bench, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    refused(bench, tmp_path / "other", "was refused")


@pytest.mark.usefixtures("bench")
def test_a_bundle_that_begins_with_a_name_without_an_end_is_refused_in_little_memory(tmp_path: Path) -> None:
    file = pack_bomb(tmp_path / "bomb", "long name")
    imports = "from fluxlab.toolchain.installing import BundleRefusedError, install"
    code = "try:\n    install(Path(sys.argv[1]))\nexcept BundleRefusedError as error:\n    print(error.what)"
    said = run_in_little_memory(imports=imports, code=code, words=[file], megabytes=512)
    assert said.startswith(f"{file} was refused: "), said


def test_another_digest_than_the_expected_one_is_refused(bench: Bench, archive: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    error = refused(bench, archive, "it is not the file that was asked for", expected_sha256="0" * 64)
    assert f"sha256 {digest}" in error.facts


def test_a_manifest_rewritten_along_with_its_files_is_only_told_by_the_digest(bench: Bench, archive: Path) -> None:
    genuine = hashlib.sha256(archive.read_bytes()).hexdigest()
    members = unpack(archive)
    index = at(members, "/alpha")
    evil = members[index][1].replace(b"# padding", b"# evil   ")
    members[index] = (members[index][0], evil)
    fields = json.loads(members[0][1])
    fields["components"]["alpha"]["files"]["alpha"]["sha256"] = hashlib.sha256(evil).hexdigest()
    members[0] = (members[0][0], json.dumps(fields).encode())
    forged = pack(archive.with_name("forged"), members)
    refused(bench, forged, "not the file that was asked for", expected_sha256=genuine)
    assert b"evil" in install(forged, components=bench.components).binary("alpha").read_bytes()


def test_a_program_that_does_not_run_here_is_not_installed(bench: Bench, tmp_path: Path) -> None:
    bench.install()
    bench.path("alpha").write_text("#!/bin/sh\nexit 3\n")
    entry = bench.entry("alpha")
    bench.manifest(bench.path("alpha").parent, entry).write(bench.path("alpha").parent)
    path = bundle(tmp_path / "b", components=bench.components).path
    bench.cache.rename(tmp_path / "maker")
    with pytest.raises(ToolchainError, match="alpha does not run here"):
        install(path, components=bench.components)
    assert bench.leftovers() == []


def test_components_that_are_intact_stay_and_damaged_ones_are_replaced(bench: Bench, archive: Path) -> None:
    install(archive, components=bench.components)
    kept = bench.path("beta").stat().st_ino
    bench.path("alpha").write_text("gone")
    install(archive, components=bench.components)
    assert bench.path("beta").stat().st_ino == kept
    assert bench.leftovers() == []


def test_a_file_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="nowhere cannot be read: No such file or directory"):
        install(tmp_path / "nowhere", components=bench.components)
    with pytest.raises(ToolchainError, match="cannot be read: Is a directory"):
        install(tmp_path, components=bench.components)
