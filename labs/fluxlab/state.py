"""What is on disk: one folder per lab with its record, and the locks that keep two from doing the same."""

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from .errors import FluxlabError, UsageError
from .host import ephemeral_ports
from .pki import write_private
from .processes import Identity

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
FIRST_PORT = 20000
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
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError on anything else."""
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
    def pki(self) -> Path:
        """The authority of the gateway; each cluster has its own below its folder."""
        return self.root / "pki"

    @property
    def repositories(self) -> Path:
        """The bare repositories of the git server."""
        return self.root / "git"

    @property
    def charts(self) -> Path:
        """One folder of archives per chart repository."""
        return self.root / "charts"

    def cluster(self, name: str) -> Path:
        """All that belongs to one cluster."""
        return self.root / "clusters" / name

    def kubeconfig(self, cluster: str) -> Path:
        """The administrator's kubeconfig of one cluster."""
        return self.cluster(cluster) / "kubeconfig"

    def create(self) -> None:
        """Make the folder, private to its owner."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove(self) -> None:
        """Remove everything of this lab from disk."""
        shutil.rmtree(self.root, ignore_errors=False)

    def read_record(self) -> Record | None:
        """The last record, or None when there is none or it is not whole."""
        try:
            return Record.from_json((self.root / "record.json").read_text())
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_record(self, record: Record) -> None:
        """Replace the record, whole or not at all."""
        write_private(self.root / "record.json", record.to_json())

    def lock(self) -> FileLock:
        """The lock that whoever changes this lab from outside (up, down) holds meanwhile."""
        locks = self.root.parent.parent / "locks"
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(locks / f"{self.name}.lock")


def lab_folders() -> list[LabFolder]:
    """All labs that left something on disk, by name."""
    labs = state_folder() / "labs"
    return [LabFolder(path) for path in sorted(labs.iterdir())] if labs.is_dir() else []


class Ports:
    """Loopback ports reserved by lock, outside the range that the kernel hands to outgoing connections.

    A port found by bind-and-close can be taken before the program that needs it starts; a locked one only by a
    foreign program, which the start then notices.
    """

    def __init__(self) -> None:
        self._folder = state_folder() / "ports"
        self._locks: dict[int, FileLock] = {}

    def reserve(self, preferred: int | None = None) -> int:
        """A free port that stays ours until `release`; `preferred` if it is one. Raises FluxlabError if none is."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for port in self._candidates(preferred):
            lock = FileLock(self._folder / f"{port}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            if _free(port):
                self._locks[port] = lock
                return port
            lock.release()
        raise FluxlabError("no free port on loopback", facts=[f"tried {FIRST_PORT} to {ephemeral_ports().start - 1}"])

    def _candidates(self, preferred: int | None) -> Iterator[int]:
        ephemeral = ephemeral_ports()
        if preferred is not None:
            yield preferred
        for port in range(FIRST_PORT, 65536):
            if port not in ephemeral and port not in self._locks:
                yield port

    def release(self) -> None:
        """Give all ports back."""
        for lock in self._locks.values():
            lock.release()
        self._locks.clear()


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do, so that connections in TIME_WAIT do not make a port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def held(lock: FileLock, *, what: str, timeout_seconds: float) -> Iterator[None]:
    """Hold `lock`. Raises FluxlabError when another process keeps it longer than the timeout."""
    try:
        lock.acquire(timeout=timeout_seconds)
    except Timeout:
        raise FluxlabError(f"{what}: another fluxlab process is at it", facts=[f"lock {lock.lock_file}"]) from None
    try:
        yield
    finally:
        lock.release()
