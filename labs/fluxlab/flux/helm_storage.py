"""What Helm keeps of a release: in a Secret of which the HelmRelease's status tells the name."""

import base64
import binascii
import gzip
import json
import zlib

from fluxlab.clusters.objects import KubeObject, dig, items_at, number_at, text_at
from fluxlab.documents import Json
from fluxlab.errors import UnknownError

PREFIX = "sh.helm.release.v1."
"""How Helm calls the Secrets in which it keeps its releases."""


def secret_name(name: str, version: int) -> str:
    """That of one version of a release."""
    return f"{PREFIX}{name}.v{version}"


def newest(release: KubeObject) -> Json:
    """What the status of a HelmRelease says of its newest release; None before there is one."""
    return next(iter(items_at(release.raw, "status", "history")), None)


def namespace_of(release: KubeObject) -> str:
    """Where Helm keeps what it knows of a release."""
    return text_at(release.raw, "status", "storageNamespace") or release.namespace


def storage_of(release: KubeObject, *, later: int = 0) -> tuple[str, str]:
    """Namespace and name of the Secret in which Helm keeps the newest release, or would keep one some releases later.

    Raises UnknownError without any.
    """
    last = newest(release)
    if last is None:
        raise UnknownError(f"{release} has released nothing yet")
    return namespace_of(release), secret_name(text_at(last, "name"), number_at(last, "version") + later)


def manifest_of(release: KubeObject, stored: KubeObject | None) -> str:
    """The manifest of the newest release, from that Secret. Raises UnknownError when it does not tell."""
    return text_at(_unpacked(release, stored), "manifest")


def values_of(release: KubeObject, stored: KubeObject | None) -> Json:
    """The values that the newest release was given besides its chart's. Raises as `manifest_of`."""
    return dig(_unpacked(release, stored), "config")


def _unpacked(release: KubeObject, stored: KubeObject | None) -> Json:
    what = f"{release}: Secret {'/'.join(storage_of(release))}, in which Helm keeps it,"
    if stored is None:
        raise UnknownError(f"{what} is not there")
    packed = text_at(stored.raw, "data", "release")
    try:  # Helm packs it once, and Kubernetes encodes it once more, as it does all that a Secret holds
        unpacked: Json = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(packed))))
    except (binascii.Error, OSError, EOFError, zlib.error, ValueError) as error:
        raise UnknownError(f"{what} cannot be read", facts=[str(error)]) from None
    return unpacked
