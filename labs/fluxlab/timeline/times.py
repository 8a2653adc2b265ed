"""Moments as people type them: `14:02`, `14:02:05`, `2026-11-22T14:02`, RFC 3339, or `5m` for five minutes ago."""

import re
from datetime import datetime, timedelta

from fluxlab.errors import UsageError

_AGO = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s)?")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?")


def parse_moment(text: str, *, now: datetime) -> datetime:
    """The moment that is meant, where a time without a zone is local, and one without a day the last such time.

    Raises UsageError.
    """
    try:
        ago = _AGO.fullmatch(text)
        if text and ago:
            return now - timedelta(**{unit: float(value) for unit, value in ago.groupdict().items() if value})
        if _CLOCK.fullmatch(text):
            local = now.astimezone()
            hour, _, rest = text.partition(":")
            found = datetime.fromisoformat(f"{local:%Y-%m-%d}T{hour:0>2}:{rest}").astimezone()
            return found if found <= local + timedelta(minutes=1) else found - timedelta(days=1)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        facts = ["a time: 14:02, 14:02:05 or 2026-11-22T14:02", "or how long ago: 90s, 5m, 2h30m"]
        raise UsageError(f"{text!r} is no time", facts=facts) from None
