"""Pages of HTML that need nothing else, made of the templates beside: everything in them is escaped."""

from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from .junit import plain

LONGEST_TEXT = 600
"""What is quoted of one text; the rest is in the JSON."""


def render(template: str, **context: object) -> str:
    """A page. What is not in the context and asked for raises."""
    return _environment().get_template(template).render(context)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(clock=clock, seconds=seconds, since=since, short=short)
    return environment


def _shown(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clock(time: datetime | None) -> str:
    """The time of a day, in UTC like all of a timeline."""
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03}" if time else ""


def seconds(value: float | None) -> str:
    """As people say it."""
    return "" if value is None else f"{round(value, 1 if value >= 1 else 2):g} s"


@pass_context
def since(context: Context, time: datetime | None) -> str:
    """How long after the page's moment zero something was."""
    return f"{(time - context['zero']).total_seconds():+.1f} s" if time else ""


def short(text: str) -> str:
    """The beginning of a text that is too long to be read."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]} … ({len(text) - LONGEST_TEXT} more characters are in the JSON)"
