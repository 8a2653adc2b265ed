"""How a program of the person at this machine goes through a lab's gateway: written down by the supervisor, 0600."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from fluxlab.errors import FluxlabError
from fluxlab.files import write_private
from fluxlab.state import LabFolder


def tell_way_out(folder: LabFolder, *, proxy_url: str, authorities: Path) -> None:
    """Write it down, for a shell to read.

    The person's own exceptions must not lead past the gateway, nor their credentials for the real hosts into it.
    """
    own = folder.scratch
    variables = {
        "HTTPS_PROXY": proxy_url,
        "HTTP_PROXY": proxy_url,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "SSL_CERT_FILE": str(authorities),
        "DOCKER_CONFIG": str(own),
        "HELM_REGISTRY_CONFIG": str(own / "registry.json"),
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    write_private(folder.way_out, "".join(lines))


def way_out(folder: LabFolder) -> Mapping[str, str]:
    """The variables that lead to the lab's public URLs. Raises FluxlabError before the lab serves."""
    try:
        words = shlex.split(folder.way_out.read_text())
    except OSError as error:
        hint = f"fluxlab up --name {folder.name}"
        raise FluxlabError(f"lab {folder.name} does not serve yet", facts=[str(error)], hint=hint) from None
    pairs = (word.partition("=") for word in words if word != "export")
    return {name: value for name, _, value in pairs}
