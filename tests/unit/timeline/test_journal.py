"""Entries are appended whole or not at all, stay within bounds, and survive what befalls files."""

import errno
import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxlab.recorder.resume import Resume
from fluxlab.redaction import MASK, Redactor
from fluxlab.timeline.attribution import version_of
from fluxlab.timeline.entries import Detail, Entry, FieldChange, Level, ObjectRef, Source, from_line, to_line
from fluxlab.timeline.journal import Journal, JournalReader, read_journal, segments_of
from fluxlab.timeline.text import line_of

QUOTING = (Detail.REASON, Detail.SUBJECT, Detail.REFUSED, Detail.URI, Detail.USER_AGENT)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def entry(text: str, **fields: object) -> Entry:
    return Entry(time=NOON, source=Source.OBJECT, text=text, **fields)  # type: ignore[arg-type]


def texts(folder: Path) -> list[str]:
    return [found.text for found in read_journal(folder)]


@given(
    text=st.text(max_size=80),
    actor=st.text(max_size=20),
    field=st.tuples(st.text(max_size=20), st.none() | st.text(max_size=20), st.none() | st.text(max_size=20)),
    level=st.sampled_from(Level),
)
def test_an_entry_comes_back_from_its_line(
    text: str, actor: str, field: tuple[str, str | None, str | None], level: Level
) -> None:
    written = Entry(
        time=NOON,
        source=Source.OBJECT,
        level=level,
        text=text,
        actor=actor,
        object=ObjectRef(kind="Deployment", namespace="shop", name="cart"),
        changes=(FieldChange(field=field[0], before=field[1], after=field[2]),),
        issues=("#42",),
        details={Detail.VERSION: "17"},
    )
    line = to_line(written)
    assert "\n" not in line
    assert from_line(line) == written


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", "1", '{"time":"now"}', '{"time":"2026-11-22T12:00:00Z","source":"x"}']
)
def test_what_is_no_entry_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        from_line(line)


def test_entries_are_read_in_the_order_in_which_they_were_appended(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", redactor=Redactor())
    journal.append([entry("one"), entry("two")])
    journal.append([])
    Journal(tmp_path / "j", redactor=Redactor()).append([entry("three")])
    assert texts(tmp_path / "j") == ["one", "two", "three"]


def test_the_size_is_bounded_and_the_newest_entries_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path, redactor=Redactor(), segment_bytes=1000, segments=3)
    for number in range(200):
        journal.append([entry(f"entry {number}")])
    gone, *kept = texts(tmp_path)
    assert gone == "what was before is gone: the files of a journal have bounds"
    assert kept[-1] == "entry 199"
    assert kept == [f"entry {number}" for number in range(200 - len(kept), 200)]
    assert len(segments_of(tmp_path)) <= 3
    assert sum(file.stat().st_size for file in segments_of(tmp_path)) < 3 * 1300


def test_nothing_is_said_to_be_gone_before_anything_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path, redactor=Redactor(), segment_bytes=1000, segments=3)
    number = 0
    while len(segments_of(tmp_path)) < 3:
        journal.append([entry(f"entry {number}")])
        number += 1
    assert texts(tmp_path) == [f"entry {count}" for count in range(number)]


def test_a_line_that_was_cut_off_is_taken_away_and_named(tmp_path: Path) -> None:
    Journal(tmp_path, redactor=Redactor()).append([entry("whole")])
    [file] = segments_of(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])
    assert texts(tmp_path) == ["whole"]
    Journal(tmp_path, redactor=Redactor()).append([entry("after")])
    first, note, last = read_journal(tmp_path)
    assert (first.text, last.text) == ("whole", "after")
    assert note.source is Source.RECORDER
    assert note.level is Level.WARNING
    assert f"{len(whole) // 2} bytes" in note.text


