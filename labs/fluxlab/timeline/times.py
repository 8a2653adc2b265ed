"""Moments as people type them: `14:02`, `14:02:05`, `2026-11-22T14:02`, RFC 3339, or `5m` for five minutes ago."""

import re
from datetime import datetime, timedelta

from fluxlab.durations import parse_duration
from fluxlab.errors import UsageError

_AGO = re.compile(r"[0-9.dhms]*[dhms]")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?")


def parse_moment(text: str, *, now: datetime) -> datetime:
    """The moment that is meant, where a time without a zone is local, and one without a day the last such time.

    Raises UsageError.
    """
    try:
        if _AGO.fullmatch(text):
            return now - timedelta(seconds=parse_duration(text))
        if _CLOCK.fullmatch(text):
            local = now.astimezone()
            hour, _, rest = text.partition(":")
            found = datetime.fromisoformat(f"{local:%Y-%m-%d}T{hour:0>2}:{rest}").astimezone()
            return found if found <= local + timedelta(minutes=1) else found - timedelta(days=1)
        return datetime.fromisoformat(text).astimezone()
    except (UsageError, ValueError, OverflowError):
        facts = ["a time: 14:02, 14:02:05 or 2026-11-22T14:02", "or how long ago: 90s, 5m, 2h30m"]
        raise UsageError(f"{text!r} is no time", facts=facts) from None
