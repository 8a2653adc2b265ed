"""All faults by name, layer by layer."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from fluxlab.errors import UsageError

from .base import Fault
from .layers import api, charts, controllers, etcd, git, humans, links, manifests, nodes, pods, secrets, sources

AnyFault: TypeAlias = "Fault[Any]"
_LAYERS = (git, charts, sources, links, api, etcd, controllers, nodes, pods, secrets, manifests, humans)
CATALOGUE: Mapping[str, AnyFault] = {kind.name: kind() for layer in _LAYERS for kind in layer.FAULTS}


def find_fault(name: str) -> AnyFault:
    """A fault by name. Raises UsageError that names those there are."""
    if name not in CATALOGUE:
        facts = [f"there are: {', '.join(sorted(CATALOGUE))}"]
        raise UsageError(f"there is no fault {name!r}", facts=facts, hint="fluxlab faults")
    return CATALOGUE[name]
