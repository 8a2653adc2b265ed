"""What an archive says about itself is believed only as far as it can be checked."""

import gzip
import hashlib
import io
import random
import tarfile
import zlib
from pathlib import Path

import pytest

from fluxlab.errors import FluxlabError, UsageError
from fluxlab.servers import chart_archives as archives
from fluxlab.servers import chart_metadata as metadata
from fluxlab.servers.chart_metadata import ChartError
from fluxlab.servers.chart_packaging import package_chart, with_version
from fluxlab.servers.charts import ChartRepository

CHART = b"apiVersion: v2\nname: demo\nversion: 1.2.3\n"


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def packed(content: bytes) -> bytes:
    """In gzip, the same bytes in every process: test ids are made of them."""
    return gzip.compress(content, mtime=0)


def short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


@pytest.fixture
def repository(tmp_path: Path) -> ChartRepository:
    return ChartRepository(tmp_path / "charts")


def stored(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "given.tgz"
    path.write_bytes(content)
    return path


def test_what_a_chart_says_is_kept(repository: ChartRepository, tmp_path: Path) -> None:
    text = CHART + b'appVersion: 1.10\ndescription: d\nannotations: {fluxlab.dev/stand-in: "true"}\n'
    added = repository.add(stored(tmp_path, packed(tar(("demo/Chart.yaml", text), ("demo/charts/x/Chart.yaml", b"{")))))
    assert (added.name, added.version, added.app_version, added.description) == ("demo", "1.2.3", "1.10", "d")
    assert added.stand_in
    assert repository.charts() == [added]


@pytest.mark.parametrize("value", ["", "annotations: {}\n", 'annotations: {fluxlab.dev/stand-in: "false"}\n'])
def test_a_chart_is_no_stand_in_unless_it_says_so(repository: ChartRepository, tmp_path: Path, value: str) -> None:
    archive = stored(tmp_path, packed(tar(("demo/Chart.yaml", CHART + value.encode()))))
    assert not repository.add(archive).stand_in


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        packed(b""),
        packed(b"no tar" * 200),
        packed(tar(("demo/Chart.yaml", CHART)))[:-20],
        packed(tar(("demo/Chart.yaml", CHART)))[:60],
        packed(tar(("Chart.yaml", CHART))),
        packed(tar(("a/b/Chart.yaml", CHART))),
        packed(tar(("../Chart.yaml", CHART))),
        packed(tar(("/Chart.yaml", CHART))),
        packed(tar(("a/Chart.yaml", CHART), ("b/Chart.yaml", CHART))),
        packed(tar(("a/Chart.yaml", CHART), ("a/Chart.yaml", CHART))),
        packed(tar(("a/Chart.yaml", b""), kind=tarfile.SYMTYPE, link="/etc/passwd")),
        packed(tar(("a/Chart.yaml", b""), kind=tarfile.LNKTYPE, link="/etc/passwd")),
        packed(tar(("a/Chart.yaml", b""), kind=tarfile.FIFOTYPE)),
        packed(tar(("a/Chart.yaml", b"x" * (metadata.METADATA_LIMIT_BYTES + 1)))),
        *(
            packed(tar(("demo/Chart.yaml", text)))
            for text in (
                b"", b"- list", b"{", b"\xff\xfe", b"name: demo", b"version: 1.2.3", b"name: [a]\nversion: 1.2.3",
                b"name: ../x\nversion: 1.2.3", b"name: a/b\nversion: 1.2.3", b"name: .a\nversion: 1.2.3",
                b"name: demo\nversion: latest", b"name: demo\nversion: 1.2", b"name: demo\nversion: 1.2.3/../x",
                b"name: demo\nversion: 01.2.3", b"name: demo\nversion: !!python/object/apply:os.system ['x']",
                b'name: "demo\\nx"\nversion: 1.2.3', CHART + b"deprecated: maybe", CHART + b"keywords: one",
                CHART + b"annotations: [a]", CHART + b"description: {a: b}", CHART + b"maintainers: [a]",
                CHART + b"x: " + b"[" * 100_000, CHART + b"x: " + b"[" * 90_000 + b"]" * 90_000,
                CHART + b"x: " + b"{a: " * 50_000, CHART + b"keywords: &a [*a]",
                CHART + b"description: &a " + b"x" * 100_000 + b"\nkeywords: [" + b"*a, " * 10_000 + b"]",
            )
        ),
    ],
    ids=short,
)  # fmt: skip
def test_what_is_no_chart_is_refused_and_nothing_is_left(
    repository: ChartRepository, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(ChartError, match=r"given\.tgz"):
        repository.add(stored(tmp_path, content))
    assert list(repository.folder.iterdir()) == []


def test_a_bomb_is_not_unpacked(repository: ChartRepository, tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    header = tarfile.TarInfo("demo/zeros")
    header.size = 1 << 40
    bomb = (
        packer.compress(header.tobuf())
        + packer.compress(bytes(archives.UNPACKED_LIMIT_BYTES + 100_000))
        + packer.flush()
    )
    with pytest.raises(ChartError, match="unpacks to more than 100 MiB"):
        repository.add(stored(tmp_path, bomb))


def test_a_huge_archive_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.tgz"
    with path.open("wb") as file:
        file.truncate(archives.ARCHIVE_LIMIT_BYTES + 1)
    with pytest.raises(ChartError, match="larger than"):
        archives.read_metadata(path)


def test_headers_that_nest_without_end_are_refused(repository: ChartRepository, tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 11
    block = header.tobuf() + b"11 path=ab\n".ljust(512, b"\0")
    with pytest.raises(ChartError):
        repository.add(stored(tmp_path, packed(block * 5000)))


def test_damaged_archives_raise_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(7)  # noqa: S311  # damage that can be repeated
    whole = tar(("demo/Chart.yaml", CHART), ("demo/values.yaml", b"x" * 3000))
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        packed = bytearray(gzip.compress(bytes(damaged), 1))
        if chance.random() < 0.3:
            packed[chance.randrange(len(packed))] ^= 0xFF
        try:
            archives.read_metadata(stored(tmp_path, bytes(packed)))
        except ChartError:
            continue


class TestTheRepository:
    def archive(self, tmp_path: Path, content: bytes = b"a") -> Path:
        return stored(tmp_path, packed(tar(("demo/Chart.yaml", CHART), ("demo/values.yaml", content))))

    def test_another_archive_of_a_version_needs_to_be_meant(self, repository: ChartRepository, tmp_path: Path) -> None:
        first = repository.add(self.archive(tmp_path))
        assert repository.add(self.archive(tmp_path)).digest == first.digest
        with pytest.raises(UsageError, match=r"demo 1\.2\.3"):
            repository.add(self.archive(tmp_path, b"b"))
        assert repository.charts() == [first]
        replaced = repository.add(self.archive(tmp_path, b"b"), replace=True)
        assert repository.charts() == [replaced]
        assert replaced.digest != first.digest

    def test_what_is_not_there_cannot_be_yanked(self, repository: ChartRepository, tmp_path: Path) -> None:
        repository.add(self.archive(tmp_path))
        with pytest.raises(UsageError) as raised:
            repository.yank("demo", "9.9.9")
        assert "1.2.3" in raised.value.hint
        repository.yank("demo", "1.2.3")
        assert repository.charts() == []


def test_versions_are_ordered_as_semver_says() -> None:
    # The example of semver.org, section 11, and the leading v that Helm accepts.
    order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
             "1.0.0-rc.1", "1.0.0", "v1.9.0", "1.10.0", "v2.0.0"]  # fmt: skip
    shuffled = random.Random(1).sample(order, len(order))  # noqa: S311  # an order that can be repeated
    assert sorted(shuffled, key=metadata.precedence) == order


class TestPackaging:
    def source(self, tmp_path: Path, **files: str) -> Path:
        folder = tmp_path / "source"
        for name, content in {"Chart.yaml": CHART.decode(), **files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return folder

    def names(self, archive: Path) -> list[str]:
        with tarfile.open(archive) as opened:
            return [name.removeprefix("demo/") for name in opened.getnames()]

    def test_helmignore_is_followed(self, tmp_path: Path) -> None:
        wanted = {"templates/a.yaml": "", "notes/keep.txt": "", "deep/er/x.txt": "", "er/top.txt": ""}
        unwanted = {"a.bak": "", "templates/b.bak": "", "ci/x.yaml": "", "er/x.txt": "", "notes/drop.txt": "",
                    "templates/.hidden": "", "root.txt": ""}  # fmt: skip
        rules = "# a comment\n\n*.bak\nci/\ner/x.txt\n/root.txt\nnotes/dr*.txt\n.helmignore\n"
        folder = self.source(tmp_path, **wanted, **unwanted, **{".helmignore": rules})
        assert self.names(package_chart(folder, tmp_path)) == sorted(["Chart.yaml", *wanted])

    @pytest.mark.parametrize("rule", ["!keep.txt", "**/x"])
    def test_a_rule_that_is_not_understood_is_refused(self, tmp_path: Path, rule: str) -> None:
        with pytest.raises(UsageError, match="not supported"):
            package_chart(self.source(tmp_path, **{".helmignore": rule}), tmp_path)

    def test_a_symbolic_link_is_refused(self, tmp_path: Path) -> None:
        folder = self.source(tmp_path)
        (folder / "link").symlink_to("/etc/passwd")
        with pytest.raises(UsageError, match="symbolic link"):
            package_chart(folder, tmp_path)
        assert not list(tmp_path.glob("*.tgz"))
        assert not list(tmp_path.glob(".*.part"))

    def test_a_dependency_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        text = CHART.decode() + "dependencies: [{name: redis, version: 1.0.0}, {name: pg, version: 1.0.0}]\n"
        folder = self.source(tmp_path, **{"Chart.yaml": text, "charts/pg/Chart.yaml": "name: pg\nversion: 1.0.0"})
        with pytest.raises(UsageError, match="redis"):
            package_chart(folder, tmp_path)
        (folder / "charts" / "redis-1.0.0.tgz").write_bytes(b"")
        assert "charts/redis-1.0.0.tgz" in self.names(package_chart(folder, tmp_path))

    def test_what_was_packaged_can_be_added(self, tmp_path: Path) -> None:
        added = ChartRepository(tmp_path / "charts").add(package_chart(self.source(tmp_path), tmp_path))
        assert (added.name, added.version) == ("demo", "1.2.3")

    def test_a_folder_without_a_chart_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(FluxlabError, match=r"Chart\.yaml"):
            package_chart(tmp_path, tmp_path)
        assert list(tmp_path.iterdir()) == []


class TestAnotherVersion:
    def test_all_but_the_version_is_the_same(self, tmp_path: Path) -> None:
        inner, template = b"name: x\nversion: 9.0.0\n", b"kind: {{ .Values.kind }}\n"
        given = stored(
            tmp_path,
            packed(
                tar(("demo/Chart.yaml", CHART), ("demo/charts/x/Chart.yaml", inner), ("demo/templates/a", template))
            ),
        )
        made = with_version(given, "1.3.0", tmp_path)
        assert made.name == "demo-1.3.0.tgz"
        with tarfile.open(made) as opened:
            found = {one.name: file.read() for one in opened if (file := opened.extractfile(one))}
        assert found["demo/Chart.yaml"] == CHART.replace(b"1.2.3", b"1.3.0")
        assert (found["demo/charts/x/Chart.yaml"], found["demo/templates/a"]) == (inner, template)

    def test_what_is_no_chart_is_refused_and_nothing_is_made(self, tmp_path: Path) -> None:
        given = stored(tmp_path, b"rubbish")
        with pytest.raises(ChartError):
            with_version(given, "1.3.0", tmp_path)
        assert list(tmp_path.iterdir()) == [given]
