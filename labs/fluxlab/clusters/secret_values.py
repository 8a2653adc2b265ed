"""The values of a Secret, which nothing that fluxlab writes may contain."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping

from .api import KubeApi
from .objects import KubeObject
from .resources import HELM_STORAGE, SECRET

PUBLIC_KEYS = frozenset({"ca.crt", "tls.crt", "namespace", "type"})
"""What is no secret wherever it stands, and would mask ordinary words."""
_SIGNS = "*&!\"'"
"""What YAML takes for signs of its own around a value that stands there without quotes."""


def learn(add: Callable[[str], object], api: KubeApi) -> None:
    """Add the values of all Secrets of a cluster as text; Helm's storage, which is large, is not even read.

    Raises ApiError or ApiUnreachableError.
    """
    for secret in api.list(SECRET, query={"fieldSelector": f"type!={HELM_STORAGE}"}):
        for value in values_of(secret):
            add(value)


def values_of(subject: KubeObject) -> Iterator[str]:
    """The values of a Secret as text; nothing of any other object."""
    data = subject.raw.get("data") if subject.kind == "Secret" and subject.raw.get("type") != HELM_STORAGE else None
    if not isinstance(data, Mapping):
        return
    for key, encoded in data.items():
        if key in PUBLIC_KEYS:
            continue
        try:
            value = base64.b64decode(str(encoded)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue  # no text: it cannot stand in one
        # A file's last line end is not part of what is quoted. What Flux's postBuild puts into YAML has no line ends at
        # all, nor what YAML takes for signs: of `*name` it says that there is no anchor `name`.
        joined = value.replace("\n", "").strip()
        yield from {value, value.strip(), joined, joined.strip(_SIGNS)} - {""}
