"""Where the parts of a lab's timeline are: its own journals, and the files that others write."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from fluxlab.errors import FluxlabError
from fluxlab.redaction import Redactor
from fluxlab.state import LabFolder

from .learned import read_learned

if TYPE_CHECKING:
    from fluxlab.spec import SinkSpec

RECORDER = "recorder"
SUPERVISOR = "supervisor"
FAULTS = "faults"
"""Who writes down what was broken on purpose; one process at a time."""


@dataclass(frozen=True)
class TimelineFolder:
    """The timeline of one lab."""

    lab: LabFolder

    def journal(self, writer: str) -> Path:
        """The folder of one writer's journal."""
        return self.lab.timeline / writer

    @property
    def clusters(self) -> list[str]:
        """The names of the clusters."""
        return sorted(path.name for path in (self.lab.root / "clusters").glob("*") if path.is_dir())

    def sinks(self) -> "Sequence[SinkSpec]":
        """What is at each host at which alerts end, by host. Raises FluxlabError for a file that does not say it."""
        return [_sink(file) for file in self._sink_files()]

    def _sink_files(self) -> Sequence[Path]:
        """A file for each host, named by it. What a killed `write_private` has left begins with a dot."""
        return sorted(self.lab.sinks.glob("[!.]*"))

    @property
    def learned(self) -> Path:
        """The values that Secrets of the clusters have or had, as far as the recorder has seen them. Not beside its
        journal, which people copy.
        """
        return self.lab.root / "secret-values.json"

    def redactor(self) -> Redactor:
        """What masks all that the lab's folder knows to be secret."""
        redactor = Redactor()
        self.teach(redactor)
        return redactor

    def teach(self, redactor: Redactor) -> None:
        """Have a redactor mask what the lab's folder knows to be secret by now: hosts of alerts are added any time."""
        for value in self._secrets():
            redactor.add(value)
        for file in self._sink_files():
            redactor.hide_below(file.name)

    def _secrets(self) -> Iterator[str]:
        """The values in the lab's own private files: what Secrets of its clusters hold or held, tokens of repositories,
        and passwords for the gateway.
        """
        yield from read_learned(self.learned)
        for file in sorted(self.lab.repositories.glob("*.token")):
            yield file.read_text().strip()
        if self.lab.way_out.exists():
            for word in self.lab.way_out.read_text().split():
                if "@" in word and "://" in word:
                    yield unquote(word.partition("://")[2].rpartition("@")[0].partition(":")[2])


def _sink(file: Path) -> "SinkSpec":
    from pydantic import ValidationError  # noqa: PLC0415  the recorder, which needs no sinks, starts without it

    from fluxlab.spec import SinkSpec  # noqa: PLC0415  as above

    try:
        return SinkSpec.model_validate_json(file.read_text())
    except ValidationError as error:
        what = f"{file} does not say what is at {file.name}, where alerts end"
        raise FluxlabError(what, facts=[error.errors()[0]["msg"]], hint=f"rm {shlex.quote(str(file))}") from error
