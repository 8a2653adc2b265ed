"""Where the toolchain is: the folder that the user names, the cache, or a bundle that the user names."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .components import COMPONENTS, KIND_COMPONENTS, Component
from .entries import entries
from .errors import ToolchainError
from .handle import Toolchain, open_toolchain
from .platforms import Platform
from .store import State, Store

FOLDER_VARIABLE = "FLUXLAB_TOOLCHAIN"
BUNDLE_VARIABLE = "FLUXLAB_TOOLCHAIN_BUNDLE"
CACHE_VARIABLE = "FLUXLAB_CACHE_DIR"


def cache_store() -> Store:
    """The store in the user's cache directory, or in FLUXLAB_CACHE_DIR."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Store(root=Path(named).absolute() / "toolchain")
    from platformdirs import user_cache_path  # noqa: PLC0415  not needed when the user names a folder

    return Store(root=user_cache_path("fluxlab") / "toolchain")


def named_store() -> Store | None:
    """The store that FLUXLAB_TOOLCHAIN names, if it is set: only looked into, never written to."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Store(root=Path(named).absolute()) if named else None


def find(*, verify: bool = False, components: Sequence[Component] = COMPONENTS) -> Toolchain:
    """The installed toolchain; takes milliseconds and starts no process.

    Looked for in the folder that FLUXLAB_TOOLCHAIN names, and nowhere else when it is set; then in the cache; then in
    the bundle that FLUXLAB_TOOLCHAIN_BUNDLE names, which is installed into the cache, once. With `verify` every file
    is read and compared with its digest, otherwise only those whose size or time differs from the recorded one.

    Raises ToolchainError that says what is missing or damaged and how to get it.
    """
    wanted = entries(components, platform=Platform.native())
    if named := named_store():
        return _open_named(named, verify=verify, components=components)
    bundle = os.environ.get(BUNDLE_VARIABLE)
    try:
        return open_toolchain(cache_store(), wanted, verify=verify)
    except ToolchainError:
        if not bundle or components == KIND_COMPONENTS:  # which no bundle holds
            raise
    from .installing import install  # noqa: PLC0415  needed once, not at every start

    return install(Path(bundle), components=components)


def _open_named(store: Store, *, verify: bool, components: Sequence[Component]) -> Toolchain:
    try:
        return open_toolchain(store, entries(components, platform=Platform.native()), verify=verify)
    except ToolchainError as error:
        hint = f"{FOLDER_VARIABLE} is set to {store.root}: let it name a toolchain of this fluxlab, or unset it"
        raise ToolchainError(error.what, facts=error.facts, hint=hint) from error


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    """How one component is installed; `reason` says what is wrong with a damaged one."""

    name: str
    programs: tuple[str, ...]
    version: str
    state: State
    path: Path
    size: int | None
    go: str | None
    built_at: str | None
    reason: str = ""


def status(*, verify: bool = False, components: Sequence[Component] = COMPONENTS) -> list[ComponentStatus]:
    """The state of each component in the store that `find` looks into first."""
    store = named_store() or cache_store()
    found = []
    for entry in entries(components, platform=Platform.native()):
        condition = store.condition(entry, verify=verify)
        manifest = condition.manifest
        found.append(
            ComponentStatus(
                name=entry.name,
                programs=entry.component.programs,
                version=entry.component.version,
                state=condition.state,
                path=store.folder(entry) / entry.component.programs[0],
                size=sum(record.size for record in set(manifest.files.values())) if manifest else None,
                go=manifest.go if manifest else None,
                built_at=manifest.built_at if manifest else None,
                reason=condition.reason,
            )
        )
    return found
