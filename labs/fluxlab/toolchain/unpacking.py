"""Read a bundle that may come from anywhere: a stream of plain files, each as its manifest says, and nothing else."""

from .archives import NAME, Archive, Refusal
from .contents import LARGEST_MANIFEST, Contents
from .errors import ToolchainError


class BundleRefusedError(ToolchainError):
    """A file that is no bundle, was altered or cut short, or is not the bundle that was asked for."""


def read_contents(archive: Archive) -> Contents:
    """What a bundle says about itself. Raises Refusal."""
    try:
        return Contents.parse(archive.manifest(largest=LARGEST_MANIFEST))
    except (ValueError, RecursionError) as error:
        raise Refusal(f"its {NAME} cannot be read: {error}") from error
