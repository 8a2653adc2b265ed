"""Options that several commands share, and how they choose a lab."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fluxlab.lab import Lab


class Output(StrEnum):
    """How a reading command prints."""

    TEXT = "text"
    JSON = "json"


def _complete_lab(incomplete: str) -> list[str]:
    from fluxlab.state import described_labs

    return [folder.name for folder in described_labs() if folder.name.startswith(incomplete)]


def _complete_lab_file(incomplete: str) -> list[str]:
    from fluxlab.lab_files import lab_file_names

    return [name for name in lab_file_names() if name.startswith(incomplete)]


LabFileArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="A lab file, or the name of one that comes with fluxlab; default: one cluster and one repository.",
        autocompletion=_complete_lab_file,
    ),
]
LabOption = Annotated[
    str | None,
    typer.Option(
        "--lab", "-l", envvar="FLUXLAB_LAB", help="The lab; default: the only one.", autocompletion=_complete_lab
    ),
]
ClusterOption = Annotated[str | None, typer.Option("--cluster", "-c", help="The cluster; default: the only one.")]
FirstClusterOption = Annotated[
    str | None, typer.Option("--cluster", "-c", help="The cluster; default: the first of the lab file.")
]
AllClustersOption = Annotated[str | None, typer.Option("--cluster", "-c", help="One cluster; default: all of them.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.")]


def _seconds(given: str | float) -> float:
    from fluxlab.durations import parse_duration
    from fluxlab.errors import UsageError

    try:
        return parse_duration(given) if isinstance(given, str) else given  # the default is a number
    except UsageError as error:
        raise typer.BadParameter(f"{error.what}: {error.facts[0]}") from None


TIMEOUT_SECONDS = 120.0
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        help="How long to wait at most: 90, 90s, 2m.",
        parser=_seconds,
        metavar="DURATION",
        show_default=f"{TIMEOUT_SECONDS:g}s",
    ),
]
MOMENTS = "14:02, 14:02:05, 2026-11-22T14:02, or 5m for five minutes ago."
LabArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="The lab; default: that of FLUXLAB_LAB, or the only one.", autocompletion=_complete_lab
    ),
]
FAULT_SECONDS = 300.0
ForOption = Annotated[
    float,
    typer.Option(
        "--for",
        help="Taken out after that time: 90, 30s, 2m.",
        parser=_seconds,
        metavar="DURATION",
        show_default=f"{FAULT_SECONDS:g}s",
    ),
]
FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="FOLDER", help="Where to; default: a folder named as the repository.")
]


def find_lab(name: str | None) -> "Lab":
    """The chosen lab."""
    from fluxlab.lab import Lab

    return Lab.find(name)
