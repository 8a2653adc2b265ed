"""Kubeconfig files: written for each component and for the user, read by the API client."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from fluxlab.documents import Json, JsonObject
from fluxlab.files import KeyPairFiles, write_private

from .objects import dig, items_at, text_at


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach an API server: its URL, whom to trust, and how the client says who it is."""

    server: str
    authority: Path | None
    """None for the authorities that this machine trusts."""
    client: KeyPairFiles | None = None
    token: str = ""
    token_file: Path | None = None
    plugin: JsonObject | None = None
    """A program that gives credentials: the `exec` of a kubeconfig."""
    server_name: str = ""
    verified: bool = True
    """False where the owner of the kubeconfig does not want to know whom they talk to."""


def write_kubeconfig(file: Path, *, context: str, server: str, authority: Path, client: KeyPairFiles) -> Path:
    """Write a kubeconfig (0600) with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate": str(client.certificate),
                    "client-key": str(client.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }
    return write_private(file, yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False))


def read_kubeconfig(file: Path) -> Access:
    """The access of a kubeconfig of the lab's: one context, certificates in files. Raises OSError without the file."""
    content: Json = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    cluster = dig(items_at(content, "clusters")[0], "cluster")
    user = dig(items_at(content, "users")[0], "user")
    authority, token_file = text_at(cluster, "certificate-authority"), text_at(user, "tokenFile")
    certificate, plugin = text_at(user, "client-certificate"), dig(user, "exec")
    return Access(
        server=text_at(cluster, "server"),
        authority=Path(authority) if authority else None,
        client=KeyPairFiles(certificate=Path(certificate), key=Path(text_at(user, "client-key")))
        if certificate
        else None,
        token=text_at(user, "token"),
        token_file=Path(token_file) if token_file else None,
        plugin=plugin if isinstance(plugin, dict) else None,
        server_name=text_at(cluster, "tls-server-name"),
        verified=dig(cluster, "insecure-skip-tls-verify") is not True,
    )