def test_a_line_that_was_altered_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    Journal(tmp_path, redactor=Redactor()).append([entry("one"), entry("two"), entry("three")])
    [file] = segments_of(tmp_path)
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b"rubbish \xff\n" + lines[2])
    one, altered, three = read_journal(tmp_path)
    assert (one.text, three.text) == ("one", "three")
    assert "line 2" in altered.text


def test_who_reads_on_finds_what_who_reads_anew_finds(tmp_path: Path) -> None:
    """Whatever befalls the files meanwhile: they are rotated and go, lines are altered, cut off, and taken away."""
    journal = Journal(tmp_path, redactor=Redactor(), segment_bytes=1000, segments=3)
    reader = JournalReader(tmp_path)

    def agree() -> list[Entry]:
        found = list(reader)
        assert found == list(read_journal(tmp_path))
        return found

    assert agree() == []
    for number in range(60):
        journal.append([entry(f"entry {number}"), entry("more")])
        agree()
    assert segments_of(tmp_path)[0].name != "000001.jsonl", "the oldest is gone"
    newest = segments_of(tmp_path)[-1]
    with newest.open("a") as more:
        more.write("rubbish\n")
    assert "cannot be read" in agree()[-1].text
    with newest.open("a") as more:
        more.write('{"half')
    before = agree()
    Journal(tmp_path, redactor=Redactor(), segment_bytes=1000, segments=3).append([entry("after")])
    assert [found.text for found in agree()[len(before) :]][1:] == ["after"]
    newest.write_text("")
    agree()
    for file in segments_of(tmp_path):
        file.unlink()
    assert agree() == []


OF_OTHER_SHAPE: Mapping[str, Sequence[object]] = {
    "time": [5, None, [], "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"],
    "source": [5, None, {}],
    "level": ["loud", 5, None],
    "text": [5, None, ["one"], {}],
    "cluster": [5, {}],
    "part": [5, []],
    "object": [5, "cart", None],
    "changes": [5, "x", ["x"], [{}], [{"field": 5, "before": None, "after": None}], [{"field": "x", "before": 5}]],
    "actor": [5, {}],
    "commit": [5, []],
    "issues": [5, "#42", [42], {"#42": 1}],
    "details": [[], 5, "x", {"version": 2}, {"owner": None}],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in OF_OTHER_SHAPE.items() for value in values])
def test_a_line_of_another_shape_is_one_that_was_altered(tmp_path: Path, key: str, value: object) -> None:
    raw = json.loads(to_line(entry("two")))
    _check_altered(tmp_path, json.dumps({**raw, key: value}))


@pytest.mark.parametrize("line", ["[" * 100_000, '{"text":' * 50_000])
def test_a_line_that_is_too_deep_to_be_read_is_one_that_was_altered(tmp_path: Path, line: str) -> None:
    _check_altered(tmp_path, line)


def _check_altered(folder: Path, line: str) -> None:
    """Who reads a journal in which this line stands between two others goes on, and says so."""
    Journal(folder, redactor=Redactor()).append([entry("one"), entry("three")])
    [file] = segments_of(folder)
    before, after = file.read_text().splitlines()
    file.write_text(f"{before}\n{line}\n{after}\n")
    one, altered, three = read_journal(folder)
    assert (one.text, three.text) == ("one", "three")
    assert altered.text == f"line 2 of {file.name} cannot be read: it was altered"
    for found in (one, altered, three):
        line_of(found)
        to_line(found)


@pytest.mark.parametrize("version", ["²", "9" * 5000, "1e3", "-1"])
def test_a_version_that_is_no_number_counts_for_nothing(tmp_path: Path, version: str) -> None:
    seen = {Detail.RESOURCE: "/api/v1/configmaps", Detail.VERSION: "7"}
    Journal(tmp_path, redactor=Redactor()).append([entry("seen", details=seen)])
    [file] = segments_of(tmp_path)
    with file.open("a") as more:
        more.write(file.read_text().replace('"7"', json.dumps(version)))
    assert [version_of(found) for found in read_journal(tmp_path)] == [7, 0]
    assert Resume(tmp_path).version("", "/api/v1/configmaps") == "7"


