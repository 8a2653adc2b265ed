"""Where built components are: one folder each, put in place whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fluxlab.files import flush

from .components import Component
from .entries import Entry
from .errors import ToolchainError
from .manifests import MANIFEST, FileRecord, Manifest

State = Literal["installed", "missing", "damaged"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How one entry is found: `reason` says what is wrong with a damaged one."""

    state: State
    reason: str = ""
    manifest: Manifest | None = None


MISSING = Condition(state="missing")


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder of entries; beside them the lock, the work in progress and the build cache, which a run never needs."""

    root: Path

    @property
    def work(self) -> Path:
        """Unfinished work: touched only by who holds the lock."""
        return self.root / ".work"

    @property
    def build_cache(self) -> Path:
        """What Go keeps between builds; deleted after a success, unless it is to be kept."""
        return self.root / ".build"

    @property
    def kept(self) -> Path:
        """There while the build cache is to be kept, although nothing is left to be built."""
        return self.build_cache / "kept"

    def folder(self, entry: Entry) -> Path:
        """Where an entry is or will be."""
        return self.root / entry.folder_name

    def condition(self, entry: Entry, *, verify: bool = False) -> Condition:
        """Whether an entry is complete: by size and time of its files, or with `verify` by their digests."""
        folder = self.folder(entry)
        try:
            manifest = Manifest.read(folder)
        except (OSError, ValueError) as error:
            return Condition(state="damaged", reason=f"{MANIFEST}: {error}") if folder.exists() else MISSING
        if not manifest.describes(entry):
            return Condition(state="damaged", reason=f"{MANIFEST} belongs to another build")
        programs = entry.component.programs
        faults = (
            _fault(folder / name, record, modified=manifest.modified, program=name in programs, verify=verify)
            for name, record in manifest.files.items()
        )
        reason = next(filter(None, faults), "")
        return Condition(state="damaged" if reason else "installed", reason=reason, manifest=manifest)

    @contextlib.contextmanager
    def lock(self, *, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold the store for writing; the kernel lets go of it when the holder dies, however it dies.

        What an earlier holder left unfinished is removed first. `waiting` is called when another process holds it.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415  a run only reads: it need not pay for this import

        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            remove(self.work)
            yield
        finally:
            try:
                remove(self.work)
            finally:
                lock.release()

    def drop_build_cache(self) -> None:
        """Have the build cache go, if there is one, when the lock is let go of. Call with the lock held.

        From now on it is unfinished work: half of it, left by who was interrupted, must never pass for the whole.
        """
        if self.build_cache.exists():
            self.build_cache.rename(self.work)

    def place(self, entry: Entry, folder: Path, *, manifest: Manifest) -> None:
        """Make a finished folder the entry: everything is on disk before its name is. Call with the lock held."""
        for path in folder.rglob("*"):
            if path.is_file():
                os.utime(path, (manifest.modified, manifest.modified))
        manifest.write(folder)
        flush_all(folder)
        target = self.folder(entry)
        if target.exists():
            target.rename(self.work / f"{entry.folder_name}.old")
        folder.rename(target)
        flush(self.root)


def _fault(path: Path, record: FileRecord, *, modified: int, program: bool, verify: bool) -> str:
    """What is wrong with a file, or nothing."""
    try:
        seen = path.stat()
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    if seen.st_size != record.size:
        return f"{path.name} has {seen.st_size} bytes instead of {record.size}"
    if program and not seen.st_mode & 0o100:
        return f"{path.name} is not executable"
    untouched = int(seen.st_mtime) == modified and not seen.st_mtime_ns % 1_000_000_000
    if untouched and not verify:
        return ""
    if FileRecord.of(path).sha256 != record.sha256:
        return f"{path.name} was altered: its digest is not the recorded one"
    if not untouched:
        with contextlib.suppress(OSError):  # a write-protected folder: it is intact, but read again next time
            os.utime(path, (modified, modified))
    return ""


def link_programs(folder: Path, component: Component) -> None:
    """Give a component's program all its names: one file, whose pages are in memory once whatever it is started as."""
    first, *others = (folder / name for name in component.programs)
    for other in others:
        other.unlink(missing_ok=True)
        other.hardlink_to(first)


def flush_all(folder: Path) -> None:
    """Bring a folder and all that is in it to the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            flush(Path(parent) / name)
        flush(Path(parent))


def remove(folder: Path) -> None:
    """Delete a folder, also one whose parts are write-protected, as those of a module cache are."""
    if not folder.exists():
        return
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise ToolchainError(f"{folder} cannot be removed: {error}", hint=f"remove {folder} by hand") from error
