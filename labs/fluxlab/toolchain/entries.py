"""What identifies a built component: a key over everything that decides what it becomes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .components import Component
from .errors import ToolchainError
from .platforms import Platform

LICENCES = "licences.json"
RECIPE_EDITION = 1
"""Raised when the way to build changes in a way that the fields of a component do not show."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One component for one platform, and the folder name under which its build is stored.

    The key covers go.mod, go.sum, the recipe, the platform and the versions of other components that go in. It leaves
    out the version of Go: a run needs no Go to look its programs up, and a newer Go must not cause a new build.
    """

    component: Component
    platform: Platform
    key: str

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def folder_name(self) -> str:
        """The name of its folder in the store."""
        return f"{self.name}-{self.component.version}-{self.key[:12]}"

    @property
    def other_names(self) -> tuple[str, ...]:
        """Further names of its program: links to the first."""
        return self.component.programs[1:]

    @property
    def files(self) -> tuple[str, ...]:
        """What its folder must hold besides its manifest: the programs first."""
        return (*self.component.programs, *self.component.generated, LICENCES)


def entries(components: Sequence[Component], *, platform: Platform) -> tuple[Entry, ...]:
    """The entries of a whole set, in the order in which they are built."""
    by_name = {component.name: component for component in components}
    return tuple(
        Entry(component=component, platform=platform, key=_key(component, platform=platform, others=by_name))
        for component in components
    )


def set_key(chosen: Sequence[Entry]) -> str:
    """One key for a whole set: it changes when any of the keys does."""
    lines = sorted(f"{entry.name} {entry.key}" for entry in chosen)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _key(component: Component, *, platform: Platform, others: dict[str, Component]) -> str:
    content = {
        "edition": RECIPE_EDITION,
        "component": [component.name, component.package, component.module, component.recipe],
        "variables": component.variables,
        "generated": component.generated,
        **({"names": component.names} if component.names else {}),
        "platform": str(platform),
        "files": {name: _digest(component.folder / name) for name in component.files},
        "inputs": {name: f"{others[name].module}@{others[name].version}" for name in component.inputs},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise ToolchainError(f"{path} is missing: this installation of fluxlab is incomplete") from error