def test_a_full_disk_leaves_no_half_line_and_loses_nothing_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, redactor=Redactor())
    journal.append([entry("before")])
    real = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) > 10:
            return real(descriptor, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append([entry("x" * 15)])
    monkeypatch.setattr(os, "write", real)
    assert texts(tmp_path) == ["before"]
    journal.append([entry("after")])
    assert texts(tmp_path) == ["before", "after"]


def test_a_half_line_that_could_not_be_taken_away_at_once_is_taken_away_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, redactor=Redactor())
    journal.append([entry("before")])
    real = os.write

    def half(descriptor: int, content: memoryview) -> int:
        if len(content) > 10:
            return real(descriptor, content[:10])
        raise OSError(errno.EIO, "Input/output error")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", half)
        broken.setattr(os, "ftruncate", fail)
        with pytest.raises(OSError, match="Input/output"):
            journal.append([entry("x" * 15)])
    journal.append([entry("after")])
    first, note, last = read_journal(tmp_path)
    assert (first.text, last.text) == ("before", "after")
    assert "bytes of a line without an end are gone" in note.text


def test_a_folder_that_went_with_its_lab_does_not_come_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "lab" / "j", redactor=Redactor())
    journal.append([entry("before")])
    shutil.rmtree(tmp_path / "lab")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            journal.append([entry("after")])
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_is_named_and_nothing_is_lost(tmp_path: Path, jump: float) -> None:
    wall, steady = 1_000_000.0, 50.0
    journal = Journal(tmp_path, redactor=Redactor(), clock=lambda: wall, steady=lambda: steady)
    journal.append([entry("before")])
    steady += 10
    wall += 10.2  # clocks are slewed a little all the time
    journal.append([entry("as usual")])
    wall += jump
    journal.append([entry("after")])
    journal.append([entry("later")])
    assert texts(tmp_path)[:2] == ["before", "as usual"]
    [note] = [found for found in read_journal(tmp_path) if found.source is Source.RECORDER]
    assert f"{jump:+.1f} s" in note.text
    assert texts(tmp_path)[-2:] == ["after", "later"]


def test_a_clock_that_jumps_while_the_disk_is_full_is_named_once_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall = 1_000_000.0
    journal = Journal(tmp_path, redactor=Redactor(), clock=lambda: wall, steady=lambda: 50.0)
    wall += 60

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            journal.append([entry("waits")])
    journal.append([entry("waits")])
    journal.append([entry("later")])
    assert texts(tmp_path) == ["the machine's clock jumped by +60.0 s", "waits", "later"]


def test_secrets_are_masked_in_every_text_and_nowhere_else(tmp_path: Path) -> None:
    secret = "commit"  # a word that the line itself needs
    journal = Journal(tmp_path, redactor=Redactor([secret, "s3cret-value"]))
    change = FieldChange(field=".data.s3cret-value", before='"s3cret-value"', after='"commit"')
    details = {Detail.SUBJECT: "s3cret-value"}
    journal.append([entry("a commit", actor="s3cret-value", changes=(change,), commit="abc", details=details)])
    assert "s3cret-value" not in segments_of(tmp_path)[0].read_text()
    [found] = read_journal(tmp_path)
    assert found.text == f"a {MASK}"
    assert found.commit == "abc"
    assert found.changes == (FieldChange(field=f".data.{MASK}", before=f'"{MASK}"', after=f'"{MASK}"'),)


