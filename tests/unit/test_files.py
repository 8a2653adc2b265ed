"""What was made of a file is as new as the file."""

from pathlib import Path

from fluxlab.files import OfFile, write_private


def test_it_is_made_anew_only_when_the_file_was_written_anew(tmp_path: Path) -> None:
    file, made = tmp_path / "port", []

    def make() -> str:
        made.append(file.read_text())
        return made[-1]

    write_private(file, "1")
    port = OfFile(file, make)
    assert (port(), port()) == ("1", "1")
    write_private(file, "2")
    assert (port(), port()) == ("2", "2")
    assert made == ["1", "2"]


def test_it_is_kept_while_the_file_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "port"
    write_private(file, "1")
    port = OfFile(file, file.read_text)
    port()
    file.unlink()
    assert port() == "1"
    write_private(file, "1 again")
    assert port() == "1 again"


def test_what_was_taken_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "port"
    write_private(file, "1")
    port = OfFile(file, file.read_text)
    assert port.take() is None
    port()
    assert port.take() == "1"
    assert port.take() is None
    assert port() == "1"
