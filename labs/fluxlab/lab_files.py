"""Fill the chart repositories that a lab file names."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UsageError

if TYPE_CHECKING:
    from .lab import Lab


def with_charts(lab: "Lab", file: Path | None, *, progress: Callable[[str], None]) -> None:
    """Add the charts of the lab's spec, relative to the lab file. Raises UsageError on a missing one."""
    base = file.parent if file else Path()
    for repository in lab.spec.charts:
        for chart in repository.charts:
            source = base / chart
            if not source.exists():
                raise UsageError(f"{source}: no such chart", facts=[f"{file} names it for {repository.url}"])
            progress(f"adding {source.name} to {repository.url}")
            lab.add_chart(source, url=repository.url)
