"""Logs of a lab: which there are, their last lines, and what is added to them."""

import contextlib
import json
import resource
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

import pytest

from fluxlab import logs
from fluxlab.errors import UsageError
from fluxlab.gateway.requestlog import Entry, RequestLog
from fluxlab.logs import bound_logs, log_files, read_log, read_together, read_whole_log
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder


@pytest.fixture
def lab(tmp_path: Path) -> LabFolder:
    folder = LabFolder(tmp_path / "labs" / "x")
    for cluster, components in {"staging": ("etcd", "kwok"), "production": ("etcd",)}.items():
        logs = folder.cluster(cluster) / "logs"
        logs.mkdir(parents=True)
        for component in components:
            (logs / f"{component}.log").write_text(f"{cluster} {component} 1\n{cluster} {component} 2\n")
    folder.supervisor_log.write_text("hello\n")
    return folder


def test_the_logs_there_are_by_component(lab: LabFolder) -> None:
    assert list(log_files(lab)) == ["supervisor", "production/etcd", "staging/etcd", "staging/kwok"]
    lab.gateway_log.touch()
    assert "gateway" in log_files(lab)


def test_a_lab_that_never_ran_has_no_logs(tmp_path: Path) -> None:
    assert log_files(LabFolder(tmp_path / "none")) == {}


@pytest.mark.parametrize(
    ("component", "lines"),
    [
        ("staging/kwok", ["staging kwok 1\n", "staging kwok 2\n"]),
        ("kwok", ["staging kwok 1\n", "staging kwok 2\n"]),
        ("production/etcd", ["production etcd 1\n", "production etcd 2\n"]),
        ("supervisor", ["hello\n"]),
    ],
)
def test_a_log_is_found_by_its_full_name_or_where_one_is_enough(
    lab: LabFolder, component: str, lines: list[str]
) -> None:
    assert list(read_log(log_files(lab), component, lines=10, follow=False)) == lines


@pytest.mark.parametrize(
    ("component", "told"), [("etcd", "production/etcd, staging/etcd"), ("nope", "supervisor"), ("", "supervisor")]
)
def test_a_name_of_none_or_of_several_is_told_with_what_there_is(lab: LabFolder, component: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        list(read_log(log_files(lab), component, lines=10, follow=False))


@pytest.mark.parametrize(("wanted", "first"), [(-1, 0), (1, 4999), (3, 4997), (4000, 1000), (9999, 0)])
def test_as_many_lines_as_were_asked_for(tmp_path: Path, wanted: int, first: int) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number} {'x' * 40}\n" for number in range(5000)))
    found = list(read_log({"a": log}, "a", lines=wanted, follow=False))
    assert len(found) == 5000 - first
    assert found[0].startswith(f"line {first} ")


def test_none_are_told_when_none_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\n")
    assert list(read_log({"a": tmp_path / "log"}, "a", lines=0, follow=False)) == []


def test_a_last_line_without_an_end_gets_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntw")
    assert list(read_log({"a": log}, "a", lines=5, follow=False)) == ["one\n", "tw\n"]


class Following:
    """`read_log` with `follow`, in a thread: a line that does not come fails the test instead of stopping it."""

    def __init__(self, log: Path, lines: int) -> None:
        self._lines = read_log({"a": log}, "a", lines=lines, follow=True)

    def next(self) -> str:
        found: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=lambda: found.put(next(self._lines)), daemon=True).start()
        return found.get(timeout=20)


