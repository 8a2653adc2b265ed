"""What one process has learned of Secrets the others know, within bounds, and whatever becomes of the file."""

import json
import os
from pathlib import Path

import pytest

from fluxlab.timeline import learned
from fluxlab.timeline.learned import Learned, read_learned


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "values.json"


def save(file: Path, *values: str) -> Learned:
    file.parent.mkdir(exist_ok=True)
    kept = Learned(file)
    for value in values:
        kept.add(value)
    kept.save()
    return kept


def test_what_was_learned_is_known_to_who_comes_later_and_only_the_owner_can_read_it(file: Path) -> None:
    assert read_learned(file) == ()
    save(file, "one", "two\nlines")
    save(file, "three", "one")
    assert read_learned(file) == ["two\nlines", "three", "one"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_is_written_only_when_there_is_something_new(file: Path) -> None:
    kept = save(file, "one")
    before = file.stat().st_ino
    kept.add("one")
    kept.save()
    assert file.stat().st_ino == before
    kept.add("two")
    kept.save()
    assert read_learned(file) == ["one", "two"]


def test_of_more_values_than_there_is_room_for_the_newest_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "LARGEST", 100)
    save(file, *(f"value-{number:04}" for number in range(50)))
    assert read_learned(file) == [f"value-{number:04}" for number in range(40, 50)]


def test_of_more_values_than_whoever_masks_can_bear_the_newest_are_kept(file: Path) -> None:
    values = [f"value-{number:04}" for number in range(learned.MOST + 5)]
    save(file, *values)
    assert read_learned(file) == values[5:]


def test_a_value_that_a_secret_still_has_outlasts_those_that_were_learned_after_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learned, "LARGEST", len("livingnewnewer"))
    kept = save(file, "living", "old", "older")
    for value in ("living", "new", "newer"):
        kept.add(value)
    kept.save()
    assert read_learned(file) == ["living", "new", "newer"]


def test_living_values_for_which_there_is_no_room_do_not_have_the_file_written_each_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = [f"value-{number}" for number in range(5)]
    monkeypatch.setattr(learned, "LARGEST", len("".join(living[:3])))
    kept = save(file, *living)
    before = file.stat().st_ino, read_learned(file)
    for _ in range(3):
        for value in living:
            kept.add(value)
        kept.save()
    assert (file.stat().st_ino, read_learned(file)) == before
    kept.add("a new one")
    kept.save()
    assert "a new one" in read_learned(file)


@pytest.mark.parametrize("content", ["", "rubbish", "{}", "5", "[" * 100_000, "[5, null]", "\udcff"])
def test_a_file_that_somebody_else_wrote_is_none_and_is_replaced(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_bytes(os.fsencode(content))
    assert list(read_learned(file)) == []
    save(file, "one")
    assert read_learned(file) == ["one"]


def test_what_could_not_be_written_is_written_the_next_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = save(file, "one")
    kept.add("two")
    with monkeypatch.context() as full:
        full.setattr(learned, "write_private", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        with pytest.raises(OSError, match="No space"):
            kept.save()
    kept.save()
    assert json.loads(file.read_text()) == ["one", "two"]


def test_a_lab_that_was_removed_does_not_come_back(file: Path) -> None:
    kept = Learned(file)
    kept.add("one")
    with pytest.raises(OSError, match="was removed"):
        kept.save()
    assert not file.parent.exists()
