from pathlib import Path

import pytest

from fluxlab.toolchain.errors import ToolchainError
from fluxlab.toolchain.licences import Licences, collect


def write(path: Path, text: str = "text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def line(module: str, top: Path, package: Path, *, replaced_by: str = "") -> str:
    """As `go list -deps -f TEMPLATE` prints it."""
    path, version = module.split("@")
    other, _, other_version = replaced_by.partition("@")
    return "\t".join([path, version, other, other_version, str(top), str(package)])


@pytest.fixture
def go_root(tmp_path: Path) -> Path:
    write(tmp_path / "go/LICENSE", "licence of Go")
    return tmp_path / "go"


def test_texts_are_taken_from_each_package_up_to_its_module_and_no_further(tmp_path: Path, go_root: Path) -> None:
    top = tmp_path / "mod"
    write(tmp_path / "LICENSE", "above the module")
    for name in ("LICENSE", "NOTICE.txt", "COPYING", "used/forked/LICENSE.md", "unused/LICENSE"):
        write(top / name, name)
    for name in ("license.go", "README", "used/main.go", "notices.html"):
        write(top / name)
    (top / "used/forked/deep").mkdir()
    found = collect(line("m@v1", top, top / "used/forked/deep"), go_root=go_root, go_version="go1.26.8")
    assert found.modules["m@v1"] == {
        name: name for name in ("LICENSE", "NOTICE.txt", "COPYING", "used/forked/LICENSE.md")
    }


def test_go_itself_is_among_them(go_root: Path) -> None:
    assert collect("", go_root=go_root, go_version="go1.26.8").modules == {"go@1.26.8": {"LICENSE": "licence of Go"}}


def test_a_go_without_its_licence_file_lends_the_same_text_from_the_modules_that_it_vendors(tmp_path: Path) -> None:
    write(tmp_path / "src/vendor/golang.org/x/sys/LICENSE", "same text")
    found = collect("", go_root=tmp_path, go_version="go1.26.6")
    assert found.modules == {"go@1.26.6": {"LICENSE": "same text"}}


def test_a_replaced_module_goes_by_what_replaces_it(tmp_path: Path, go_root: Path) -> None:
    write(tmp_path / "fork/LICENSE")
    listing = line("m@v1", tmp_path / "fork", tmp_path / "fork", replaced_by="n@v2")
    assert set(collect(listing, go_root=go_root, go_version="go1").modules) == {"go@1", "n@v2"}
    local = line("m@v1", tmp_path / "fork", tmp_path / "fork", replaced_by="../fork")
    assert set(collect(local, go_root=go_root, go_version="go1").modules) == {"go@1", "m@v1"}


def test_the_standard_library_and_empty_lines_are_no_modules(go_root: Path) -> None:
    listing = f"\n\t{go_root}/src/fmt\n\n"
    assert set(collect(listing, go_root=go_root, go_version="go1").modules) == {"go@1"}


def test_a_module_without_a_text_is_told(tmp_path: Path, go_root: Path) -> None:
    (tmp_path / "bare").mkdir()
    found = collect(line("bare@v1", tmp_path / "bare", tmp_path / "bare"), go_root=go_root, go_version="go1")
    assert found.without == ["bare@v1"]


def test_a_module_that_is_not_at_hand_is_an_error_not_a_module_without_a_text(go_root: Path) -> None:
    with pytest.raises(ToolchainError, match="the source of m@v1 is not at hand"):
        collect("m\tv1\t\t\t\t/somewhere", go_root=go_root, go_version="go1")


def test_what_is_written_is_read_and_each_text_is_stored_once(tmp_path: Path) -> None:
    licences = Licences(modules={"a@v1": {"LICENSE": "same" * 100}, "b@v1": {"COPYING": "same" * 100}, "c@v1": {}})
    licences.write(tmp_path / "file")
    assert Licences.read(tmp_path / "file") == licences
    assert (tmp_path / "file").read_text().count("same" * 100) == 1
