"""Whom programs behind a lab's gateway trust: the gateway and, where hosts are allowed, whom this machine trusts."""

import ssl
from collections.abc import Sequence
from pathlib import Path

from fluxlab.errors import FluxlabError

PLACES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where Go's crypto/x509 looks: many systems keep a folder for OpenSSL, and no file where Python asks for one."""


def bundle(own: bytes, *, allowed: Sequence[str]) -> bytes:
    """A file of authorities, in PEM. Raises FluxlabError when nobody vouches for the hosts that are allowed."""
    return b"\n".join((_of_the_machine(allowed), own)) if allowed else own


def _of_the_machine(allowed: Sequence[str]) -> bytes:
    for place in filter(None, (ssl.get_default_verify_paths().cafile, *PLACES)):
        if Path(place).is_file():
            return Path(place).read_bytes()
    raise FluxlabError(
        f"this machine has no file of authorities, and {', '.join(allowed)} must be known by one",
        facts=[f"looked for: {', '.join(PLACES)}"],
        hint="install ca-certificates, or let SSL_CERT_FILE name such a file",
    )
