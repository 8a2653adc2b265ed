"""How a program of the person at this machine goes through a lab's gateway: written down by the supervisor, 0600."""

import json
from collections.abc import Mapping
from pathlib import Path

from fluxlab.errors import FluxlabError
from fluxlab.files import write_private
from fluxlab.state import LabFolder


def tell_way_out(folder: LabFolder, *, proxy_url: str, authorities: Path) -> None:
    """Write it down."""
    write_private(folder.way_out, json.dumps({"HTTPS_PROXY": proxy_url, "SSL_CERT_FILE": str(authorities)}))


def way_out(folder: LabFolder) -> Mapping[str, str]:
    """The variables that lead to the lab's public URLs; the person's credentials for the real hosts stay at home.

    Raises FluxlabError before the lab serves.
    """
    try:
        variables = json.loads(folder.way_out.read_text())
    except (OSError, ValueError) as error:
        hint = f"fluxlab up --name {folder.name}"
        raise FluxlabError(f"lab {folder.name} does not serve yet", facts=[str(error)], hint=hint) from None
    own = folder.scratch
    return {**variables, "DOCKER_CONFIG": str(own), "HELM_REGISTRY_CONFIG": str(own / "registry.json")}
