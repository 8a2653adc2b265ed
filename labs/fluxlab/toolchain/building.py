"""Build what is missing: one component after the other, each once, whatever interrupts."""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from . import golang, recipes
from .components import COMPONENTS, Component
from .entries import Entry, entries
from .errors import DiskFullError, storage_errors
from .golang import Go
from .handle import Toolchain, open_toolchain
from .lookup import cache_store, find, named_store
from .platforms import Platform
from .progress import Progress, Silent
from .store import Store

TOOLS = ("kubectl", "flux")
"""What a build for another platform runs on this one."""


def build(
    *,
    progress: Progress | None = None,
    keep_build_cache: bool = False,
    jobs: int | None = None,
    platform: Platform | None = None,
    components: Sequence[Component] = COMPONENTS,
) -> Toolchain:
    """The toolchain in the cache, after building what is missing or damaged there.

    Components that are finished stay when a later one fails or the build is interrupted. `jobs` limits how many
    compilers Go runs at once. With `keep_build_cache` what Go keeps between builds stays, until something is built
    without it. `platform` is another one to build for, then to be bundled. With FLUXLAB_TOOLCHAIN set,
    nothing is built: what it names is verified.

    Raises ToolchainError that names the component, quotes the last lines, and says how to go on.
    """
    if named_store():
        return find(verify=True, components=components)
    native = Platform.native()
    target = platform or native
    shop = _Builder(cache_store(), components=components, progress=progress or Silent(), jobs=jobs)
    if target != native:
        shop.build_missing(native, [component for component in components if component.name in TOOLS])
    shop.build_missing(target, components)
    if keep_build_cache:
        shop.keep_build_cache()
    elif not shop.keeps_build_cache:
        shop.clear_build_cache()
    return open_toolchain(cache_store(), entries(components, platform=target))


class _Builder:
    """One call of `build`."""

    def __init__(self, store: Store, *, components: Sequence[Component], progress: Progress, jobs: int | None) -> None:
        self._store = store
        self._components = components
        self._progress = progress
        self._jobs = jobs
        self._known_go: Go | None = None

    def build_missing(self, platform: Platform, components: Sequence[Component]) -> None:
        """Build what the store lacks, in order."""
        names = {component.name for component in components}
        wanted = [entry for entry in entries(self._components, platform=platform) if entry.name in names]
        missing = [entry for entry in wanted if not self._installed(entry)]
        self._progress.planned([entry.name for entry in missing])
        for entry in missing:
            try:
                with storage_errors(f"{entry.name} cannot be built", place=self._store.root):
                    self._build_once(entry)
            except DiskFullError:
                self.clear_build_cache()  # most of what fills the disk is ours
                raise

    @property
    def keeps_build_cache(self) -> bool:
        """Whether an earlier call was told to keep it, and nothing was built since by one that was not."""
        return self._store.kept.exists()

    def keep_build_cache(self) -> None:
        """Have calls that find nothing to build leave it."""
        if self._store.build_cache.exists():
            with storage_errors("the build cache cannot be kept", place=self._store.root):
                self._store.kept.touch()

    def clear_build_cache(self) -> None:
        """Delete what only a build needs: Go's cache, and Go itself if it was fetched.

        Where another process builds it is left to that one, which needs it now and deletes it at its end.
        """
        if self._store.build_cache.exists():
            failing = storage_errors("the build cache cannot be removed", place=self._store.root)
            with suppress(_BusyError), failing, self._store.lock(waiting=_leave):
                self._store.drop_build_cache()

    def _installed(self, entry: Entry) -> bool:
        return self._store.condition(entry, verify=True).state == "installed"

    def _build_once(self, entry: Entry) -> None:
        """Build an entry unless another process did while this one waited."""
        with self._store.lock(waiting=lambda: self._progress.waiting(entry.name)):
            if self._installed(entry):
                self._progress.found(entry.name)
                return
            self._store.kept.unlink(missing_ok=True)  # whoever is interrupted now leaves what is to be cleared away
            go = self._go()
            began = time.monotonic()
            self._progress.started(entry.name)
            try:
                self._build(entry, go)
            except BaseException:
                self._progress.failed(entry.name, seconds=time.monotonic() - began)
                raise
            self._progress.finished(entry.name, seconds=time.monotonic() - began)

    def _build(self, entry: Entry, go: Go) -> None:
        workshop = recipes.Workshop(
            go=go,
            work=self._store.work / entry.folder_name,
            entry=entry,
            components={component.name: component for component in self._components},
            tools=self._tools,
            jobs=self._jobs,
        )
        manifest = recipes.make(workshop)
        self._store.place(entry, workshop.output, manifest=manifest)

    @property
    def _tools(self) -> dict[str, Path]:
        native = entries(self._components, platform=Platform.native())
        return {entry.name: self._store.folder(entry) for entry in native if entry.name in TOOLS}

    def _go(self) -> Go:
        """Found when first needed: a complete toolchain needs no Go. Called with the lock held.

        One that was fetched may have gone since: another build that ended has deleted it, while nobody held the lock.
        """
        known = self._known_go
        if known is None or (known.fetched and not known.program.exists()):
            known = self._known_go = self._found_go()
        return known

    def _found_go(self) -> Go:
        versions = (component.go_version for component in self._components)
        minimum = max(versions, key=lambda version: tuple(map(int, version.split("."))))
        found, reason = golang.find_on_path(minimum=minimum, build_cache=self._store.build_cache)
        if found:
            return found
        began = time.monotonic()
        self._progress.started("go")
        try:
            go = golang.fetch(build_cache=self._store.build_cache, reason=reason)
        except BaseException:
            self._progress.failed("go", seconds=time.monotonic() - began)
            raise
        self._progress.finished("go", seconds=time.monotonic() - began)
        return go


class _BusyError(Exception):
    """Another process holds the store."""


def _leave() -> NoReturn:
    """Instead of waiting for it."""
    raise _BusyError
