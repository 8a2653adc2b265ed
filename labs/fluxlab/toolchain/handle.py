"""A complete installed toolchain, ready to be run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fluxlab.errors import UsageError

from .components import FLUX_MANIFESTS, KIND_COMPONENTS
from .entries import Entry, set_key
from .errors import OBTAIN, OBTAIN_KIND, ToolchainError
from .store import Store


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The programs of one toolchain; `key` changes when any of them does."""

    key: str
    programs: Mapping[str, Path]
    """Each program's file, in the folder of its component."""
    versions: Mapping[str, str]
    """Each component's version, without a leading v."""

    def binary(self, name: str) -> Path:
        """One of the programs."""
        if name not in self.programs:
            raise UsageError(f"no program is named {name!r}", facts=[f"there are: {', '.join(self.programs)}"])
        return self.programs[name]

    @property
    def search_path(self) -> str:
        """All programs, for a shell's PATH."""
        return os.pathsep.join(dict.fromkeys(str(program.parent) for program in self.programs.values()))

    @property
    def flux_manifests(self) -> Path:
        """What `flux install --export` prints: CRDs, RBAC, Services and Deployments of Flux."""
        return self.binary("flux").parent / FLUX_MANIFESTS


def open_toolchain(store: Store, wanted: Sequence[Entry], *, verify: bool = False) -> Toolchain:
    """The toolchain made of `wanted` in `store`. Raises ToolchainError that names what is missing or damaged."""
    found = {entry: store.condition(entry, verify=verify) for entry in wanted}
    damaged = [
        f"{entry.name} {entry.component.version} in {store.folder(entry)}: {condition.reason}"
        for entry, condition in found.items()
        if condition.state == "damaged"
    ]
    if damaged:
        raise ToolchainError("the toolchain is damaged", facts=damaged, hint="`fluxlab toolchain build` repairs it")
    missing = [entry for entry, condition in found.items() if condition.state == "missing"]
    if missing:
        named = ", ".join(f"{entry.name} {entry.component.version}" for entry in missing)
        only_kind = all(entry.component in KIND_COMPONENTS for entry in missing)
        raise ToolchainError(
            "kind is not installed" if only_kind else "the toolchain is not installed",
            facts=[f"missing in {store.root}: {named}"],
            hint=OBTAIN_KIND if only_kind else OBTAIN,
        )
    return Toolchain(
        key=set_key(wanted),
        programs=MappingProxyType(
            {name: store.folder(entry) / name for entry in wanted for name in entry.component.programs}
        ),
        versions=MappingProxyType({entry.name: entry.component.version for entry in wanted}),
    )