def test_what_names_things_to_programs_stays_comparable_when_a_secret_holds_the_same_word(tmp_path: Path) -> None:
    names = {
        Detail.VERB: "deleted",
        Detail.VERSION: "1234567",
        Detail.UID: "0b1f6a3e-uid",
        Detail.OWNER: "Kustomization flux-system/production",
        Detail.RESOURCE: "/api/v1/services",
        Detail.MANAGER: "kustomize-controller",
    }
    quoted = {key: f"quotes {name}" for key, name in zip(QUOTING, names.values(), strict=False)}
    Journal(tmp_path, redactor=Redactor([*names.values(), "production"])).append(
        [entry("seen", details={**names, **quoted})]
    )
    [found] = read_journal(tmp_path)
    assert {key: found.details[key] for key in names} == names
    assert {found.details[key] for key in quoted} == {f"quotes {MASK}"}


def test_of_what_a_client_asked_for_the_host_is_masked(tmp_path: Path) -> None:
    """That of an alert is one of the lab's own sinks."""
    secret = "canary.example.org"
    asked, alert = (
        replace(entry("x", details={Detail.HOST: secret}), source=one) for one in (Source.REQUEST, Source.ALERT)
    )
    Journal(tmp_path, redactor=Redactor([secret])).append([asked, alert])
    assert [found.details[Detail.HOST] for found in read_journal(tmp_path)] == [MASK, secret]


def test_a_secret_that_json_escapes_is_masked_within_json(tmp_path: Path) -> None:
    secret = 'line one\nline "two" \\ three'
    quoted = json.dumps(f"before {secret} after")
    change = FieldChange(field=".data.x", before=None, after=quoted)
    text = f"changed .data.x: {quoted} added"
    Journal(tmp_path, redactor=Redactor([secret])).append([entry(text, changes=(change,))])
    assert "line one" not in segments_of(tmp_path)[0].read_text()


def written(folder: Path, *changes: FieldChange, redactor: Redactor | None = None) -> Entry:
    Journal(folder, redactor=redactor or Redactor()).append([entry("changed", changes=changes)])
    [found] = read_journal(folder)
    return found


def test_of_a_change_that_is_too_long_the_longest_values_are_told_by_their_digests(tmp_path: Path) -> None:
    blob = FieldChange(field=".data.blob", before="y" * 100_000, after="x" * 100_000)
    size = FieldChange(field=".data.size", before='"1"', after='"2"')
    long, short = written(tmp_path, blob, size).changes
    assert short == size
    assert (long.field, str(long.after)[:19]) == (".data.blob", "(100000 characters,")
    assert long.before != long.after
    again = written(tmp_path / "again", FieldChange(field=".data.blob", before=None, after="x" * 100_000)).changes
    assert again[0].after == long.after


def test_of_hundreds_of_fields_all_are_named(tmp_path: Path) -> None:
    long = "k" * 253
    changes = [FieldChange(field=f".data.{long}-{number}", before="x" * 900, after="y" * 900) for number in range(500)]
    assert [change.field for change in written(tmp_path, *changes).changes] == [change.field for change in changes]


def test_a_digest_is_not_made_of_a_secret(tmp_path: Path) -> None:
    digests = set()
    for secret in ("first-secret", "other-secret"):
        change = FieldChange(field=".data.blob", before=None, after="x" * 100_000 + secret)
        digests.add(written(tmp_path / secret, change, redactor=Redactor([secret])).changes[0].after)
    assert len(digests) == 1


def test_a_change_with_more_fields_than_a_line_holds_is_told_without_them(tmp_path: Path) -> None:
    changes = [FieldChange(field=f".data.{'k' * 200}{number}", before=None, after='"1"') for number in range(2000)]
    found = written(tmp_path, *changes)
    assert not found.changes
    assert "2000 fields: not kept" in found.text


def test_threads_may_append_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, redactor=Redactor(), segment_bytes=5000, segments=100)

    def append(thread: int) -> None:
        for number in range(50):
            journal.append([entry(f"{thread}-{number}")])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(texts(tmp_path)) == sorted(f"{t}-{n}" for t in range(4) for n in range(50))


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "j", redactor=Redactor()).append([entry("one")])
    assert segments_of(tmp_path / "j")[0].stat().st_mode & 0o777 == 0o600
