"""What commands print: answers on stdout, progress and errors on stderr, colours only on a terminal.

What would steer a terminal is written out: much of it was said by others.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from fluxlab.errors import FluxlabError
from fluxlab.timeline.text import visible

if TYPE_CHECKING:
    from fluxlab.flux.look import Convergence


def say(text: str) -> None:
    """One line of progress on stderr."""
    print(visible(text), file=sys.stderr, flush=True)


def tell(text: str) -> None:
    """A line of an answer, or several, on stdout."""
    print(visible(text))


def show_error(error: FluxlabError) -> None:
    """An error for a person: what, the last facts, what to type next."""
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    say(error.what)
    for fact in error.facts:
        for line in fact.splitlines():
            say(f"  {line}")
    if error.hint:
        typer.secho("next: ", fg="cyan", nl=False, err=True)
        say(error.hint)


def passed_through(hosts: Sequence[str]) -> str:
    """Which hosts are reached for real: what charts come from there, too."""
    return f"hosts passed through: {', '.join(hosts)} (what is there is public, and no stand-in)"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as kubectl prints them: no borders, so that other tools can read them too."""
    widths = [max(len(visible(row[column])) for row in (headings, *rows)) for column in range(len(headings))]
    for number, row in enumerate((headings, *rows)):
        line = "   ".join(visible(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        typer.secho(line, bold=number == 0)


class Ticker:
    """A line on stderr that says what is going on: rewritten in place on a terminal, one line per change elsewhere."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._last = ""

    def __call__(self, text: str) -> None:
        """Show `text` if it is news."""
        if text == self._last:
            return
        self._last = text
        elapsed = f"{time.monotonic() - self._began:5.1f} s  "
        if self._terminal:
            line = f"{elapsed}{visible(text)}"[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        else:
            say(f"{elapsed}{text}")

    def clear(self) -> None:
        """Take the line away again."""
        if self._terminal and self._last:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()


@contextmanager
def ticker() -> Iterator[Ticker]:
    """A Ticker that is cleared at the end."""
    shown = Ticker()
    try:
        yield shown
    finally:
        shown.clear()


def summary(looks: Sequence["Convergence"]) -> str:
    """One line about where a commit has arrived so far."""
    pending = [pending for seen in looks for pending in seen.pending]
    arrived = sum(len(seen.arrived) for seen in looks)
    if not pending:
        return f"{arrived} objects have arrived"
    return f"{arrived} arrived, {len(pending)} waiting, first {pending[0]}"
