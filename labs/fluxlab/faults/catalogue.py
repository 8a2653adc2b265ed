"""All faults by name: one list, a module for each layer."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from fluxlab.errors import UsageError

from . import controllers
from .base import Fault

_ALL: Sequence["type[AnyFault]"] = (controllers.ControllerPause,)
AnyFault: TypeAlias = "Fault[Any]"
CATALOGUE: Mapping[str, AnyFault] = {kind.name: kind() for kind in _ALL}


def find_fault(name: str) -> AnyFault:
    """A fault by name. Raises UsageError that names those there are."""
    if name not in CATALOGUE:
        facts = [f"there are: {', '.join(sorted(CATALOGUE))}"]
        raise UsageError(f"there is no fault {name!r}", facts=facts, hint="fluxlab faults")
    return CATALOGUE[name]
