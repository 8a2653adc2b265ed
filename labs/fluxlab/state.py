"""What is on disk: one folder per lab with its record, and the locks that keep two from doing the same."""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from .errors import FluxlabError, UnknownError, UsageError, WaitTimeoutError
from .files import make_private, write_private
from .processes import Identity
from .waiting import wait_until

PLANTED = "snapshot.db"
"""The file in a cluster's folder with which a restored cluster begins."""
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
SERVING = "git and charts are served"
"""The step of a start from which on the lab's repository can be pushed to."""


def checked_name(name: str, what: str = "lab") -> str:
    """`name`, if it can name a folder, a host and a Kubernetes object alike. Raises UsageError otherwise."""
    if not NAME.fullmatch(name):
        rule = "1 to 40 lower-case letters, digits and dashes, beginning and ending with a letter or digit"
        raise UsageError(f"{name!r} cannot name a {what}", facts=[rule])
    return name


def state_folder() -> Path:
    """Where all labs of this user live: FLUXLAB_STATE_DIR, else the platform's state folder."""
    chosen = os.environ.get("FLUXLAB_STATE_DIR")
    return Path(chosen).absolute() if chosen else platformdirs.user_state_path("fluxlab")


class Phase(StrEnum):
    """Where a lab is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One finished step of the start, in seconds since the supervisor began."""

    name: str
    at_seconds: float


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the supervisor writes down for those who come after it: who runs, and how far it came."""

    phase: Phase
    supervisor: Identity
    children: dict[str, Identity] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    error: str = ""

    def changed(self, **changes: object) -> "Record":
        """A copy with other values."""
        return replace(self, **changes)  # type: ignore[arg-type] # dataclasses.replace checks the names itself

    def to_json(self) -> str:
        """The record as it is written to disk."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The inverse of `to_json`. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
        raw = json.loads(text)
        return cls(
            phase=Phase(raw["phase"]),
            supervisor=Identity(**raw["supervisor"]),
            children={name: Identity(**child) for name, child in raw["children"].items()},
            steps=tuple(Step(**step) for step in raw["steps"]),
            error=raw["error"],
        )


