"""The errors of the toolchain, and the words for a disk that is full."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from fluxlab.errors import FluxlabError

RETRY = "`fluxlab toolchain build` tries again; components that are finished stay"
OBTAIN = (
    "`fluxlab toolchain build` (needs a network; 15 to 20 minutes on two cores) or `fluxlab toolchain install FILE`"
)
OBTAIN_KIND = "`fluxlab toolchain build --with kind` (needs a network; half a minute once the rest is there)"
FULL_BUILD = "a full build needs about 16 GB while it runs and leaves 1 GB"


class ToolchainError(FluxlabError):
    """A program is missing, damaged, could not be built, or a bundle was refused."""


class DiskFullError(ToolchainError):
    """There was no room for what had to be written."""

    def __init__(self, doing: str, *, place: Path) -> None:
        existing = next(folder for folder in (place, *place.parents) if folder.exists())
        free = shutil.disk_usage(existing).free / 1e9
        super().__init__(
            f"{doing}: no space left on the disk of {place}",
            facts=[f"{free:.1f} GB free; {FULL_BUILD}"],
            hint=f"free some space, or set FLUXLAB_CACHE_DIR to a folder on a larger disk; {RETRY}",
        )


@contextlib.contextmanager
def storage_errors(doing: str, *, place: Path) -> Iterator[None]:
    """Turn what the operating system says about files into an error that names the place and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(doing, place=place) from error
        hint = f"check that {place} can be written, or set FLUXLAB_CACHE_DIR to another folder"
        raise ToolchainError(f"{doing}: {error}", hint=hint) from error