def test_what_is_added_is_followed_and_nothing_is_lost_on_the_way(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1\n2\n")
    lines = Following(log, 1)
    assert lines.next() == "2\n"
    with log.open("a", buffering=1) as writer:
        writer.write("3\n")  # after the old lines were read, before it is asked for new ones
        assert lines.next() == "3\n"
        later = threading.Timer(0.05, lambda: writer.write("4\n"))
        later.start()
        assert lines.next() == "4\n"
        later.join()


def test_a_line_that_is_only_half_there_is_not_torn(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1\nhal")
    lines = Following(log, 5)
    assert lines.next() == "1\n"
    with log.open("a") as writer:
        writer.write("f\n")
    assert lines.next() == "half\n"


def test_a_log_that_gave_way_to_a_new_one_is_followed_there_without_a_line_lost_or_told_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1\n")
    lines = Following(log, 5)
    assert lines.next() == "1\n"
    with log.open("a") as writer:
        writer.write("2\n3\ncut off")  # by a full disk, say
    log.replace(tmp_path / "log.1")
    assert [lines.next(), lines.next()] == ["2\n", "3\n"]
    later = threading.Timer(0.3, log.write_text, ["4\n"])
    later.start()  # for a moment there is none
    assert [lines.next(), lines.next()] == ["cut off\n", "4\n"]
    later.join()
    with log.open("a") as writer:
        writer.write("5\n")
    assert lines.next() == "5\n"


def test_the_gateways_log_is_followed_however_often_it_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FOLLOW_SECONDS", 0.01)
    log = RequestLog(tmp_path / "log", Redactor(), maximum_bytes=300)  # two or three requests
    log.path.touch()
    lines = Following(log.path, 5)
    for number in range(20):
        asked = Entry(asked_by="c.x", host="h", method="GET", path=f"/{number}", status=200, bytes=0, duration_ms=1.0)
        log.write(asked)
        assert json.loads(lines.next())["path"] == f"/{number}"
    assert log.path.with_name("log.1").exists()


def test_following_without_old_lines_begins_at_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    with log.open("a", buffering=1) as writer:
        stop = threading.Event()

        def write() -> None:
            while not stop.wait(0.01):
                writer.write("new\n")

        writing = threading.Thread(target=write)
        writing.start()
        assert Following(log, 0).next() == "new\n"
        stop.set()
        writing.join()


def test_a_log_that_grew_too_large_moves_aside_and_its_writer_goes_on(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    file = folder.cluster("c") / "logs" / "etcd.log"
    file.parent.mkdir(parents=True)
    with file.open("ab") as writer:
        writer.write(b"old\n" * 100)
        writer.flush()
        bound_logs(folder, maximum_bytes=1000)
        assert file.stat().st_size == 400
        bound_logs(folder, maximum_bytes=399)
        writer.write(b"new\n")
    assert file.read_bytes() == b"new\n"
    assert file.with_name("etcd.log.1").read_bytes() == b"old\n" * 100
    assert list(log_files(folder)) == ["c/etcd"]


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a disk that has no more room than that: what is written beyond it fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_log_that_cannot_be_moved_aside_stays_and_so_does_what_was_moved_before(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    file = folder.cluster("c") / "logs" / "etcd.log"
    file.parent.mkdir(parents=True)
    file.write_text("old\n" * 100)
    bound_logs(folder, maximum_bytes=399)
    file.write_text("new\n" * 1000)
    before = {path.name: path.read_text() for path in file.parent.iterdir()}
    with no_file_larger_than(2000), pytest.raises(OSError, match="File too large"):
        bound_logs(folder, maximum_bytes=399)
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == before
    bound_logs(folder, maximum_bytes=399)
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == {
        "etcd.log": "",
        "etcd.log.1": before["etcd.log"],
    }


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


def test_a_log_is_read_after_what_was_moved_aside_from_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert list(read_whole_log(log, lines)) == []
    log.write_text("2\n")
    assert list(read_whole_log(log, lines)) == ["2"]
    log.rename(tmp_path / "a.log.1")
    assert list(read_whole_log(log, lines)) == ["2"]
    log.write_text("3\n")
    assert list(read_whole_log(log, lines)) == ["2", "3"]


@pytest.mark.parametrize("moment", range(2))
def test_a_rotation_while_files_are_opened_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    (tmp_path / "a-1.log").write_text("1\n")
    (tmp_path / "a.log").write_text("2\n")
    moments, opening = count(), logs._open

    def rotated(place: Path) -> TextIO:
        if next(moments) == moment:
            (tmp_path / "a.log").rename(tmp_path / "a-2.log")
            (tmp_path / "a.log").write_text("3\n")
        return opening(place)

    def files() -> list[Path]:
        return [*sorted(tmp_path.glob("a-*.log")), tmp_path / "a.log"]

    monkeypatch.setattr(logs, "_open", rotated)
    assert list(read_together(files, lines)) == ["1", "2", "3"]


def test_what_is_renamed_after_it_was_opened_is_read_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "a-1.log").write_text("1\n")
    (tmp_path / "a.log").write_text("2\n")
    found = read_together(lambda: [tmp_path / "a-1.log", tmp_path / "a.log"], lines)
    assert next(found) == "1"
    (tmp_path / "a.log").rename(tmp_path / "a-2.log")
    (tmp_path / "a.log").write_text("3\n")
    assert list(found) == ["2"]


def test_a_log_that_somebody_always_reads_does_not_grow_for_ever(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.supervisor_log.write_text("1\n2\n3\n")
    reading = read_whole_log(folder.supervisor_log, lines)
    assert next(reading) == "1"
    bound_logs(folder, maximum_bytes=2)
    assert folder.supervisor_log.read_text() == ""


def test_a_log_that_is_read_moves_aside_when_that_is_over(tmp_path: Path) -> None:
    folder = LabFolder(tmp_path)
    folder.supervisor_log.write_text("1\n2\n")
    reading = read_whole_log(folder.supervisor_log, lines)
    assert next(reading) == "1"
    bound_logs(folder, maximum_bytes=3)
    assert folder.supervisor_log.read_text() == "1\n2\n"
    assert list(reading) == ["2"]
    bound_logs(folder, maximum_bytes=1)
    assert folder.supervisor_log.read_text() == ""
    assert list(read_whole_log(folder.supervisor_log, lines)) == ["1", "2"]
