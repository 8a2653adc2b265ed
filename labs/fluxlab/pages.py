"""Pages of HTML that need nothing else, made of the templates beside: everything in them is escaped."""

from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

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
    environment.filters.update(clock=clock, seconds=seconds, since=since, whole=whole)
    return environment


def _shown(value: object) -> object:
    """What becomes of a value before it is escaped: a text that nobody could read is cut."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = plain(value)
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]} … ({len(text) - LONGEST_TEXT} more characters are in the JSON)"


def whole(text: str) -> Markup:
    """A text that must not be cut, because it is copied."""
    return escape(plain(text))


def clock(time: datetime | None) -> str:
    """The time of a day, in UTC like all of a timeline."""
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03}" if time else ""


def seconds(value: float | None) -> str:
    """As people say it."""
    return "" if value is None else f"{round(value, 1 if value >= 1 else 2):g} s"


def offset(time: datetime, zero: datetime) -> str:
    """How long after moment zero something was."""
    return f"{round((time - zero).total_seconds(), 1) + 0.0:+.1f} s"  # the sum makes +0.0 of -0.0


@pass_context
def since(context: Context, time: datetime | None) -> str:
    """How long after the page's moment zero something was."""
    return offset(time, context["zero"]) if time else ""
