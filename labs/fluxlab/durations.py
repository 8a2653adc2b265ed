"""How long, as people type it: `90`, `90s`, `2m`, `1h30m`; and as Kubernetes' objects write it."""

import re
from datetime import timedelta

from .errors import UsageError

_DURATION = re.compile(
    r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s?)?", re.ASCII
)
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}
LONGEST_SECONDS = 366 * 86400
_SECONDS = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def parse_duration(text: str) -> float:
    """Seconds, more than none; a number without a unit is seconds. Raises UsageError."""
    found = _DURATION.fullmatch(text)
    seconds = sum(_SECONDS[unit] * float(value) for unit, value in found.groupdict().items() if value) if found else 0
    if not seconds:
        raise UsageError(f"{text!r} is no duration", facts=["such as 90, 90s, 2m or 1h30m"])
    if seconds > LONGEST_SECONDS:
        raise UsageError(f"{text!r} is longer than a year")
    return seconds


def interval_of(text: str) -> timedelta | None:
    """An interval as Flux's objects have it, such as `1h30m0s` or `500ms`; None for anything else."""
    if not text or _PARTS.sub("", text):
        return None
    return sum((timedelta(**{_UNITS[unit]: float(value)}) for value, unit in _PARTS.findall(text)), timedelta())
