"""What programs count of themselves: Prometheus' text format, asked where their own command line says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil
import urllib3

from .errors import UnknownError

ASK_SECONDS = 5.0
_LINE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ADDRESS = "--metrics-addr="


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One number."""

    name: str
    value: float
    line: str
    """As the program says it."""
    labels: Mapping[str, str] = field(default_factory=dict)


def samples_of(pid: int | None, *, program: str) -> Sequence[Sample]:
    """All numbers of a running program. Raises UnknownError, with its name, where it tells none."""
    try:
        words = psutil.Process(pid).cmdline() if pid else []
    except psutil.Error:
        words = []  # it has just ended
    address = next((word.removeprefix(_ADDRESS) for word in words if word.startswith(_ADDRESS)), "")
    if not address:
        raise UnknownError(f"{program} serves no metrics, or does not run")
    try:
        answer = urllib3.request("GET", f"http://{address}/metrics", timeout=ASK_SECONDS, retries=False)
    except urllib3.exceptions.HTTPError as error:
        raise UnknownError(f"http://{address}/metrics does not answer", facts=[str(error)]) from error
    return parsed(answer.data.decode(errors="replace"))


def parsed(text: str) -> Sequence[Sample]:
    """The numbers in a text, in their order."""
    return [_sample(found) for line in text.splitlines() if (found := _LINE.fullmatch(line))]


def _sample(found: re.Match[str]) -> Sample:
    labels = dict(_LABEL.findall(found["labels"] or ""))
    return Sample(name=found["name"], value=float(found["value"]), line=found[0], labels=labels)
