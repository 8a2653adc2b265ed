"""What commands print: tables that other programs can read, and progress that only a terminal rewrites."""

import io
from collections.abc import Callable

import pytest

from fluxlab.cli.output import Ticker, say, show_error, summary, table, tell, ticker
from fluxlab.errors import FluxlabError
from fluxlab.flux.look import Convergence
from fluxlab.flux.pending import Outlook, Pending

Captured = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_has_plain_columns(capsys: Captured) -> None:
    table(["NAME", "STATE"], [["one", "ready"], ["a-longer-name", ""]])
    assert capsys.readouterr() == ("NAME            STATE\none             ready\na-longer-name\n", "")


def test_a_table_without_rows_is_its_headings(capsys: Captured) -> None:
    table(["NAME", "STATE"], [])
    assert capsys.readouterr().out == "NAME   STATE\n"


def test_progress_goes_to_standard_error(capsys: Captured) -> None:
    say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_an_error_is_told_on_standard_error_with_facts_and_hint(capsys: Captured) -> None:
    show_error(FluxlabError("etcd died", facts=["exit code 1\nno space"], hint="df -h"))
    assert capsys.readouterr() == ("", "error: etcd died\n  exit code 1\n  no space\nnext: df -h\n")


def test_an_error_without_a_hint_has_no_next_step(capsys: Captured) -> None:
    show_error(FluxlabError("etcd died"))
    assert capsys.readouterr().err == "error: etcd died\n"


def test_where_there_is_no_terminal_each_news_is_a_line(capsys: Captured) -> None:
    with ticker() as tick:
        for text in ("one", "one", "two", "one"):
            tick(text)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" s  ")[1] for line in lines] == ["one", "two", "one"]
    assert all(float(line.split(" s  ")[0]) >= 0 for line in lines)


def test_on_a_terminal_the_line_is_rewritten_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("COLUMNS", "30")
    with ticker() as tick:
        tick("one")
        tick("x" * 100)
    text = screen.getvalue()
    assert "\n" not in text
    assert text.endswith("\r\x1b[2K")
    assert max(len(line) for line in text.replace("\x1b[2K", "").split("\r")) == 29


def test_the_line_is_taken_away_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)

    def fail(tick: Ticker) -> None:
        tick("one")
        raise KeyError

    with pytest.raises(KeyError), ticker() as shown:
        fail(shown)
    assert screen.getvalue().endswith("\r\x1b[2K")


@pytest.mark.parametrize(
    "show",
    [
        say,
        tell,
        lambda text: show_error(FluxlabError(text, facts=[text], hint=text)),
        lambda text: table(["NAME"], [[text]]),
        Ticker(),
    ],
    ids=["say", "tell", "show_error", "table", "a ticker"],
)
def test_what_would_steer_a_terminal_is_written_out_by_whatever_shows_it(
    capsys: Captured, show: Callable[[str], object]
) -> None:
    steering = "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x2066, 0x2028, 0xD800]))
    show(f"tab\tnaïve 😀 {steering} end")
    shown = "".join(capsys.readouterr())
    assert {sign for sign in shown if sign in steering} == set()
    assert shown.count("tab\tnaïve 😀 \\x00\\x01") == shown.count("\\x1b") == shown.count("\\u202e\\u2066")
    assert shown.count(" end") == shown.count("\\ud800")


def test_columns_stand_one_below_the_other_also_where_something_was_written_out(capsys: Captured) -> None:
    table(["NAME", "STATE"], [["a\x1b[2J", "ready"], ["b", "dead"]])
    heading, *rows = capsys.readouterr().out.splitlines()
    assert [row.index(word) for row, word in zip(rows, ["ready", "dead"], strict=True)] == [heading.index("STATE")] * 2


def test_a_ticker_that_said_nothing_clears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    Ticker().clear()
    assert screen.getvalue() == ""


def test_a_summary_counts_over_all_clusters_and_names_the_first_that_waits() -> None:
    waits = Pending(object="Kustomization a/b", outlook=Outlook.WAITING, why="is suspended")
    looks = [
        Convergence(cluster="one", commit="c", arrived=("x", "y"), pending=()),
        Convergence(cluster="two", commit="c", arrived=("x",), pending=(waits,)),
    ]
    assert summary(looks) == "3 arrived, 1 waiting, first Kustomization a/b: is suspended"
    assert summary(looks[:1]) == "2 objects have arrived"
    assert summary([]) == "0 objects have arrived"
