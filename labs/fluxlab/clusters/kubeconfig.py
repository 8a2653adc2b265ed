"""Kubeconfig files: written for each component and for the user, read by the API client."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from fluxlab.documents import Json
from fluxlab.files import KeyPairFiles, write_private

from .objects import items_at, text_at


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to reach an API server: its URL, whom to trust, and the client's key pair."""

    server: str
    authority: Path
    client: KeyPairFiles


def write_kubeconfig(file: Path, *, context: str, access: Access) -> Path:
    """Write a kubeconfig (0600) with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [
            {"name": context, "cluster": {"server": access.server, "certificate-authority": str(access.authority)}}
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate": str(access.client.certificate),
                    "client-key": str(access.client.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }
    return write_private(file, yaml.dump(content, Dumper=yaml.CSafeDumper, sort_keys=False))


def read_kubeconfig(file: Path) -> Access:
    """The access of a kubeconfig with one context, as `write_kubeconfig` makes it. Raises OSError without the file."""
    content: Json = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    cluster, user = items_at(content, "clusters")[0], items_at(content, "users")[0]
    return Access(
        server=text_at(cluster, "cluster", "server"),
        authority=Path(text_at(cluster, "cluster", "certificate-authority")),
        client=KeyPairFiles(
            certificate=Path(text_at(user, "user", "client-certificate")),
            key=Path(text_at(user, "user", "client-key")),
        ),
    )
