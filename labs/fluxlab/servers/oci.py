"""What goes into a registry from outside, by the upstream clients."""

from collections.abc import Mapping
from pathlib import Path

from fluxlab.commands import run

from .chart_archives import digest, read_metadata
from .charts import ChartVersion


def registry_host(url: str) -> str:
    """The host of an `oci://` URL."""
    return url.removeprefix("oci://").split("/", maxsplit=1)[0]


def push_chart(archive: Path, url: str, *, helm: Path, environment: Mapping[str, str]) -> ChartVersion:
    """Push a chart archive to the registry behind an `oci://` URL, which `environment` leads to.

    Raises ChartError when it is no usable archive, CommandError when Helm cannot push it.
    """
    metadata = read_metadata(archive)
    run([helm, "push", archive, url], environment=environment)
    return ChartVersion(
        name=metadata.name,
        version=metadata.version,
        digest=digest(archive),
        description=metadata.description,
        app_version=metadata.app_version,
        stand_in=metadata.stand_in,
    )
