"""Read a bundle that may come from anywhere: a stream of plain files, each as its manifest says, and nothing else."""

import tarfile

from .archives import NAME, Refusal, read_manifest
from .contents import LARGEST_MANIFEST, Contents
from .errors import ToolchainError


class BundleRefusedError(ToolchainError):
    """A file that is no bundle, was altered or cut short, or is not the bundle that was asked for."""


def read_contents(archive: tarfile.TarFile) -> Contents:
    """What a bundle says about itself. Raises Refusal."""
    try:
        return Contents.parse(read_manifest(archive, largest=LARGEST_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its {NAME} cannot be read: {error}") from error
