"""How long, as people type it: `90`, `90s`, `2m`, `1h30m`."""

import re

from .errors import UsageError

_DURATION = re.compile(
    r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s?)?", re.ASCII
)
_SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def parse_duration(text: str) -> float:
    """Seconds, more than none; a number without a unit is seconds. Raises UsageError."""
    found = _DURATION.fullmatch(text)
    seconds = sum(_SECONDS[unit] * float(value) for unit, value in found.groupdict().items() if value) if found else 0
    if not seconds:
        raise UsageError(f"{text!r} is no duration", facts=["such as 90, 90s, 2m or 1h30m"])
    return seconds