@dataclass(frozen=True)
class LabFolder:
    """The paths of one lab. The folder is private to its owner (0700)."""

    root: Path

    @classmethod
    def named(cls, name: str) -> "LabFolder":
        """The folder of a lab, whether it exists or not. Raises UsageError on a name that cannot be one."""
        return cls(state_folder() / "labs" / checked_name(name))

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.root.name

    @property
    def spec(self) -> Path:
        """The validated spec with which the lab was started (JSON)."""
        return self.root / "spec.json"

    @property
    def filling(self) -> Path:
        """There from a lab's beginning until it has the charts and scenarios that it begins with.

        In it stands the folder that their paths are meant from.
        """
        return self.root / "filling"

    @property
    def filled(self) -> bool:
        """Whether a lab is there that has what it begins with: one whose first start was cut off may not."""
        return self.spec.exists() and not self.filling.exists()

    @property
    def control_socket(self) -> Path:
        """Where the supervisor listens for its verbs."""
        return self.root / "control.sock"

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor wrote to its standard error."""
        return self.root / "supervisor.log"

    @property
    def gateway_log(self) -> Path:
        """One line of JSON for each request that the gateway answered."""
        return self.root / "gateway.log"

    @property
    def ports(self) -> Path:
        """Which port each server has (JSON): it gets the same one again, if that is still free."""
        return self.root / "ports.json"

    @property
    def pki(self) -> Path:
        """The authority of the gateway; each cluster has its own below its folder."""
        return self.root / "pki"

    @property
    def discoveries(self) -> Path:
        """What kubectl, flux and helm remember of APIs by their ports, which are used again: it goes with the lab."""
        return self.root / "discoveries"

    @property
    def repositories(self) -> Path:
        """The bare repositories of the git server."""
        return self.root / "git"

    @property
    def charts(self) -> Path:
        """One folder of archives per chart repository."""
        return self.root / "charts"

    @property
    def sinks(self) -> Path:
        """The public hosts at which alerts end: a file each, which says of which kind."""
        return self.root / "sinks"

    @property
    def registry(self) -> Path:
        """The data of the OCI registry, and its socket."""
        return self.root / "registry"

    @property
    def registry_log(self) -> Path:
        """What the registry wrote."""
        return self.root / "registry.log"

    @property
    def recorder_log(self) -> Path:
        """What the recorder wrote to its standard error."""
        return self.root / "recorder.log"

    @property
    def timeline(self) -> Path:
        """The journals of the timeline, one folder for each of their writers."""
        return self.root / "timeline"

    @property
    def way_out(self) -> Path:
        """The variables (for a shell to read) with which programs of the person here go through the gateway."""
        return self.root / "way-out.sh"

    def cluster(self, name: str) -> Path:
        """All that belongs to one cluster."""
        return self.root / "clusters" / name

    def kubeconfig(self, cluster: str) -> Path:
        """The administrator's kubeconfig of one cluster."""
        return self.cluster(cluster) / "kubeconfig"

    @property
    def scratch(self) -> Path:
        """For files that only a running command needs: made if need be, and removed with the lab at the latest.

        Raises UnknownError when the lab has gone: it stays so.
        """
        place = self.root / "scratch"
        try:
            if not place.exists():
                place.mkdir(exist_ok=True)  # without those above it
                place.chmod(0o700)
        except FileNotFoundError:
            raise UnknownError(f"lab {self.name} is not there any more") from None
        return place

    def digest_key(self) -> bytes:
        """The key under which this lab tells values of Secrets apart; made when it is first asked for.

        Raises UnknownError when the lab has gone.
        """
        file = self.root / "digest.key"
        if not file.exists():
            fresh = write_private(
                self.scratch / f"digest.{os.getpid()}.{threading.get_ident()}", secrets.token_bytes(16)
            )
            with contextlib.suppress(FileExistsError):  # another process was first
                file.hardlink_to(fresh)
            fresh.unlink()
        return file.read_bytes()

    def create(self) -> None:
        """Make the folder, private to its owner. Raises FluxlabError where it cannot be made."""
        _made(self.root)
        _made(self.discoveries)  # kubectl would leave it to the umask

    def remove(self) -> None:
        """Remove everything of this lab from disk, and what interrupted removals left. Raises FluxlabError."""
        trash = _made(self.root.parent.parent / "trash")
        # First out of the way in one step: a removal that is interrupted leaves no half lab of that name.
        own = trash / f"{self.name}.{os.getpid()}.{time.monotonic_ns()}"
        with contextlib.suppress(FileNotFoundError):
            self.root.rename(own)
        for rest in trash.iterdir():
            _discard(rest)
        if own.exists():
            raise FluxlabError(f"{own} cannot be removed", hint=f"rm -rf {shlex.quote(str(own))}")

    def read_record(self) -> Record | None:
        """The last record, or None when there is none or it is not whole."""
        try:
            return Record.from_json((self.root / "record.json").read_text())
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write_record(self, record: Record) -> None:
        """Replace the record, whole or not at all."""
        write_private(self.root / "record.json", record.to_json())

    def lock(self) -> FileLock:
        """The lock that whoever changes this lab from outside (up, down) holds meanwhile. Raises FluxlabError."""
        return FileLock(_made(self.root.parent.parent / "locks") / f"{self.name}.lock")


def lab_folders() -> list[LabFolder]:
    """All labs that left something on disk, by name; also what is being made, or was left half-made."""
    labs = state_folder() / "labs"
    found = [path for path in sorted(labs.iterdir()) if NAME.fullmatch(path.name)] if labs.is_dir() else []
    return [LabFolder(path) for path in found if path.is_dir()]


def described_labs() -> list[LabFolder]:
    """The labs that commands are for, by name: those that were described, with which a start begins."""
    return [folder for folder in lab_folders() if folder.spec.exists()]


def _made(folder: Path) -> Path:
    try:
        return make_private(folder)
    except OSError as error:
        hint = "let FLUXLAB_STATE_DIR name a folder that can be written to, with space in it"
        raise FluxlabError(f"{folder} cannot be made", facts=[str(error)], hint=hint) from error


def _discard(path: Path) -> None:
    # Errors are for whoever owns the path to notice: another process may well be removing the same.
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def held(
    lock: FileLock, *, what: str, timeout_seconds: float, waiting: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold `lock`; `waiting` is called again and again while another process has it.

    Raises FluxlabError when that keeps it longer than the timeout.
    """

    def acquired() -> bool:
        try:
            with _gate(lock):
                lock.acquire(blocking=False)
        except Timeout:
            waiting()
            return False
        return True

    try:
        wait_until(acquired, what=what, timeout_seconds=timeout_seconds, interval_seconds=0.05)
    except WaitTimeoutError:
        raise FluxlabError(f"{what}: another fluxlab process is at it", facts=[f"lock {lock.lock_file}"]) from None
    try:
        yield
    finally:
        lock.release()


def forget(lock: FileLock) -> None:
    """Remove the file of a lock, as the last thing that its holder does: labs come and go, and so do their names."""
    with _gate(lock):
        Path(lock.lock_file).unlink(missing_ok=True)


def _gate(lock: FileLock) -> FileLock:
    """Held while a lock is taken, and while its file is removed: nobody must wait at a file that is not there."""
    return FileLock(Path(lock.lock_file).with_name(".gate"))
