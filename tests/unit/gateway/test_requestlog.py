"""The request log's file: bounded, whole lines, never in the way."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fluxlab.gateway import Entry, RequestLog
from fluxlab.redaction import MASK, Redactor


def entry(path: str = "/x", note: str = "") -> Entry:
    return Entry(asked_by="a", host="h", method="GET", path=path, status=200, bytes=1, duration_ms=1.5, note=note)


def test_it_moves_aside_once_and_stays_bounded(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "deep" / "gateway.log", Redactor(), maximum_bytes=1000)
    for number in range(100):
        log.write(entry(f"/{number}"))
    files = sorted(tmp_path.rglob("*"))
    assert [file.name for file in files if file.is_file()] == ["gateway.log", "gateway.log.1"]
    assert all(file.stat().st_size < 1300 for file in files if file.is_file())
    lines = [json.loads(line) for name in ("gateway.log.1", "gateway.log")
             for line in (tmp_path / "deep" / name).read_text().splitlines()]  # fmt: skip
    assert [line["path"] for line in lines] == [f"/{number}" for number in range(100 - len(lines), 100)]


def test_a_line_stays_a_line_whatever_it_holds(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log", Redactor())
    log.write(entry('/"\n\u2028\x00' + "é" * 100_000))
    (line,) = (tmp_path / "log").read_text().split("\n")[:-1]
    assert json.loads(line)["path"].startswith('/"\n\u2028\x00')
    assert len(line) < 5000


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log", Redactor())

    def work() -> None:
        for _ in range(50):
            log.write(entry("/y" * 500))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(line)["path"] for line in (tmp_path / "log").read_text().splitlines()] == ["/y" * 500] * 400


def test_a_secret_across_the_cut_is_masked_as_well(tmp_path: Path) -> None:
    secret = "canary-secret-value"
    log = RequestLog(tmp_path / "log", Redactor([secret]))
    for length in range(1970, 2001):
        log.write(entry("/" * length + secret))
    assert "canary" not in (tmp_path / "log").read_text()


def test_who_asked_and_how_stays_known_when_a_secret_holds_the_same_word(tmp_path: Path) -> None:
    asked = replace(entry("/production/x", note="production"), asked_by="production.source-controller", method="DELETE")
    RequestLog(tmp_path / "gateway.log", Redactor(["production", asked.method])).write(asked)
    line = json.loads((tmp_path / "gateway.log").read_text())
    assert (line["asked_by"], line["method"]) == (asked.asked_by, asked.method)
    assert (line["path"], line["note"]) == (f"/{MASK}/x", MASK)


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog(tmp_path / "log", Redactor())
    (tmp_path / "log").mkdir()
    log.write(entry())
    assert "cannot be written" in caplog.text


def test_of_a_host_whose_paths_are_secret_no_path_is_written_whoever_answered(tmp_path: Path) -> None:
    redactor = Redactor()
    redactor.hide_below("h")
    log = RequestLog(tmp_path / "log", redactor)
    log.write(entry("/services/canary", note="broken off"))
    log.write(entry(""))
    told = [json.loads(line)["path"] for line in (tmp_path / "log").read_text().splitlines()]
    assert told == [f"/{MASK}", ""]
