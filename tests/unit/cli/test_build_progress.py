"""How a build is told: a line for each component, and on a terminal the time of the one that is built now."""

import io
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from fluxlab.cli import build_progress
from fluxlab.cli.build_progress import BuildProgress

Eventually = Callable[[Callable[[], object]], None]
Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What takes the place of stderr; in the test itself, because pytest replaces it between its phases."""
    made = Terminal()
    monkeypatch.setattr("sys.stderr", made)
    return made


def test_in_a_log_each_component_is_announced_and_told_with_its_time(capsys: Captured) -> None:
    progress = BuildProgress()
    progress.planned(["etcd", "helm"])
    with progress.ticking():
        progress.waiting("etcd")
        progress.started("etcd")
        progress.finished("etcd", seconds=12.4)
        progress.started("helm")
        progress.failed("helm", seconds=3.6)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "building 2 components: etcd, helm",
        "another process is building; waiting for it before etcd",
        "[1/2] etcd ...",
        "[1/2] etcd built in 12 s",
        "[2/2] helm ...",
        "[2/2] helm failed after 4 s",
    ]


def test_where_nothing_is_to_be_built_nothing_is_said(capsys: Captured) -> None:
    BuildProgress().planned([])
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_time_goes_on_until_the_component_is_there(
    monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    screen = terminal(monkeypatch)
    now = 1000.0
    monkeypatch.setattr(build_progress, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(build_progress, "TICK_SECONDS", 0.001)
    progress = BuildProgress()
    progress.planned(["etcd"])
    with progress.ticking():
        progress.started("etcd")
        eventually(lambda: "\r\x1b[2K[1/1] etcd 0 s" in screen.getvalue())
        now = 1075.0
        eventually(lambda: "\r\x1b[2K[1/1] etcd 75 s" in screen.getvalue())
        progress.finished("etcd", seconds=75)
    assert screen.getvalue().endswith("\r\x1b[2K[1/1] etcd built in 75 s\n")


def test_no_thread_is_left_when_a_build_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    before = set(threading.enumerate())
    with pytest.raises(KeyError), BuildProgress().ticking():
        raise KeyError
    assert set(threading.enumerate()) <= before
    assert screen.getvalue() == ""
