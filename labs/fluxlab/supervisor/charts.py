"""Where the archives of a chart repository are kept in a lab's folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from fluxlab.files import write_private
from fluxlab.state import LabFolder


def chart_place(folder: LabFolder, url: str) -> Path:
    """Where the archives for a chart repository's public URL are, or will be."""
    return folder.charts / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:12]


def chart_folder(folder: LabFolder, url: str) -> Path:
    """The folder of archives for a chart repository's public URL, made if need be; it remembers its URL."""
    place = chart_place(folder, url)
    if not (place / "url").exists():
        write_private(place / "url", url.rstrip("/"))
    return place


def chart_urls(folder: LabFolder) -> Sequence[str]:
    """The public URLs of the chart repositories that a lab serves."""
    return sorted(file.read_text() for file in folder.charts.glob("*/url"))
