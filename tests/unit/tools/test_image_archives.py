import hashlib
import json
import tarfile
from pathlib import Path

from tools.image_archives import TEMPORARY, Image, Layer, Member, Tree, program, write_archive


def read(archive: Path) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        assert len({member.name for member in members}) == len(members)
        sources = {member.name: opened.extractfile(member) for member in members}
        files = {name: source.read() for name, source in sources.items() if source}
    return json.loads(files["manifest.json"]), files


def test_an_archive_is_what_docker_save_writes(tmp_path: Path) -> None:
    binary = tmp_path / "alpha"
    binary.write_bytes(b"program")
    image = Image(
        names=("example.test/alpha:v1", "example.test/alpha:latest"),
        layers=(program(binary),),
        entrypoint=("/usr/local/bin/alpha",),
        environment={"A": "b"},
        labels={"key": "value"},
        stop_signal="SIGTERM",
    )
    write_archive(tmp_path / "images.tar", [image])
    index, files = read(tmp_path / "images.tar")
    assert index[0]["RepoTags"] == ["example.test/alpha:v1", "example.test/alpha:latest"]
    name = str(index[0]["Config"])
    assert name == f"{hashlib.sha256(files[name]).hexdigest()}.json"
    configuration = json.loads(files[name])
    layer = files[f"{configuration['rootfs']['diff_ids'][0].removeprefix('sha256:')}/layer.tar"]
    assert configuration["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert configuration["config"]["Entrypoint"] == ["/usr/local/bin/alpha"]
    assert configuration["config"]["Labels"] == {"key": "value"}
    assert configuration["config"]["StopSignal"] == "SIGTERM"
    assert "A=b" in configuration["config"]["Env"]


def test_a_layer_holds_the_folders_above_its_files_and_no_owner(tmp_path: Path) -> None:
    binary = tmp_path / "alpha"
    binary.write_bytes(b"program")
    members = (
        Member(path="a/b/alpha", source=binary),
        Member(path="a/link", link="b/alpha"),
        Member(path="tmp", mode=TEMPORARY),
    )
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        Layer(members=members).write(archive)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        found = {member.name: member for member in archive.getmembers()}
    assert list(found) == ["a", "a/b", "a/b/alpha", "a/link", "tmp"]
    assert found["a/b/alpha"].mode == 0o755
    assert (found["a/b/alpha"].uid, found["a/b/alpha"].mtime) == (0, 0)
    assert found["a/link"].linkname == "b/alpha"
    assert found["tmp"].mode == 0o1777


def test_what_two_images_share_is_there_once_and_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    binary = tmp_path / "alpha"
    binary.write_bytes(b"program")
    images = [Image(names=(f"example.test/{name}:v1",), layers=(program(binary),)) for name in ("alpha", "beta")]
    write_archive(tmp_path / "one.tar", images)
    write_archive(tmp_path / "two.tar", images)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    index, files = read(tmp_path / "one.tar")
    assert [entry["RepoTags"] for entry in index] == [["example.test/alpha:v1"], ["example.test/beta:v1"]]
    assert len([name for name in files if name.endswith("layer.tar")]) == 1


def test_a_tree_keeps_modes_and_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/alpha").write_text("program")
    (root / "bin/alpha").chmod(0o4755)
    (root / "sbin").symlink_to("bin")
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        Tree(root=root).write(archive)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        found = {member.name: member for member in archive.getmembers()}
    assert set(found) == {"bin", "bin/alpha", "sbin"}
    assert found["bin/alpha"].mode == 0o4755
    assert found["sbin"].issym()
