"""Read the log files of a lab."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from .errors import UsageError
from .processes import tail
from .state import LabFolder

FOLLOW_SECONDS = 0.2


def log_files(folder: LabFolder) -> Mapping[str, Path]:
    """The logs of a lab by component: `supervisor`, `gateway` and `cluster/component`."""
    files = {"supervisor": folder.supervisor_log, "gateway": folder.gateway_log}
    for file in sorted((folder.root / "clusters").glob("*/logs/*.log")):
        files[f"{file.parent.parent.name}/{file.stem}"] = file
    return {name: file for name, file in files.items() if file.exists()}


def read_log(files: Mapping[str, Path], component: str, *, lines: int, follow: bool) -> Iterator[str]:
    """The last lines of a component's log, and with `follow` whatever is added to it.

    The part of a name after the slash is enough where only one cluster has it. Raises UsageError on an unknown name.
    """
    matches = [name for name in files if component in {name, name.rpartition("/")[2]}]
    if len(matches) != 1:
        raise UsageError(f"no one log is named {component!r}", facts=[f"there are: {', '.join(matches or files)}"])
    file = files[matches[0]]
    for line in tail(file, lines) if lines else ():
        yield f"{line}\n"
    if follow:
        yield from _follow(file)


def _follow(file: Path) -> Iterator[str]:
    with file.open(errors="replace") as text:
        text.seek(0, 2)
        while True:
            if added := text.readline():
                yield added
            else:
                time.sleep(FOLLOW_SECONDS)  # a file has no event to wait for
